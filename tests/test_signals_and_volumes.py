"""Signals and volumes are read by their stated rules, and go through the same commands as images."""

import gzip
import io
import json
import subprocess
import sys
from contextlib import nullcontext

import nibabel
import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.io import wavfile

import eyespot
from eyespot.config import Config
from eyespot.data.duplicates.pairs import thumbnail
from eyespot.data.formats.read import decode, read_header
from eyespot.data.header import Decoded, Unreadable
from eyespot.data.preprocess.choose import LARGEST, choose_preprocessing, settle_axes
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.preprocess.resize import filters, scaled
from eyespot.data.preprocess.spectrum import BANDS, spectrum
from eyespot.data.scan import Scan
from eyespot.data.sources.builtin import BUILTIN
from eyespot.errors import UserError
from eyespot.tasks.batches import resized

RNG = np.random.default_rng(0)


def wav(values: np.ndarray, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    wavfile.write(buffer, rate, values)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def stack(array: np.ndarray, **settings) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="minisblack", **settings)
    return buffer.getvalue()


def nifti(array: np.ndarray, spacing=(1.0, 1.0, 1.0), flip: bool = False) -> bytes:
    affine = np.diag([*spacing, 1.0])
    if flip:
        affine[0] *= -1
    return nibabel.Nifti1Image(array, affine).to_bytes()


# Files.


@pytest.mark.parametrize(
    "dtype,scale", [(np.int16, 32768), (np.int32, 2**31), (np.float32, 1), (np.uint8, 128)]
)
def test_wav_values_lie_between_minus_one_and_one(dtype, scale):
    sound = (np.array([[0, 0.5], [-0.5, 0.25]]) * scale + (128 if dtype == np.uint8 else 0)).astype(dtype)
    got, found = decode(wav(sound, 4000), 1), read_header(wav(sound, 4000))
    np.testing.assert_allclose(got.array, [[0, 0.5], [-0.5, 0.25]])
    assert got.spacing == found.spacing == (1 / 4000,)
    assert (found.kind, found.shape, found.channels, found.depth) == ("WAV", (2,), 2, "float32")


@pytest.mark.parametrize(
    "text,values,spacing",
    [
        ("1,2\n3,4\n5,6\n", [[1, 2], [3, 4], [5, 6]], ()),
        ("left;right\n1;2\n3;4\n", [[1, 2], [3, 4]], ()),
        ("time,volts\n0,7\n0.5,8\n1.0,9\n", [[7], [8], [9]], (0.5,)),
        ("1 2\n3 4\n", [[1, 2], [3, 4]], ()),
        ("1.5\n-2e3\n", [[1.5], [-2000]], ()),
        ("Time [s]\tx\n0\t1\n2\t5\n", [[1], [5]], (2.0,)),
    ],
)
def test_tables_are_signals_with_a_column_per_channel(text, values, spacing):
    got = decode(text.encode(), 1)
    np.testing.assert_allclose(got.array, values)
    assert got.spacing == spacing and read_header(text.encode()).channels == len(values[0])


@pytest.mark.parametrize(
    "content,reason",
    [
        (b"1,2\n3\n", "line 2 has 1 column and not 2"),
        (b"a,b\n1,2\n3,x\n", r"line 3 has a value that is not numeric: x in column 2 \(b\)"),
        (wav(np.zeros(100, np.int16))[:20], "damaged or cut short"),
        (wav(np.zeros(0, np.int16)), "no samples"),
        (npy(np.zeros((2, 3)))[:60], "damaged or cut short"),
        (npy(np.zeros((2, 0))), r"shape \(2, 0\) is empty"),
        (npy(np.array(["a"])), "not numeric"),
        (npy(np.zeros((2, 2, 2, 2, 2))), "not a signal, image or volume"),
        (nifti(np.zeros((3, 3, 3), np.int16))[:300], "damaged|cut short|known kind"),
        (gzip.compress(nifti(RNG.normal(size=(9, 9, 9))))[:-300], "damaged"),
        (b"1,nan\n2,3\n", r"line 1 has no value \(nan\) in column 2: fill it in, .* or give --nan VALUE"),
    ],
)
def test_what_cannot_be_read_says_why(content, reason):
    with pytest.raises(Unreadable, match=reason):
        decode(content, read_header(content).dim)


