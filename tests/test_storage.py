"""The type in which values are stored is no scale: numbers are kept, and what has no plain meaning is refused or said."""

import re
import shutil
import warnings

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

import eyespot
from conftest import one_sentence, texture
from eyespot.config import Config
from eyespot.data.header import Decoded, Unreadable
from eyespot.data.preprocess.preprocessing import OWN, Preprocessing
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.prediction.windows import in_depth, open_windows

RNG = np.random.default_rng(0)


def write_classes(root, make, n: int = 8):
    """Two classes of n files, written by make(path without an ending, class, number)."""
    for kind in range(2):
        folder = root / "ab"[kind]
        folder.mkdir(parents=True)
        for i in range(n):
            make(folder / str(i), kind, i)
    return root


def grey(kind: int) -> np.ndarray:
    return texture(kind, RNG)[..., 0].copy()


def values_of(survey) -> np.ndarray:
    return np.stack([np.asarray(a) for a in survey.images.pixels])


def test_mixed_types_keep_their_numbers(tmp_path):
    """Signed and unsigned, of 16 bits and floating point, in one set."""
    written = {}

    def make(path, kind, i):
        values = grey(kind).astype(np.int64) * 10 + 1000
        written[f"{path.parent.name}/{path.name}"] = values
        tifffile.imwrite(f"{path}.tif", values.astype((np.uint16, np.int16, np.float32, np.uint32)[i % 4]))

    survey = survey_data(write_classes(tmp_path / "d", make))
    assert survey.preprocessing.depth == "float32" and survey.preprocessing.scaling == "none"
    for row, array in enumerate(survey.images.pixels):
        path = survey.path(row)
        name = "/".join(path.removesuffix(".tif").split("/")[-2:])
        np.testing.assert_array_equal(array[..., 0], written[name])


def test_volumes_of_eight_and_sixteen_bits_keep_their_numbers(tmp_path):
    def make(path, kind, i):
        volume = np.stack([grey(kind)] * 20) // 2
        tifffile.imwrite(
            f"{path}.tif", volume.astype(np.uint16 if i % 2 else np.uint8), metadata={"axes": "ZYX"}
        )

    survey = survey_data(write_classes(tmp_path / "d", make))
    assert survey.preprocessing.dim == 3 and survey.preprocessing.depth == "uint16"
    assert values_of(survey).max() <= 127


def mixed(top: int):
    """Files of 8 bits beside files of 16 bits with values up to `top`."""

    def make(path, kind, i):
        values = grey(kind)
        if i % 2:
            deep = (values.astype(np.float64) / 255 * top).round().astype(np.uint16)
            path.with_suffix(".png").write_bytes(bytes(imagecodecs.png_encode(deep)))
        else:
            Image.fromarray(values).save(f"{path}.png")

    return make


def test_photographs_of_eight_and_sixteen_bits_have_one_white(tmp_path):
    data = write_classes(tmp_path / "d", mixed(65535))
    survey = survey_data(data)
    guess = next(g for g in survey.guesses if "16 bits" in g.name)
    assert (
        survey.preprocessing.scaling == "full"
        and "--scaling none" in guess.option
        and "65535" in guess.reason
    )
    means = values_of(survey).reshape(len(survey.labels), -1).mean(1)
    assert means.max() < 2 * means.min()
    kept = survey_data(data, Config(scaling="none"))
    assert kept.preprocessing.scaling == "none" and not [g for g in kept.guesses if "16 bits" in g.name]
    assert np.sort(kept.images.high)[7] <= 255


def test_sixteen_bits_that_hold_eight_are_kept(tmp_path):
    survey = survey_data(write_classes(tmp_path / "d", mixed(255)))
    assert survey.preprocessing.scaling == "none" and survey.images.high.max() <= 255
    assert next(g for g in survey.guesses if "16 bits" in g.name).option == "--scaling full"


@pytest.mark.parametrize("top", [1023, 4095, 16383])
def test_sixteen_bits_of_an_unknown_white_are_refused_with_both_options(cli, tmp_path, top):
    data = write_classes(tmp_path / "d", mixed(top))
    sentence = one_sentence(cli("look", data))
    assert "--scaling none" in sentence and "--scaling full" in sentence
    with pytest.raises(UserError, match="--scaling"):
        survey_data(data)
    assert survey_data(data, Config(scaling="none")).preprocessing.depth == "uint16"


def copies(data, to, change):
    """Copies of a set's images with their values changed, as 16-bit PNG."""
    to.mkdir(parents=True)
    names = []
    for i, path in enumerate(sorted(data.rglob("*.png"))[:3]):
        values = change(np.asarray(Image.open(path)).astype(np.uint16))
        (to / f"{i}.png").write_bytes(bytes(imagecodecs.png_encode(values)))
        shutil.copy(path, to / f"{i}_as_trained.png")
        names.append((str(to / f"{i}_as_trained.png"), str(to / f"{i}.png")))
    return names


