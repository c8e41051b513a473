"""Images and masks: paired, mapped, trained, scored and written back, and what is said where they are wrong."""

import io
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import eyespot
from eyespot.config import Config
from eyespot.data.header import Unreadable
from eyespot.data.masks.mapping import COLOUR, VOID, Mapping, mapping_of
from eyespot.data.masks.meaning import propose
from eyespot.data.masks.pixels import read_mask
from eyespot.data.masks.statistics import MaskValues
from eyespot.data.sources.pairs import source_of_pairs
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.metrics import masks as overlap
from eyespot.prediction.mask_files import target, write_map
from eyespot.tasks import segmentation as crops
from eyespot.tasks.segmentation import IGNORED, filled
from eyespot.training.division import split_rows
from eyespot.training.loop import clock
from eyespot.training.plan import make_plan, reserve

RNG = np.random.default_rng(0)


def picture(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8))


def paletted(values: np.ndarray) -> Image.Image:
    image = Image.new("P", values.shape[::-1])
    image.putdata(values.ravel().tolist())
    image.putpalette([c for k in range(256) for c in (k, 255 - k, 7)])
    return image


def content(image: Image.Image, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(picture(np.zeros((4, 4)))))


# Which mask belongs to which image.


@pytest.mark.parametrize(
    "names,pairs",
    [
        (["images/a.png", "masks/a.png"], [("images/a.png", "masks/a.png", "")]),
        (["Images/a.jpg", "Labels/a.png"], [("Images/a.jpg", "Labels/a.png", "")]),
        (["images/x/a.png", "masks/x/a.png", "images/y/a.png", "masks/y/a.png"],
         [("images/x/a.png", "masks/x/a.png", ""), ("images/y/a.png", "masks/y/a.png", "")]),
        (["a.png", "a_mask.png"], [("a.png", "a_mask.png", "")]),
        (["images/a.png", "masks/a_mask.png"], [("images/a.png", "masks/a_mask.png", "")]),
        (["a.tif", "a_cp_masks.png"], [("a.tif", "a_cp_masks.png", "")]),
        (["train/images/a.png", "train/masks/a.png", "val/images/b.png", "val/masks/b.png"],
         [("train/images/a.png", "train/masks/a.png", "train"), ("val/images/b.png", "val/masks/b.png", "val")]),
        (["images/train/a.png", "masks/train/a.png"], [("images/train/a.png", "masks/train/a.png", "train")]),
        (["images/a.png", "masks/a.png", "instances/a.png", "notes/z.png"], [("images/a.png", "masks/a.png", "")]),
    ],
)  # fmt: skip
def test_pairs_are_found_by_folders_and_endings(tmp_path, names, pairs):
    touch(tmp_path, *names)
    found = source_of_pairs(tmp_path, "set")
    assert found is not None and not {"mask", "image"} & set(found.without)
    got = [
        (str(s.path.relative_to(tmp_path)), str(s.mask.relative_to(tmp_path)), s.split) for s in found.samples
    ]
    assert got == pairs