@pytest.mark.parametrize(
    "shape,dim,space,channels",
    [
        ((50,), 1, (50,), 1),
        ((3, 50), 1, (50,), 3),
        ((50, 3), 1, (50,), 3),
        ((20, 30), 2, (20, 30), 1),
        ((20, 30, 3), 2, (20, 30), 3),
        ((3, 20, 30), 2, (20, 30), 3),
        ((8, 9, 10), 3, (8, 9, 10), 1),
        ((8, 9, 10, 2), 3, (8, 9, 10), 2),
    ],
)
def test_an_arrays_axes_are_guessed_by_the_stated_rule(shape, dim, space, channels):
    content = npy(RNG.integers(0, 9, shape, dtype=np.uint8))
    found = read_header(content)
    assert (found.dim, found.shape, found.channels) == (dim, space, channels)
    assert decode(content, dim).array.shape == (*space, channels)


def test_an_array_can_be_taken_otherwise():
    found = read_header(npy(np.zeros((8, 9, 10), np.float32)))
    assert found.taken_as(3).shape == (8, 9, 10)
    assert (found.taken_as(2).shape, found.taken_as(2).channels) == ((9, 10), 8)
    assert found.taken_as(1) is None


def test_a_stack_is_a_volume_and_its_spacing_is_kept():
    volume = RNG.integers(0, 65536, (5, 6, 7), dtype=np.uint16)
    content = stack(
        volume, imagej=True, resolution=(4.0, 4.0), metadata={"spacing": 1.5, "unit": "mm", "axes": "ZYX"}
    )
    got, found = decode(content, 3), read_header(content)
    np.testing.assert_array_equal(got.array[..., 0], volume)
    assert got.spacing == found.spacing == (1.5, 0.25, 0.25)
    assert (found.shape, found.kind, found.frames) == ((5, 6, 7), "TIFF stack", 1)


@pytest.mark.parametrize("packed", [False, True])
def test_nifti_axes_and_spacing(packed):
    array = RNG.normal(size=(4, 5, 6)).astype(np.float32)
    content = nifti(array, (0.5, 1.0, 3.0))
    content = gzip.compress(content) if packed else content
    got, found = decode(content, 3), read_header(content)
    np.testing.assert_array_equal(got.array[..., 0], array.transpose(2, 1, 0))
    assert got.spacing == found.spacing == (3.0, 1.0, 0.5) and found.shape == (6, 5, 4)
    mirrored = decode(nifti(array[::-1], (0.5, 1.0, 3.0), flip=True), 3)
    np.testing.assert_array_equal(mirrored.array, got.array)


def test_nifti_without_its_reader_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(Unreadable, match=r"pip install 'eyespot\[nifti\]'"):
        read_header(nifti(np.zeros((2, 2, 2), np.uint8)))


# Sizes and scales.