def test_sixteen_bits_for_a_model_of_eight_are_said_once_and_predicted_alike(trained, tmp_path):
    run, data = trained
    pairs = copies(data, tmp_path / "deep", lambda values: values * 257)
    predictor = eyespot.load(run.folder)
    for as_trained, deep in pairs:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            expected = predictor(as_trained)[0]
        with pytest.warns(UserWarning, match="16 bits, and the images trained on 8 bits") as said:
            got = predictor([deep, deep])
        assert len(said) == 1
        assert got[0].label == expected.label and abs(got[0].probability - expected.probability) < 1e-6


def test_an_evaluation_says_that_files_store_another_type(trained, tmp_path):
    run, data = trained
    for path in data.rglob("*.png"):
        to = tmp_path / "deep" / path.relative_to(data)
        to.parent.mkdir(parents=True, exist_ok=True)
        values = np.asarray(Image.open(path)).astype(np.uint16) * 257
        to.write_bytes(bytes(imagecodecs.png_encode(values)))
    evaluation = eyespot.evaluate(run.folder, tmp_path / "deep")
    assert [note for note in evaluation.notes if "90 images of 90: it stores 16 bits" in note]


def test_twelve_bits_for_a_model_of_eight_are_refused(trained, tmp_path, cli):
    run, data = trained
    copies(data, tmp_path / "deep", lambda values: values * 16)
    paths = sorted(p for p in (tmp_path / "deep").iterdir() if "trained" not in p.name)
    result = cli("predict", run.folder, *paths)
    assert result.code == 2 and re.search(
        "16 bits with values up to .*8 bits.*white is not known", result.err
    )


def test_a_grey_image_for_a_colour_model_is_said_on_standard_error(trained, tmp_path, cli, monkeypatch):
    run, _ = trained
    for i in range(3):
        Image.fromarray(grey(i % 2)).save(tmp_path / f"{i}.png")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        result = cli("predict", run.folder, *sorted(tmp_path.glob("*.png")))
    lines = [line for line in result.err.splitlines() if "warning" in line]
    assert result.code == 0 and len(lines) == 1 and "its channel is repeated" in lines[0]


def converted(array, **fields):
    return Preprocessing(array.shape[0], OWN, 1, (1,), **fields).of_decoded(Decoded(array))