def test_what_has_no_partner_is_told(tmp_path):
    touch(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/c.png")
    found = source_of_pairs(tmp_path, "set")
    assert [p.name for p in found.without["mask"]] == ["b.png"] and [
        p.name for p in found.without["image"]
    ] == ["c.png"]


def test_a_class_called_mask_is_a_class(tmp_path):
    touch(tmp_path, "mask/1.png", "no_mask/2.png")
    assert source_of_pairs(tmp_path, "set") is None


# What the values mean.


def facts(*counts: dict[int, int], kind: str = "") -> dict[str, MaskValues]:
    return {f"{i}.png": MaskValues((8, 8), c, kind) for i, c in enumerate(counts)}


@pytest.mark.parametrize(
    "counts,void,values,classes,found_void",
    [
        ([{0: 60, 255: 4}], None, (0, 255), ("background", "object"), None),
        ([{0: 60, 1: 4}], None, (0, 1), ("background", "object"), None),
        ([{0: 9, 1: 4, 2: 3}, {0: 9, 7: 2}], None, (0, 1, 2, 7), ("0", "1", "2", "7"), None),
        ([{0: 9, 1: 4, 255: 3}], None, (0, 1), ("background", "object"), 255),
        ([{0: 9, 1: 4, 255: 3}], "none", (0, 1, 255), ("0", "1", "255"), None),
        ([{0: 9, 255: 3}, {0: 9, 1: 4}], "255", (0, 1), ("background", "object"), 255),
        ([{0: 9, 1: 4, 11: 3}], "11", (0, 1), ("background", "object"), 11),
        (
            [{COLOUR + 0xFF0000: 4, COLOUR: 9}],
            None,
            (COLOUR, COLOUR + 0xFF0000),
            ("#000000", "#ff0000"),
            None,
        ),
    ],
)
def test_the_mapping_that_is_proposed(counts, void, values, classes, found_void):
    mapping = propose(facts(*counts), None, Config(void=void)).mapping
    assert (mapping.values, mapping.classes, mapping.void) == (values, classes, found_void)
    assert mapping_of(json.loads(json.dumps(mapping.as_dict()))) == mapping


def test_numbered_objects_become_things_apart():
    numbered = facts(*(dict.fromkeys(range(n), 3) for n in (14, 20, 9, 17)))
    mapping = propose(numbered, None).mapping
    assert mapping.objects and mapping.classes == ("background", "object")
    ids = np.array([[1, 1, 2, 2, 0], [1, 1, 2, 2, 0]])
    assert mapping.labels(ids).tolist() == [[1, 0, 0, 1, 0]] * 2


@pytest.mark.parametrize(
    "counts,names,void,sentence",
    [
        ([{0: 64}], None, None, "hold the value 0 only"),
        ([{0: 9, 1: 2}], ["a", "b", "c"], None, "3 class names are given, and the masks hold 2 values"),
        ([{0: 9, 1: 2}], None, "7", "void is '7', and no mask has that value; they have 0, 1"),
        (
            [{0: 5000, 255: 3000} | dict.fromkeys(range(1, 90), 1)],
            None,
            None,
            "has soft edges, 91 different values",
        ),
        (
            [{0: 9, 255: 2}, {0: 9, 1: 2}, {0: 9, 255: 3}],
            None,
            None,
            r"1 of the masks hold 0 and 1 \(1.png\) and 2 hold 0 and 255 \(0.png\): write the same",
        ),
    ],
)
def test_masks_that_make_no_sense(counts, names, void, sentence):
    with pytest.raises(UserError, match=sentence):
        propose(facts(*counts), names, Config(void=void))


def test_every_kind_of_mask_file_gives_its_numbers():
    values = RNG.integers(0, 4, (6, 7))
    for image in (picture(values), paletted(values)):
        np.testing.assert_array_equal(read_mask(content(image), 2)[0], values)
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [1, 2, 3]], np.uint8)[values]
    got, kind = read_mask(content(picture(colours)), 2)
    assert kind == "colours" and set(np.unique(got)) == {
        COLOUR,
        COLOUR + 0xFF0000,
        COLOUR + 0x00FF00,
        COLOUR + 0x010203,
    }
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, (values * 1000).astype(np.uint16))
    read, _ = read_mask(buffer.getvalue(), 2)
    assert (read == values.astype(int) * 1000).all()
    buffer = io.BytesIO()
    np.save(buffer, values + 0.5)
    with pytest.raises(Unreadable, match="fractions"):
        read_mask(buffer.getvalue(), 2)


def test_a_value_outside_the_mapping_names_value_and_pixels():
    with pytest.raises(Unreadable, match="the value 9 in 2 pixels, which is not one of 0, 1"):
        Mapping((0, 1), ("a", "b")).labels(np.array([[0, 9], [9, 1]]))