@pytest.mark.parametrize("n,out", [(7, 3), (3, 7), (100, 33), (5, 5), (40, 1)])
def test_the_filters_are_pillows(n, out):
    values = RNG.random((n, 1)).astype(np.float32)
    ours = filters(n, out) @ values
    picture = Image.fromarray(values.repeat(4, 1)).resize((4, out), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(ours, np.asarray(picture)[:, :1], atol=1e-6)


@pytest.mark.parametrize("side", [16, 20, 33])
def test_resizing_a_batch_is_torchs_own_in_two_dimensions_and_the_same_in_others(side):
    x = torch.rand(2, 3, 24, 24)
    expected = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    assert (resized(x, side) - expected).abs().max() < 1e-5
    row = resized(x[:, :, 0], side)  # what one axis does, another does too
    column = resized(x[:, :, :1].expand(2, 3, 24, 24), side)[:, :, 0]
    assert (row - column).abs().max() < 1e-5
    cube = resized(x[:, :, None].expand(2, 3, 24, 24, 24), side)
    assert (cube[:, :, 0] - expected).abs().max() < 1e-5
    many = resized(x.repeat(1, 4, 1, 1), side)  # channels that are too many to be taken together
    assert (many - expected.repeat(1, 4, 1, 1)).abs().max() < 1e-5


def test_scaling_a_volume_is_exact_for_a_ramp():
    ramp = np.arange(16, dtype=np.float32)[:, None, None, None] * np.ones((16, 8, 8, 1), np.float32)
    small = scaled(ramp, (8, 4, 4))
    np.testing.assert_allclose(small[1:-1, 0, 0, 0], np.arange(1, 7) * 2 + 0.5, atol=1e-5)


def test_signals_are_brought_to_one_rate_then_padded_or_cut():
    preprocessing = Preprocessing(100, "pad", 1, (1,), "float32", dim=1, spacing=0.01, unit="s")
    slow = np.sin(2 * np.pi * 2 * np.arange(0, 0.6, 0.02))[:, None].astype(np.float32)
    got = preprocessing.of_decoded(Decoded(slow, (0.02,)))
    assert got.shape == (100, 1) and not got[:20].any() and not got[80:].any()
    time = (np.arange(60) + 0.5) * 0.01 - 0.01
    np.testing.assert_allclose(got[21:79, 0], np.sin(2 * np.pi * 2 * time)[1:59], atol=0.05)
    long = np.arange(300, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(preprocessing.of_decoded(Decoded(long, (0.01,)))[:, 0], np.arange(100, 200))
    np.testing.assert_array_equal(preprocessing.of_decoded(Decoded(long))[:, 0], np.arange(100, 200))


def test_voxels_keep_their_proportions():
    preprocessing = Preprocessing(8, "pad", 1, (1,), "uint8", dim=3, spacing=1.0, unit="mm")
    got = preprocessing.of_decoded(Decoded(np.full((2, 8, 8, 1), 9, np.uint8), (3.0, 0.5, 1.0)))
    assert (got == 9).any((1, 2, 3)).sum() == 6  # 2 slices of 3 mm
    assert (got == 9).any((0, 2, 3)).sum() == 4
    assert (got == 9).any((0, 1, 3)).sum() == 8


def reading_for(*contents: bytes, **options) -> tuple[Preprocessing, dict[str, str]]:
    headers = settle_axes(Scan({i: read_header(c) for i, c in enumerate(contents)}, {}), options.get("dim"))
    return choose_preprocessing(headers, Config(**options), LARGEST)


def test_the_scale_is_the_files_own_where_it_fits():
    preprocessing, why = reading_for(*(npy(np.zeros(n, np.float32)) for n in (300, 400)))
    assert (preprocessing.dim, preprocessing.size, preprocessing.spacing, preprocessing.unit) == (
        1,
        395,
        1.0,
        "",
    )
    assert "longer ones are cut" in why["size"]
    preprocessing, why = reading_for(npy(np.zeros(2 * LARGEST[1], np.float32)))
    assert (preprocessing.size, preprocessing.spacing) == (LARGEST[1], 2.0)
    preprocessing, _ = reading_for(npy(np.zeros(400, np.float32)), size=100)
    assert (preprocessing.size, preprocessing.spacing) == (100, 4.0)
    preprocessing, _ = reading_for(npy(np.zeros(400, np.float32)), size=100, fit="crop")
    assert (preprocessing.size, preprocessing.spacing) == (100, 1.0)
    preprocessing, _ = reading_for(nifti(np.zeros((20, 20, 10), np.uint8), (0.5, 0.5, 2.0)))
    assert (preprocessing.dim, preprocessing.size, preprocessing.spacing, preprocessing.unit) == (
        3,
        40,
        0.5,
        "mm",
    )


def test_sounds_are_seen_as_spectra_unless_asked():
    sounds = [wav(np.zeros(n, np.int16), 8000) for n in (4000, 8000)]
    preprocessing, _ = reading_for(*sounds)
    assert (preprocessing.view, preprocessing.size, preprocessing.channels, preprocessing.spacing) == (
        "spectrum",
        98,
        BANDS,
        1 / 8000,
    )
    preprocessing, _ = reading_for(*sounds, view="samples")
    assert (preprocessing.view, preprocessing.channels, preprocessing.unit) == (
        "samples",
        1,
        "s",
    ) and preprocessing.size <= LARGEST[1]
    with pytest.raises(UserError, match="not all files are sounds"):
        reading_for(npy(np.zeros(50)), view="spectrum")


def test_the_odd_ones_out_are_errors():
    headers = Scan(
        {
            0: read_header(npy(np.zeros((20, 10)))),
            1: read_header(wav(np.zeros(9, np.int16))),
            2: read_header(npy(np.zeros((9, 5)))),
        },
        {},
    )
    found = settle_axes(headers, None)
    assert set(found.headers) == {0, 2} and "it is a signal, and the others are images" in found.errors[1]
    found = settle_axes(headers, 1)
    assert set(found.headers) == {0, 1, 2}  # an array of two axes can be a signal of several channels
    with pytest.raises(UserError, match="dim is 4"):
        settle_axes(headers, 4)


def test_a_tone_stands_in_its_band():
    rate, frames = 8000, 50
    peaks = []
    for hertz in (300, 1000, 3000):
        tone = np.sin(2 * np.pi * hertz * np.arange(rate // 2) / rate)[:, None]
        bands = spectrum(tone.astype(np.float32), 1 / rate)
        assert bands.shape == (frames, BANDS) and bands.max() - bands.min() <= 80.001
        peaks.append(int(bands[25].argmax()))
    mel = [2595 * np.log10(1 + h / 700) for h in (300, 1000, 3000)]
    top = 2595 * np.log10(1 + 4000 / 700)
    assert np.abs(np.array(peaks) - (np.array(mel) / top * (BANDS + 1) - 1)).max() < 1


@pytest.mark.parametrize("shape", [(300, 2), (90, 24), (20, 24, 3), (9, 20, 24, 1)])
def test_thumbnails_of_every_rank_tell_things_apart(shape):
    one, two = RNG.integers(0, 256, (2, *shape), dtype=np.uint8)
    assert thumbnail(one) @ thumbnail(one) == pytest.approx(1, abs=1e-5)
    assert thumbnail(one) @ thumbnail(two) < 0.5


# Through the commands.


@pytest.fixture(scope="module")
def small_sets(tmp_path_factory):
    """A learnable set of each kind of file: a low and a high tone, or a thing on the near or the far side."""
    root = tmp_path_factory.mktemp("sets")
    writers = {
        "sounds": (".wav", lambda k, v: wav((v * 9000).astype(np.int16))),
        "tables": (".csv", lambda k, v: "\n".join(map(str, v[:200])).encode()),
        "arrays": (".npy", lambda k, v: npy(np.stack([v[:200], -v[:200]]))),
        "nifti": (".nii.gz", lambda k, v: gzip.compress(nifti(cube(k, v), (1, 1, 2)))),
        "stacks": (".tif", lambda k, v: stack(cube(k, v).clip(0, 255).astype(np.uint8))),
    }
    for name, (ending, write) in writers.items():
        for k, label in enumerate(("low", "high")):
            (root / name / label).mkdir(parents=True)
            for i in range(24):
                length = int(RNG.integers(900, 1100))
                tone = np.sin((k + 1) * 0.3 * np.arange(length) + RNG.uniform(0, 6)) + RNG.normal(
                    0, 0.1, length
                )
                (root / name / label / f"anna-{i % 4}-{i}{ending}").write_bytes(write(k, tone))
    return root


def cube(k: int, noise: np.ndarray) -> np.ndarray:
    volume = 20 * noise[: 9 * 10 * 8].reshape(9, 10, 8) + 50
    volume[:, :, 4 * k : 4 * k + 4] += 120
    return volume.astype(np.float32)


@pytest.mark.parametrize(
    "name,dim", [("sounds", 1), ("tables", 1), ("arrays", 1), ("nifti", 3), ("stacks", 3)]
)
def test_look_train_evaluate_predict(small_sets, tmp_path, name, dim):
    data = small_sets / name
    look = eyespot.look(data, sheet=tmp_path / "sheet.png").as_dict()
    assert look["preprocessing"]["dim"] == dim and look["images"] == 48 and not look["unreadable"]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 500
    run = eyespot.train(data, epochs=4, model="resnet20", batch=8, out=tmp_path / "run", group=r"anna-(\d)")
    assert run.evaluation.scores["accuracy"]["value"] > 0.9
    assert f"{ {1: 'signal', 3: 'volume'}[dim] }s" in str(run.evaluation)
    assert run.evaluate().scores["accuracy"] == run.evaluation.scores["accuracy"]
    files = sorted((data / "low").iterdir())[:3]
    answers = eyespot.predict(tmp_path / "run", files)
    assert [a.path for a in answers] == [str(f) for f in files] and answers[0].label in ("low", "high")
    raw = decode(files[0].read_bytes(), dim).array
    with pytest.warns(match="where its axes point") if name == "nifti" else nullcontext():
        array = eyespot.predict(tmp_path / "run", raw)[0]
    if name != "nifti":  # an array has no voxel size
        assert array.probability == pytest.approx(answers[0].probability, abs=1e-5)
    report = (tmp_path / "run" / "report.html").read_text()
    assert "pixels" not in report


def test_predict_takes_a_folder_of_signals_and_refuses_images(small_sets, tmp_path):
    eyespot.train(small_sets / "tables", epochs=1, model="resnet20", batch=8, out=tmp_path / "run")
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "a.csv").write_text("\n".join(map(str, range(200))))
    Image.new("L", (9, 9)).save(folder / "b.png")
    command = [sys.executable, "-m", "eyespot", "predict", str(tmp_path / "run")]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("\n") == 2 and "a.csv" in done.stdout
    done = subprocess.run([*command, str(folder / "b.png")], capture_output=True, text=True)
    assert done.returncode == 2 and "it is an image, and the model was trained on signals" in done.stderr


def test_a_note_next_to_pictures_is_ignored(tmp_path):
    for label, shade in (("a", 10), ("b", 200)):
        (tmp_path / label).mkdir()
        for i in range(3):
            Image.fromarray(RNG.integers(0, shade, (9, 9), dtype=np.uint8)).save(
                tmp_path / label / f"{i}.png"
            )
    (tmp_path / "a" / "notes.csv").write_text("1,2\n3,4\n")
    look = eyespot.look(tmp_path).as_dict()
    assert look["kind"] == "image" and look["images"] == 6 and not look["unreadable"]
    assert any("1 .csv" in p["text"] for p in look["problems"])


@pytest.mark.parametrize("name,kind,n", [("waves", "signal", 1200), ("solids", "volume", 400)])
def test_built_in_sets_of_each_rank(name, kind, n):
    assert name in BUILTIN
    look = eyespot.look(name).as_dict()
    assert (look["kind"], look["images"], len(look["classes"])) == (kind, n, 4)
    assert not [p for p in look["problems"] if p["level"] != "note"], json.dumps(look["problems"])[:500]