def test_each_type_for_each_model():
    """The same numbers, one white, or a refusal: never a silent division."""
    eight = np.array([[[0], [7], [255]]], np.uint8)
    deep = np.array([[[0], [300], [65535]]], np.uint16)
    signed = np.array([[[-5], [7], [255]]], np.float32)
    assert converted(eight, depth="float32").ravel().tolist() == [0, 7, 255]
    assert converted(eight, depth="uint16", stored=("uint16", "uint8")).ravel().tolist() == [0, 7, 255]
    assert converted(eight, depth="uint16", stored=("uint16",), dim=2, scaling="full").max() == 65535
    with pytest.raises(Unreadable, match="white is not known"):
        converted(eight, depth="uint16", stored=("uint16",))
    assert converted(deep, depth="float32").max() == 65535
    assert converted(deep, scaling="full").ravel().tolist() == [0, 1, 255]
    assert converted((deep // 300).astype(np.uint16)).max() == 218
    with pytest.raises(Unreadable, match="from 0 to 65535"):
        converted(deep)
    with pytest.raises(Unreadable, match="from -5 to 255"):
        converted(signed, depth="uint16")
    assert converted(np.abs(signed), depth="uint16").ravel().tolist() == [5, 7, 255]
    with pytest.raises(Unreadable, match="floating-point values from 0 to 1"):
        converted(np.array([[[0.5], [1]]], np.float32))


def test_models_of_before_are_read_as_they_were():
    old = {"size": 8, "depth": "float32", "channels": 1, "accepts": [1]}
    preprocessing = Preprocessing.from_dict(old)
    assert preprocessing.scaling == "full"
    assert preprocessing.of_decoded(Decoded(np.full((8, 8, 1), 255, np.uint8))).max() == 1
    new = Preprocessing(8, axes="TZYX", background="black", stored=("uint8",))
    assert Preprocessing.from_dict(new.as_dict()) == new
    assert (new.read_options.axes, new.read_options.background) == ("TZYX", "black")


def test_values_far_from_those_trained_on_are_said():
    preprocessing = Preprocessing(8, channels=1, accepts=(1,), depth="float32", mean=(0.5,), std=(0.2,))
    assert preprocessing.value_remark(np.full((8, 8, 1), 0.9, np.float32)) is None
    assert "far from" in (preprocessing.value_remark(np.full((8, 8, 1), 90, np.float32)) or "")


def test_windows_have_one_scale_for_the_whole_file(tmp_path):
    """A dark corner of a bright file is not read as another scale."""
    values = np.zeros((64, 64), np.uint16)
    values[40:, 40:] = 60_000
    tifffile.imwrite(tmp_path / "a.tif", values)
    preprocessing = Preprocessing(1, OWN, 1, (1,), scaling="full", stored=("uint8",))
    reader = in_depth(open_windows(tmp_path / "a.tif", 2), preprocessing)
    assert reader((slice(0, 64), slice(0, 64))).max() == 233 and reader((slice(0, 9), slice(0, 9))).max() == 0
    assert "16 bits" in reader.remarks[0]
    tifffile.imwrite(tmp_path / "b.tif", values // 20)
    with pytest.raises(Unreadable, match="white is not known"):
        in_depth(open_windows(tmp_path / "b.tif", 2), preprocessing)((slice(0, 9), slice(0, 9)))


def glyphs(shade: int):
    """Shapes of one shade on transparency."""

    def make(path, kind, i):
        image = np.zeros((24, 24, 4), np.uint8)
        image[..., :3] = shade if shade >= 0 else 255 * (i % 2)
        rows, columns = (slice(4, 20), slice(9 + i % 3, 14)) if kind else (slice(9 + i % 3, 14), slice(4, 20))
        image[rows, columns, 3] = 255
        Image.fromarray(image).save(f"{path}.png")

    return make


@pytest.mark.parametrize("shade,background", [(255, "black"), (0, "white"), (-1, "grey"), (128, "white")])
def test_the_background_of_a_set_shows_every_glyph(tmp_path, shade, background):
    data = write_classes(tmp_path / "d", glyphs(shade))
    survey = survey_data(data)
    assert survey.preprocessing.background == background
    assert (survey.images.high - survey.images.low > 100).all()
    guesses = [g for g in survey.guesses if "background" in g.name]
    assert [g.option for g in guesses] == ([] if background == "white" else ["--background white"])
    asked = survey_data(data, Config(background="black"))
    assert asked.preprocessing.background == "black" and not [
        g for g in asked.guesses if "background" in g.name
    ]


def test_opaque_alpha_is_no_channel(tmp_path):
    def make(path, kind, i):
        colour = texture(kind, RNG)
        Image.fromarray(np.dstack([colour, np.full(colour.shape[:2], 255, np.uint8)])).save(f"{path}.png")

    survey = survey_data(write_classes(tmp_path / "d", make))
    assert survey.preprocessing.channels == 3 and not survey.guesses


def films(frames: int, axes: str, **how):
    def make(path, kind, i):
        pages = np.stack([grey(kind)] * frames)
        pages = pages if axes == "TYX" else np.stack([pages] * 4)
        tifffile.imwrite(f"{path}.tif", pages, photometric="minisblack", metadata={"axes": axes}, **how)

    return make


@pytest.mark.parametrize("how", [{"imagej": True}, {"ome": True}])
@pytest.mark.parametrize("axes,dim", [("TYX", 2), ("TZYX", 3)])
def test_time_is_said_with_its_length(tmp_path, axes, dim, how):
    frames = 5
    data = write_classes(tmp_path / "d", films(frames, axes, **how))
    survey = survey_data(data)
    assert survey.preprocessing.dim == dim
    times = 5 if dim == 2 else 4
    said = [p for p in survey.problems if "time axis" in p.text]
    assert len(said) == 1 and said[0].level == "warning" and f"{times} time points" in said[0].text
    assert len(said[0].files) == 16
    if dim == 2:
        overruled = survey_data(data, Config(axes="ZYX"))
        assert overruled.preprocessing.dim == 3 and overruled.preprocessing.axes == "ZYX"
        assert not [p for p in overruled.problems if "time axis" in p.text]


def test_time_is_said_for_masks_too(tmp_path):
    for i in range(6):
        pages = np.stack([grey(i % 2)] * 3)
        for folder, values in (("images", pages), ("masks", (pages > 128).astype(np.uint8))):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{i}.tif", values, imagej=True, metadata={"axes": "TYX"})
    survey = survey_data(tmp_path)
    assert survey.task == "segmentation" and survey.preprocessing.dim == 2
    assert any("3 time points" in p.text for p in survey.problems)


def write_pairs(root, image, mask):
    for i in range(6):
        for folder, values in (("images", image(i)), ("masks", mask(i))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / folder / f"{i}.tif", values, photometric="minisblack", metadata=None)
    return root


def test_pages_of_masks_are_not_dropped_unsaid(tmp_path):
    pages = [np.stack([grey(i % 2) > 128] * 5).astype(np.uint8) for i in range(6)]
    survey = survey_data(write_pairs(tmp_path / "d", lambda i: grey(i % 2), lambda i: pages[i]))
    assert any("6 masks with 5 pages" in p.text and p.level == "warning" for p in survey.problems)


def test_axes_hold_for_masks_too(tmp_path):
    """Pages that are not named: films, of which the first frame is read, once --axes says so."""
    films = [np.stack([grey(i % 2)] * 5) for i in range(6)]
    data = write_pairs(tmp_path / "d", films.__getitem__, lambda i: (films[i] > 128).astype(np.uint8))
    assert survey_data(data).preprocessing.dim == 3
    survey = survey_data(data, Config(axes="TYX"))
    assert survey.preprocessing.dim == 2 and len(survey.labels) == 6
    assert any("5 time points" in p.text for p in survey.problems)


def test_axes_are_checked(cli, tmp_path):
    assert "such as TZCYX" in one_sentence(cli("look", tmp_path, "--axes", "XY"))
