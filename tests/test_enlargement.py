"""`eyespot augment`: pictures of a pipeline, and data sets enlarged by copies that can be made again and do not leak."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from scipy.io import wavfile

import eyespot
from conftest import write_set
from eyespot.augment.pipeline import Pipeline, parse
from eyespot.config import Config
from eyespot.data.surveys.survey_data import survey_data
from eyespot.enlargement.change import Classes, changed
from eyespot.enlargement.originals import Original
from eyespot.errors import UserError
from eyespot.training.division import split_rows


def table_of(folder):
    with (folder / "augmented.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("photos") / "photos", per_class=6, kinds=2)


@pytest.fixture(scope="module")
def enlarged(photos):
    result = eyespot.augment_data(
        photos, augment="flip|rotate(20)|noise(0.1)", copies=2, out=photos.parent / "more"
    )
    return photos, result


def test_originals_are_kept_and_copies_are_added(enlarged):
    photos, result = enlarged
    assert (result.originals, result.copies) == (12, 24)
    originals = sorted(p.relative_to(photos) for p in photos.rglob("*.*") if p.is_file())
    for path in originals:
        written = (result.folder / path).with_suffix(".png")
        assert np.array_equal(np.array(Image.open(photos / path)), np.array(Image.open(written)))
        copies = [written.with_name(f"{written.stem}_aug{k}.png") for k in (1, 2)]
        values = [np.array(Image.open(p)) for p in (written, *copies)]
        assert not np.array_equal(values[0], values[1]) and not np.array_equal(values[1], values[2])
    assert len(list(result.folder.rglob("*.png"))) == 36
    assert "copies stay on one side of the split" in str(result) and f"eyespot train {result.folder}" in str(
        result
    )


def test_each_copy_is_made_again_from_its_row(enlarged):
    _, result = enlarged
    rows = [row for row in table_of(result.folder) if row["seed"]]
    assert len(rows) == 24 and len({row["seed"] for row in rows}) == 24
    for row in rows[:6]:
        image = torch.from_numpy(np.array(Image.open(row["source"]))).movedim(-1, 0)[None]
        pipeline = Pipeline(parse(row["transform"], 2))
        parameters = pipeline.sample(torch.Generator().manual_seed(int(row["seed"])), image.shape)
        again = pipeline.apply(image, parameters)[0].movedim(0, -1).numpy()
        assert np.array_equal(again, np.array(Image.open(result.folder / row["path"])))
        written = json.loads(row["parameters"])
        assert written[0] == parameters[0].tolist()[0]
        assert written[1] == pytest.approx(parameters[1].tolist()[0]) and "by the seed" in written[2]


def test_the_same_seed_writes_the_same_files(enlarged, tmp_path):
    photos, result = enlarged
    for seed, is_same in ((0, True), (1, False)):
        again = eyespot.augment_data(
            photos, augment="flip|rotate(20)|noise(0.1)", copies=1, out=tmp_path / str(seed), seed=seed
        )
        paths = [row["path"] for row in table_of(again.folder) if row["seed"]]
        equal = [(again.folder / p).read_bytes() == (result.folder / p).read_bytes() for p in paths]
        assert all(equal) if is_same else not any(equal)


def test_copies_that_a_folder_has_already_are_no_originals(enlarged, tmp_path):
    _, first = enlarged
    second = eyespot.augment_data(first.folder, augment="noise(0.2)", copies=1, out=tmp_path / "second")
    third = eyespot.augment_data(second.folder, augment="noise(0.2)", copies=1, out=tmp_path / "third")
    assert (second.originals, second.copies) == (12, 24 + 36)
    assert (third.originals, third.copies) == (12, 60 + 72)
    assert "12 originals and 60 copies" in str(second)
    survey = survey_data(third.folder)
    clusters = split_rows(survey, Config(group=r"([^/]+/[^/]+)\.png$")).clusters
    assert len(survey.labels) == 144 and len(set(clusters.tolist())) == 12


@pytest.mark.parametrize("by_table", [False, True])
def test_copies_of_training_images_never_validate(enlarged, by_table):
    _, result = enlarged
    survey = survey_data(result.folder / "augmented.csv" if by_table else result.folder)
    assert len(survey.labels) == 36 and len(survey.classes) == 2
    sources = [row["source"] for row in table_of(result.folder)]
    of_path = {row["path"]: source for row, source in zip(table_of(result.folder), sources, strict=True)}
    for seed in range(5):
        division = split_rows(survey, Config(seed=seed))
        names = [survey.path(row).removeprefix(f"{result.folder}/") for row in range(36)]
        train = {of_path[names[row]] for row in division.train}
        val = {of_path[names[row]] for row in division.val}
        assert not train & val and len(division.val) % 3 == 0
    if not by_table:
        assert any("augmented.csv" in str(guess) for guess in survey.guesses)


def test_an_expression_for_groups_does_not_divide_copies_from_their_original(enlarged):
    _, result = enlarged
    for data in (result.folder, result.folder / "augmented.csv"):
        survey = survey_data(data)
        config = Config(group=r"([^/]+/[^/]+)\.png$", seed=1)  # the name, which a copy does not share
        clusters = split_rows(survey, config).clusters
        of_original = {}
        for row in range(36):
            original = survey.source.samples[int(survey.images.rows[row])].original
            of_original.setdefault(original, set()).add(int(clusters[row]))
        assert len(of_original) == 12 and all(len(joined) == 1 for joined in of_original.values())
        assert len(set(split_rows(survey, Config(group=".+", duplicates="keep")).clusters.tolist())) > 30


def test_copies_do_not_leak_from_a_folder_that_was_moved_or_is_one_of_several(enlarged, tmp_path):
    _, result = enlarged
    shutil.copytree(result.folder, tmp_path / "wrapped" / "more")
    survey = survey_data(tmp_path / "wrapped")
    assert len(set(survey.source.groups)) == 12 and len(survey.labels) == 36
    (tmp_path / "divided" / "train").mkdir(parents=True)
    for path in result.folder.iterdir():
        where = tmp_path / "divided" / ("train" if path.is_dir() else "")
        (shutil.copytree if path.is_dir() else shutil.copy)(path, where / path.name)
    table = tmp_path / "divided" / "augmented.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join([rows[0], *(f"train/{row}" for row in rows[1:])]))
    survey = survey_data(tmp_path / "divided" / "train")
    assert len(set(survey.source.groups)) == 12
    other = tmp_path / "other"
    shutil.copytree(result.folder, other)
    (other / "augmented.csv").write_text("path,what\n")  # of another program
    assert survey_data(other).source.groups is None


def test_volumes_of_nifti_keep_their_place_and_are_turned_in_millimetres(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    rng = np.random.default_rng(0)
    affine = np.diag([0.7, -0.8, 4.0, 1.0])
    affine[:3, 3] = 5, 40, -9
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for i in range(3):
        mask = np.zeros((20, 22, 7), np.uint8)
        mask[4:12, 5:17, 2:5] = 1
        image = (rng.integers(0, 50, mask.shape) + 100 * mask).astype(np.int16)
        for folder, values in (("images", image), ("masks", mask)):
            nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "data" / folder / f"{i}.nii.gz")
    result = eyespot.augment_data(tmp_path / "data", augment="rotate3d(30)", copies=1, out=tmp_path / "more")
    row = next(row for row in table_of(result.folder) if row["seed"])
    written = nibabel.load(result.folder / row["path"])
    assert np.allclose(written.affine, affine) and (result.folder / row["mask"]).name.endswith(".nii.gz")
    survey = survey_data(result.folder)
    assert len(survey.labels) == 6 and survey.headers[0].spacing == pytest.approx((4.0, 0.8, 0.7))
    before = survey_data(tmp_path / "data")
    axis = torch.tensor([json.loads(row["parameters"])[0]])
    original = torch.from_numpy(np.array(before.images.pixels[int(row["source"].rpartition("/")[2][0])]))
    turned = Pipeline(parse("rotate3d(30)"), (4.0, 0.8, 0.7)).apply(
        original.movedim(-1, 0)[None].float(), (axis,)
    )
    (place,) = [k for k in range(6) if survey.path(k).endswith(row["path"])]
    assert np.allclose(survey.images.pixels[place][..., 0], turned[0, 0], atol=0.01)


def test_groups_of_the_data_stay(photos, tmp_path):
    result = eyespot.augment_data(photos, augment="shift", copies=1, out=tmp_path / "more", group=r"(\d)\.")
    groups = {row["group"] for row in table_of(result.folder)}
    assert groups <= set("0123456789") and len(groups) > 1


def test_validation_and_test_sets_have_originals_only(tmp_path):
    for split in ("train", "val"):
        write_set(tmp_path / "data" / split, per_class=3, kinds=2)
    result = eyespot.augment_data(tmp_path / "data", augment="shift", copies=3, out=tmp_path / "more")
    rows = table_of(result.folder)
    assert sum(row["split"] == "val" for row in rows) == 6 and not any(
        r["seed"] for r in rows if r["split"] == "val"
    )
    assert sum(row["split"] == "train" for row in rows) == 24
    survey = survey_data(result.folder)
    assert sorted(set(survey.splits.tolist())) == ["train", "val"]
    assert "; the val set has originals only" in str(result)


def test_mirrored_copies_go_to_the_other_class(tmp_path):
    for name in ("left", "right"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(3):
            noise = np.random.default_rng(i + 10 * (name == "left")).integers(0, 99, (8, 8))
            Image.fromarray(noise.astype(np.uint8)).save(tmp_path / "data" / name / f"{i}.png")
    result = eyespot.augment_data(
        tmp_path / "data", augment="flip(p=1, swaps='left,right')", copies=1, out=tmp_path / "more"
    )
    rows = table_of(result.folder)
    assert len({row["path"].lower() for row in rows}) == 12
    for row in rows:
        source = "left" if "/left/" in row["source"] else "right"
        other = {"left": "right", "right": "left"}[source]
        assert row["label"] == (other if row["seed"] else source) == row["path"].split("/")[0]
        number = Path(row["source"]).stem
        assert Path(row["path"]).stem == (f"{source}-{number}_aug1" if row["seed"] else number)


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """Images with masks that number objects, one above 255"""
    root = tmp_path_factory.mktemp("objects") / "data"
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i in range(5):
        ids = np.zeros((30, 40), np.uint16)
        ids[3:12, 4:14], ids[15:25, 10:22], ids[5:20, 26:36] = 1, 2, 300 + i
        image = (rng.integers(0, 60, ids.shape) + 120 * (ids > 0)).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"{i}.png")
        Image.fromarray(ids).save(root / "masks" / f"{i}.png")
    return root


def test_masks_follow_and_keep_their_values(objects, tmp_path):
    pipeline = "rotate(40)|elastic(3)|shear"
    result = eyespot.augment_data(objects, augment=pipeline, copies=2, out=tmp_path / "more", objects=True)
    assert f"eyespot train {result.folder} --objects" in str(result)
    for row in table_of(result.folder):
        mask = np.array(Image.open(result.folder / row["mask"]))
        image = np.array(Image.open(result.folder / row["path"]))
        source = objects / "masks" / row["source"].rpartition("/")[2]
        assert (
            set(np.unique(mask)) <= set(np.unique(np.array(Image.open(source)))) and mask.shape == image.shape
        )
        assert ((image > 90) == (mask > 0)).mean() > 0.9
        assert row["mask"].rpartition("/")[2] == row["path"].rpartition("/")[2]
    survey = survey_data(result.folder, Config(objects=True))
    assert survey.task == "segmentation" and survey.mapping.objects and len(survey.labels) == 15


def test_signals_sounds_and_volumes_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        for kind in ("sounds", "tables", "stacks"):
            (tmp_path / kind / name).mkdir(parents=True)
        for i in range(2):
            samples = rng.integers(-9000, 9000, 4000).astype(np.int16)
            wavfile.write(tmp_path / "sounds" / name / f"{i}.wav", 8000, samples)
            np.save(tmp_path / "tables" / name / f"{i}.npy", rng.normal(size=(100, 3)).astype(np.float32))
            volume = rng.integers(0, 9999, (5, 8, 9)).astype(np.uint16)
            tifffile.imwrite(tmp_path / "stacks" / name / f"{i}.tif", volume, photometric="minisblack")
    for kind, augment in (
        ("sounds", "gain|time_mask"),
        ("tables", "time_shift|stretch"),
        ("stacks", "rotate3d|gamma"),
    ):
        result = eyespot.augment_data(
            tmp_path / kind, augment=augment, copies=1, out=tmp_path / f"more-{kind}"
        )
        before, after = survey_data(tmp_path / kind), survey_data(result.folder)
        assert after.preprocessing.as_dict() | {"stored": []} == before.preprocessing.as_dict() | {
            "stored": []
        }
        rows = {row["path"]: row for row in table_of(result.folder)}
        assert len(after.labels) == 8
        for row in range(8):
            of_row = rows[after.path(row).removeprefix(f"{result.folder}/")]
            (source,) = [k for k in range(4) if before.path(k) == of_row["source"]]
            is_equal = np.array_equal(after.images.pixels[row], before.images.pixels[source])
            assert is_equal == (not of_row["seed"]), kind


@pytest.mark.parametrize(
    ("dtype", "channels", "ending"),
    [
        (np.uint8, 1, "png"),
        (np.uint8, 3, "png"),
        (np.uint16, 1, "png"),
        (np.uint16, 3, "tif"),
        (np.float32, 1, "tif"),
        (np.uint8, 5, "tif"),
    ],
)
def test_every_depth_and_number_of_channels_is_written_without_loss(tmp_path, dtype, channels, ending):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(2):
            values = (rng.random((20, 22, channels)) * (200 if dtype != np.uint16 else 60000)).astype(dtype)
            tifffile.imwrite(
                tmp_path / "data" / name / f"{i}.tif",
                values[..., 0] if channels == 1 else values,
                photometric="rgb" if channels == 3 else "minisblack",
                **({"planarconfig": "contig"} if channels > 1 else {}),
            )
    result = eyespot.augment_data(tmp_path / "data", augment="flip(p=1)", copies=1, out=tmp_path / "more")
    before, after = survey_data(tmp_path / "data"), survey_data(result.folder)
    assert (
        after.preprocessing.depth == before.preprocessing.depth and after.preprocessing.channels == channels
    )
    assert len(list(result.folder.rglob(f"*.{ending}"))) == 8
    pixels = {after.path(row).removeprefix(f"{result.folder}/"): after.images.pixels[row] for row in range(8)}
    of_source = {before.path(row): before.images.pixels[row] for row in range(4)}
    width = slice(None, 22) if after.preprocessing.fit == "pad" else slice(None)
    for row in table_of(result.folder):
        ours, source = pixels[row["path"]], of_source[row["source"]]
        assert np.array_equal(ours[:, width], source[:, width][:, ::-1] if row["seed"] else source[:, width])


def test_classes_of_a_mask_are_exchanged_by_their_values():
    mask = np.array([[0, 10, 10], [20, 0, 0]])
    flip = parse("flip(p=1, swaps='left,right')", 2)
    original = Original(np.zeros((2, 3, 1), np.uint8), mask)
    copy = changed(original, 0, flip, 1, Classes(("background", "left", "right"), (0, 10, 20)))
    assert copy.mask.tolist() == [[20, 20, 0], [0, 0, 10]]
    planes = np.stack([mask == 10, mask == 20])
    copy = changed(Original(original.image, planes), 0, flip, 1, Classes(("left", "right")))
    assert copy.mask[1].tolist() == (mask == 10)[:, ::-1].tolist()
    colour = np.where(mask > 0, (1 << 62) + mask, 0)  # which no float holds
    moved = changed(
        Original(original.image, colour), 0, parse("flip(p=1)", 2), 1, Classes(("a", "b"), (0, 1))
    )
    assert moved.mask.tolist() == colour[:, ::-1].tolist()


def test_names_of_copies_that_change_their_class_never_collide(tmp_path):
    names = ("left/1", "left/right-1_aug1", "right/1", "right/left-1_aug1", "right/1_aug1")
    for i, name in enumerate(names):
        path = tmp_path / "data" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 99, (8, 8)).astype(np.uint8)).save(path)
    flips = "flip(p=1, swaps='left,right')"
    result = eyespot.augment_data(tmp_path / "data", augment=flips, copies=1, out=tmp_path / "more")
    assert len({row["path"] for row in table_of(result.folder)}) == 10
    assert len(list(result.folder.rglob("*.png"))) == 10


def test_copies_differ_from_their_original_or_are_said_to_equal_it(photos, tmp_path):
    result = eyespot.augment_data(photos, augment="flip|rotate90", copies=4, out=tmp_path / "more")
    for row in table_of(result.folder):
        original = np.array(Image.open(row["source"]))
        copy = np.array(Image.open(result.folder / row["path"]))
        assert np.array_equal(copy, original) == (not row["seed"])
        if row["seed"]:
            sampled = Pipeline(parse(row["transform"], 2))
            image = torch.from_numpy(original).movedim(-1, 0)[None]
            parameters = sampled.sample(torch.Generator().manual_seed(int(row["seed"])), image.shape)
            assert np.array_equal(sampled.apply(image, parameters)[0].movedim(0, -1).numpy(), copy)
    assert result.equal == 0 and "equal" not in str(result)
    for i, name in enumerate(("a/1", "a/2", "b/1", "b/2")):
        values = (
            np.random.default_rng(i).integers(0, 255, (8, 8), np.uint8) if i else np.zeros((8, 8), np.uint8)
        )
        path = tmp_path / "plain" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    result = eyespot.augment_data(tmp_path / "plain", augment="flip", copies=3, out=tmp_path / "again")
    assert result.equal == 3 and "warning: 3 copies equal their original" in str(result)


def test_names_never_collide(tmp_path):
    for folder, name in (("a/x", "1"), ("a/y", "1"), ("a", "1_aug1"), ("b", "1"), ("b", "{c}")):
        (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(len(name)).integers(0, 99, (8, 8)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / "data" / folder / f"{name}.png")
    result = eyespot.augment_data(tmp_path / "data", augment="shift(0.3)", copies=1, out=tmp_path / "more")
    rows = table_of(result.folder)
    assert len({row["path"] for row in rows}) == len(rows) == 10 == len(list(result.folder.rglob("*.png")))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"copies": 2}, "copies are written into a folder: name a new one"),
        ({"copies": 0, "out": "more"}, "copies is 0; give a whole number from 1 to 1000"),
        (
            {"copies": 1, "out": "new", "augment": "none"},
            "'none' changes nothing, so that copies would be equal",
        ),
        (
            {"copies": 1, "out": "new", "augment": "mixup"},
            "'mixup' mixes images of a batch, which only training has",
        ),
        ({"copies": 1, "out": "there"}, "there exists: name a new folder"),
        ({"copies": 1, "out": "photos/more"}, "is inside the data .*: name a folder elsewhere"),
        ({"augment": "rotate3d"}, "'rotate3d', which needs three axes; an image has two"),
        ({"augment": "gain"}, "'gain', which is for signals"),
        ({"augment": "flip(swaps='left,right')"}, "swaps the class 'left', which the data do not have"),
    ],
)
def test_refusals(photos, settings, message):
    (photos.parent / "there").mkdir(exist_ok=True)
    if "out" in settings:
        settings = settings | {"out": photos.parent / settings["out"]}
    with pytest.raises(UserError, match=message):
        eyespot.augment_data(photos, **settings)
    assert (
        not (photos / "more").exists()
        and not (photos.parent / "new").exists()
        and not list((photos.parent / "there").iterdir())
    )


def test_files_that_cannot_be_read_and_guesses_are_said(tmp_path):
    write_set(tmp_path / "data" / "photos", per_class=3, kinds=2)
    broken = next((tmp_path / "data" / "photos").rglob("*.*"))
    broken.write_bytes(broken.read_bytes()[:60])
    result = eyespot.augment_data(tmp_path / "data", augment="shift", copies=1, out=tmp_path / "more")
    assert result.originals == 5 and "warning: 1 file cannot be read: left out" in str(result)
    assert "guess: folder: photos/" in str(result)


def test_a_class_that_cannot_be_a_folder_is_refused(tmp_path):
    for i in range(4):
        noise = np.random.default_rng(i).integers(0, 99, (8, 8)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    (tmp_path / "list.csv").write_text("path,label\n0.png,a/b\n1.png,a/b\n2.png,c\n3.png,c\n")
    with pytest.raises(UserError, match="class 'a/b' cannot be the name of a folder"):
        eyespot.augment_data(tmp_path / "list.csv", augment="shift", copies=1, out=tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_the_picture_is_written_and_replaces_only_its_own(photos, objects, tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for data, more in ((photos, ()), (objects, ("--objects",)), ("waves", ())):
        result = cli("augment", str(data), *more)
        name = f"{getattr(data, 'stem', data)}-augment.png"
        assert result.code == 0 and f"picture {name}" in result.out
        with Image.open(tmp_path / name) as picture:
            assert picture.width > 500
    assert "shift(0.06) (a mirrored signal may mean something else)" in result.out
    other = tmp_path / "mine.png"
    Image.new("L", (4, 4)).save(other)
    assert cli("augment", str(photos), "-o", str(other)).code == 2
    assert cli("augment", str(photos), "-o", str(other), "--force", "--augment", "trivial").code == 0
    assert cli("augment", str(photos), "-o", str(other)).code == 0  # ours now


def test_the_command_writes_an_enlarged_set(photos, tmp_path, cli):
    out = tmp_path / "more"
    result = cli("augment", str(photos), "--copies", "1", "--augment", "shift(0.1)", "-o", str(out))
    assert result.code == 0 and "12 originals and 12 copies" in result.out
    again = cli("augment", str(photos), "--copies", "1", "-o", str(out))
    assert again.code == 2 and "exists: name a new folder" in again.err and "Traceback" not in again.err