def test_small_images_are_filled_up_and_the_filling_does_not_count():
    image, labels = RNG.integers(0, 9, (5, 7, 1)), np.ones((5, 7), np.uint8)
    labels[0, 0] = VOID
    x, y = filled(image, labels, 8, [4.0])
    assert x.shape == (8, 8, 1) and (x[:5, :7] == image).all() and (x[5:] == 4).all()
    assert (
        (y[5:] == IGNORED).all()
        and (y[:, 7:] == IGNORED).all()
        and y[0, 0] == IGNORED
        and (y == 1).sum() == 34
    )


# Written back.


def test_masks_round_trip_with_values_names_and_resolution(tmp_path):
    labels = RNG.integers(0, 2, (9, 11), dtype=np.uint8)
    Image.fromarray(labels).save(tmp_path / "in.png", dpi=(300, 300))
    write_map(Mapping((0, 255), ("a", "b")).value_of()[labels], tmp_path / "out.png", tmp_path / "in.png")
    with Image.open(tmp_path / "out.png") as got:
        np.testing.assert_array_equal(np.asarray(got), labels * 255)
        assert got.info["dpi"][0] == pytest.approx(300, abs=0.1)
    tifffile.imwrite(tmp_path / "in.tif", labels, resolution=(25400.0, 25400.0), resolutionunit=3)
    mapping = Mapping((COLOUR, COLOUR + 0xFF8000), ("a", "b"))
    write_map(mapping.value_of()[labels], tmp_path / "out.tif", tmp_path / "in.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        np.testing.assert_array_equal(file.asarray()[labels == 1], [[255, 128, 0]] * int(labels.sum()))
        assert file.pages.first.tags["XResolution"].value == (25400, 1)
    assert target(Path("/d/x/a.nii.gz"), Path("/o"), Path("/d"), 3) == Path("/o/x/a.tif")
    assert target(Path("/d/x/a.jpg"), Path("/o"), None, 2) == Path("/o/a.png")


# Through the commands.


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Bright squares on noise, of odd sizes, in folders like a user's."""
    root = tmp_path_factory.mktemp("squares")
    for i in range(16):
        shape = (41 + i, 64 - i)
        mask = np.zeros(shape, np.uint8)
        y, x = RNG.integers(4, 20, 2)
        mask[y : y + 15, x : x + 15] = 255
        image = RNG.integers(0, 90, shape) + (mask > 0) * 100
        (root / "images").mkdir(exist_ok=True)
        (root / "masks").mkdir(exist_ok=True)
        picture(image).save(root / "images" / f"{i:02}.png")
        picture(mask).save(root / "masks" / f"{i:02}.png")
    return root


@pytest.fixture(scope="module")
def run(squares, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    return eyespot.train(squares, epochs=30, batch=4, size=48, out=out)


def test_train_and_evaluate_on_masks(run):
    scores = run.evaluation.scores
    assert scores["mean_iou"]["value"] > 0.9 and scores["mean_iou"]["n"] == 3
    assert set(scores["classes"]) == {"background", "object"} and "v_rand" in scores
    assert run.evaluate().scores["mean_iou"] == scores["mean_iou"]
    text = str(run.evaluation)
    assert "by bootstrap over images" in text and "macro" in text and "worst images, by mean IoU: " in text
    report = (run.folder / "report.html").read_text()
    assert "The worst images" in report and "data:image/png" in report
    with Image.open(run.folder / "first-batch.png") as sheet:
        assert sheet.width > 500


def test_predict_writes_masks_of_the_inputs_sizes(run, squares, tmp_path, cli):
    answers = eyespot.predict(run.folder, sorted((squares / "images").iterdir()))
    assert [a.labels.shape for a in answers] == [(41 + i, 64 - i) for i in range(16)]
    done = cli("predict", run.folder, squares / "images", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    for i, answer in enumerate(answers):
        with Image.open(tmp_path / "out" / f"{i:02}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), answer.labels * 255)
    done = cli("predict", run.folder, squares / "images")
    assert done.code == 2 and "name a folder for them with --out" in done.err


def test_masks_are_written_over_no_file(run, squares, tmp_path, cli):
    before = {p: p.read_bytes() for p in squares.rglob("*.png")}
    for folder in ("images", "masks"):
        done = cli("predict", run.folder, squares / "images", "-o", squares / folder)
        assert done.code == 2 and f"16 mask files already exist, such as {squares / folder}" in done.err, done
    assert before == {p: p.read_bytes() for p in squares.rglob("*.png")}
    (tmp_path / "00.png").write_bytes(b"mine")
    done = cli("predict", run.folder, squares / "images", "-o", tmp_path)
    assert done.code == 1 and "1 mask file already exists, such as" in done.err and "15 masks in" in done.out
    assert (tmp_path / "00.png").read_bytes() == b"mine"


def test_a_network_for_classes_is_refused(squares, tmp_path):
    with pytest.raises(UserError, match="resnet18 is for classes"):
        eyespot.train(squares, epochs=1, model="resnet18", out=tmp_path / "run")


def test_groups_of_masks_with_named_classes(squares, tmp_path):
    folder = shutil.copytree(squares, tmp_path / "named")
    (folder / "classes.txt").write_text("nothing\nsquare\n")
    found = survey_data(folder, Config(void="none"))
    division = split_rows(found, Config(str(folder), group=r"(\d)\.png"))
    assert len(division.train) and len(division.val)


def test_the_split_of_a_run_is_a_data_set(run):
    found = eyespot.look(run.folder / "split.csv").as_dict()
    assert found["images"] == 16 and found["mapping"]["values"] == ["0", "255"]


def test_look_tells_what_is_wrong_with_masks(squares, tmp_path):
    import shutil

    shutil.copytree(squares, tmp_path / "bad")
    bad = tmp_path / "bad"
    picture(np.zeros((5, 5))).save(bad / "masks" / "00.png")
    (bad / "masks" / "01.png").unlink()
    (bad / "masks" / "02.png").write_bytes(b"no picture")
    look = eyespot.look(bad).as_dict()
    texts = " ".join(p["text"] for p in look["problems"])
    assert "1 image without a mask" in texts and "2 pairs cannot be used" in texts
    reasons = " ".join(look["unreadable"].values())
    assert "its mask 00.png is 5 x 5, and it is 64 x 41" in reasons and "02.png cannot be read" in reasons
    assert look["mapping"]["classes"] == ["background", "object"] and look["images"] == 13


def test_empty_masks_are_refused(squares, tmp_path):
    import shutil

    shutil.copytree(squares, tmp_path / "empty")
    for path in (tmp_path / "empty" / "masks").iterdir():
        picture(np.zeros((5, 5))).save(path)
    with pytest.raises(UserError, match="hold the value 0 only"):
        eyespot.train(tmp_path / "empty", epochs=1, out=tmp_path / "run")


def test_settings_that_do_not_belong_are_refused(squares, tmp_path):
    with pytest.raises(UserError, match="fit is for data of classes"):
        eyespot.train(squares, fit="crop", epochs=1, out=tmp_path / "a")
    with pytest.raises(UserError, match="loss is for images with masks"):
        eyespot.train("digits", loss="dice", epochs=1, out=tmp_path / "b")
    with pytest.raises(UserError, match=r"loss 'ce\+dise' has 'dise'; did you mean 'dice'"):
        eyespot.train(squares, loss="ce+dise", epochs=1, out=tmp_path / "c")
    with pytest.raises(UserError, match="recipe part 'whiten' is not for masks, which know ema and muon"):
        eyespot.train(squares, epochs=1, recipe="muon|whiten", out=tmp_path / "parts")


def test_images_that_cannot_be_read_are_reported(squares, tmp_path):
    import shutil

    shutil.copytree(squares, tmp_path / "bad")
    for path in (tmp_path / "bad" / "images").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"none of the 16 files of bad can be read; the first, .*0 bytes"):
        eyespot.look(tmp_path / "bad")


def test_masks_of_other_names_are_reported(tmp_path):
    for folder, name in (("images", "img_1.png"), ("masks", "mask_1.png")):
        (tmp_path / folder).mkdir()
        picture(np.eye(8)).save(tmp_path / folder / name)
    with pytest.raises(
        UserError, match=r"no mask has the name of an image: .*img_1.png is an image, .*mask_1.png a mask"
    ):
        source_of_pairs(tmp_path, "set")


def test_a_mask_that_is_gone_is_told_by_evaluate(run, squares, tmp_path):
    shutil.copytree(squares, tmp_path / "set")
    rows = [f"images/{i:02}.png,masks/{i:02}.png" for i in range(16)]
    (tmp_path / "set" / "pairs.csv").write_text("\n".join(["path,mask", *rows]))
    (tmp_path / "set" / "masks" / "03.png").unlink()
    result = run.evaluate(tmp_path / "set" / "pairs.csv")
    assert len(result.errors) == 1 and "no such file" in next(iter(result.errors.values()))


def test_a_palette_mask_that_is_cut_short_is_told():
    with pytest.raises(Unreadable, match="damaged or cut short"):
        read_mask(content(paletted(RNG.integers(0, 4, (60, 70))))[:-200], 2)


@pytest.mark.parametrize("shape", [(400_000,), (2000, 1500), (150, 140, 130)])
def test_validation_predicts_a_million_samples_of_an_image_at_most(shape):
    middle = crops._middle(np.zeros(shape, np.uint8))
    assert 5e4 < middle.size <= 2**20
    assert len(crops.evenly_spaced(np.arange(31))) == 16 and len(crops.evenly_spaced(np.arange(5))) == 5


def test_one_group_of_all_is_refused(squares, tmp_path):
    with pytest.raises(UserError, match=r"--group '\^/' puts all \d+ images of .* into one group"):
        eyespot.train(squares, epochs=1, group="^/", out=tmp_path / "run")


def test_a_run_repeats_and_starts_another(run, squares, tmp_path):
    again = eyespot.train(config=run.folder / "plan.toml", out=tmp_path / "again")
    assert (again.folder / "history.csv").read_text().split(",")[0] == "epoch"
    ours, theirs = (r.predictor.network.state_dict() for r in (run, again))
    assert all((ours[name] == theirs[name]).all() for name in ours)
    more = eyespot.train(
        squares, start_from=run.folder, fine_tune=True, epochs=2, batch=4, size=48, out=tmp_path / "m"
    )
    assert more.predictor.card.preset == "unet_narrow" and more.evaluation.scores["mean_iou"]["value"] > 0.9


def test_masks_of_signals_and_volumes(tmp_path):
    for dim, shape in ((1, (90,)), (3, (16, 18, 10))):
        root = tmp_path / str(dim)
        for kind in ("images", "masks"):
            (root / kind).mkdir(parents=True)
        for i in range(6):
            mask = np.zeros(shape, np.uint8)
            mask[tuple(slice(3, n // 2 + i % 3) for n in shape)] = 1
            values = RNG.normal(size=shape) * 0.3 + 2 * mask
            np.save(root / "images" / f"{i}.npy", values.astype(np.float32))
            np.save(root / "masks" / f"{i}.npy", mask)
        run = eyespot.train(root, epochs=20, batch=4, out=tmp_path / f"run{dim}")
        assert run.evaluation.scores["mean_iou"]["value"] > 0.8
        assert eyespot.predict(run.folder, root / "images" / "0.npy")[0].labels.shape == shape


def test_time_for_scoring_whole_images_is_kept(squares, monkeypatch):
    plan = make_plan(
        survey_data(str(squares)),
        Config(str(squares), epochs=1, size=48, device="cpu"),
        clock(),
    )
    task, quick = plan.task, reserve(plan.task, plan.val, plan.timed)
    assert task.prediction_precision() == "float32"
    count = overlap.count
    monkeypatch.setattr(overlap, "count", lambda *maps: (time.sleep(0.5), count(*maps))[1])
    assert task.scoring(plan.val) > 0.5 * len(plan.val)
    assert reserve(task, plan.val, plan.timed) > quick + 0.5 * len(plan.val)
