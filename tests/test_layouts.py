"""Folders as strangers have them: which task and samples they mean, what is said about it, and what is refused."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import one_sentence
from eyespot.config import Config
from eyespot.data.formats.channel_files import channel_names
from eyespot.data.sources.find import find_samples
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError

N = 6


def picture(seed: int) -> np.ndarray:
    """Noise with a bright square, (40, 40) uint8: what no label map looks like."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 120, (40, 40))
    values[label_map(seed) > 0] += 100
    return values.astype(np.uint8)


def label_map(seed: int) -> np.ndarray:
    """0 and 255: a square, (40, 40) uint8."""
    values = np.zeros((40, 40), np.uint8)
    a, b = np.random.default_rng(seed).integers(2, 20, 2)
    values[a : a + 14, b : b + 12] = 255
    return values


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Image.fromarray(values).save(file, "TIFF" if path.suffix in (".tif", ".tiff") else "PNG")


def pictures(root: Path, pattern: str, n: int = N, first: int = 0) -> None:
    for i in range(first, first + n):
        save(root / pattern.format(i=i), picture(i + len(pattern)))


def masks(root: Path, pattern: str, n: int = N, first: int = 0) -> None:
    for i in range(first, first + n):
        save(root / pattern.format(i=i), label_map(i))


def guess_of(source, name: str):
    return next(guess for guess in source.guesses if guess.name == name)


PAIRS = [
    ("imagesTr/c_{i}.png", "labelsTr/c_{i}.png"),
    ("imagesTr/c_{i}_0000.png", "labelsTr/c_{i}.png"),
    ("VOC/JPEGImages/2007_{i}.jpg", "VOC/SegmentationClass/2007_{i}.png"),
    ("img_dir/train/{i}.png", "ann_dir/train/{i}.png"),
    ("leftImg8bit/train/aa/aa_{i}_19_leftImg8bit.png", "gtFine/train/aa/aa_{i}_19_gtFine_labelIds.png"),
    ("train/{i}.jpg", "train_masks/{i}_mask.gif"),
    ("train/{i}.png", "trainannot/{i}.png"),
    ("Original/{i}.tif", "Ground Truth/{i}.tif"),
    ("input/{i}.png", "target/{i}.png"),
    ("frames/img{i:03}.png", "GT/gt{i:03}.png"),
    ("x/img_{i}.png", "x_labels/lbl_{i}.png"),
    ("case_{i}/image.png", "case_{i}/mask.png"),
    ("case_{i}/scan.png", "case_{i}/seg.png"),
    ("p{i}/p{i}_ct.png", "p{i}/p{i}_seg.png"),
    ("all/{i}.tif", "all/{i}_seg.png"),
    ("all/{i}.tif", "all/{i}.tif.mask.png"),
    ("all/img_{i}.png", "all/mask_{i}.png"),
    ("{i}.png", "{i}_L.png"),
    ("all/{i}.jpg", "all/{i}.png"),
    ("{i}.tif", "{i}.png"),
    ("s{i}/orig.png", "s{i}/aseg.png"),
    ("s{i}/s{i}_orig.tif", "s{i}/s{i}_roi.png"),
    ("raw/{i}.png", "GroundTruth/{i}_gt.png"),
    ("stills/0001TP_{i:05}.png", "LabeledApproved/0001TP_{i:05}_L.png"),
    ("slides/{i}.tif", "slides_out/{i}.tif.png"),
    ("train/slides/{i}.png", "train/areas/{i}.png"),
    ("deep/er/data/scans/{i}.png", "deep/er/data/annotations/{i}.png"),
]  # fmt: skip


@pytest.mark.parametrize("image,mask", PAIRS)
def test_masks_never_become_classes(tmp_path, image, mask):
    pictures(tmp_path, image)
    masks(tmp_path, mask)
    source = find_samples(tmp_path)
    got = {(s.path, s.mask) for s in source.samples}
    assert got == {(tmp_path / image.format(i=i), tmp_path / mask.format(i=i)) for i in range(N)}
    assert not source.without and not source.by_class
    guess = guess_of(source, "task")
    assert (
        guess.value == "segmentation"
        and "--task classification" in guess.option
        and "--masks" in guess.option
    )
    assert image.format(i=0) in guess.reason and mask.format(i=0) in guess.reason


@pytest.mark.parametrize("image,mask", PAIRS[:8])
def test_the_task_that_is_asked_for_is_obeyed(tmp_path, image, mask):
    pictures(tmp_path, image)
    masks(tmp_path, mask)
    assert find_samples(tmp_path, Config(task="segmentation")).has_masks
    try:
        assert not find_samples(tmp_path, Config(task="classification")).has_masks
    except UserError as error:
        assert "no folder per class" in str(error)


def test_segmentation_never_falls_back_to_classes(tmp_path):
    pictures(tmp_path, "cats/{i}.png")
    pictures(tmp_path, "dogs/{i}.png")
    with pytest.raises(UserError, match=r"no masks whose names match .* --images PATTERN --masks PATTERN"):
        find_samples(tmp_path, Config(task="segmentation"))


@pytest.mark.parametrize("a,b", [("cats", "dogs"), ("day", "night"), ("with_mask", "without_mask")])
def test_photographs_of_equal_names_are_classes(tmp_path, a, b):
    pictures(tmp_path, a + "/{i}.jpg")
    pictures(tmp_path, b + "/{i}.jpg")
    source = find_samples(tmp_path)
    assert source.classes == (a, b) and not source.has_masks


@pytest.mark.parametrize(
    "image,mask",
    [
        (("cat/{i}.jpg", "dog/{i}.jpg"), ("cat/roi/{i}.png", "dog/roi/{i}.png")),
        (("s1/ses/anat/{i}.png", "s2/ses/anat/{i}.png"), ("s1/ses/region/{i}.png", "s2/ses/region/{i}.png")),
        (("trainx/{i}.png", "testx/{i}.png"), ("trainy/{i}.png", "testy/{i}.png")),
        (("scene/IMG_{i:04}.png",), ("drawn/draw{i}.png",)),
        (
            ("a1/orig.png", "a2/orig.png", "a3/orig.png", "a4/orig.png"),
            ("a1/aseg.png", "a2/aseg.png", "a3/aseg.png"),
        ),
    ],
)
def test_label_maps_among_the_files_of_classes_are_refused(tmp_path, image, mask):
    for pattern in image:
        pictures(tmp_path, pattern)
    for pattern in mask:
        masks(tmp_path, pattern)
    with pytest.raises(UserError, match=r"look like masks, such as .* --task classification"):
        find_samples(tmp_path)
    assert find_samples(tmp_path, Config(task="classification")).classes


def test_label_maps_beside_images_of_classes_are_left_out(tmp_path):
    for name in ("cat", "dog"):
        pictures(tmp_path, name + "/{i}.jpg")
        masks(tmp_path, name + "/{i}.png")
    source = find_samples(tmp_path, Config(task="classification"))
    assert len(source.samples) == 2 * N and all(s.path.suffix == ".jpg" for s in source.samples)
    assert "12 files left out" in guess_of(source, "images").value


def test_images_of_one_colour_are_no_masks(tmp_path):
    pictures(tmp_path, "scene/{i}.png")
    for i in range(N):
        save(tmp_path / "blank" / f"{i}.png", np.full((40, 40), 20 * i, np.uint8))
    assert find_samples(tmp_path).classes == ("blank", "scene")


def test_two_label_maps_of_each_case_are_refused(tmp_path):
    pictures(tmp_path, "s{i}/orig.png")
    masks(tmp_path, "s{i}/aseg.png")
    masks(tmp_path, "s{i}/parts.png")
    with pytest.raises(UserError, match="look like label maps of orig") as error:
        find_samples(tmp_path)
    chosen = re.findall("--(masks|images) '(.*?)'", str(error.value))
    assert len(find_samples(tmp_path, Config(**dict(chosen))).samples) == N


def test_drawings_of_equal_names_in_all_folders_are_classes(tmp_path):
    masks(tmp_path, "circles/{i}.png")
    masks(tmp_path, "squares/{i}.png")
    assert find_samples(tmp_path).classes == ("circles", "squares")


@pytest.mark.parametrize("a,b", [("raw", "label"), ("clutter", "target"), ("input", "truth")])
def test_folders_called_masks_that_hold_photographs_are_refused(tmp_path, a, b):
    pictures(tmp_path, a + "/{i}.jpg")
    pictures(tmp_path, b + "/{i}.jpg")
    with pytest.raises(
        UserError, match=r"is a picture and no label map: give --task classification .*--masks PATTERN"
    ):
        find_samples(tmp_path)
    assert find_samples(tmp_path, Config(task="classification")).classes == tuple(sorted((a, b)))


def test_a_class_called_like_masks_is_said(tmp_path):
    pictures(tmp_path, "target/t{i}a.jpg")
    pictures(tmp_path, "clutter/{i}.jpg", first=50)
    source = find_samples(tmp_path)
    assert source.classes == ("clutter", "target")
    assert "--task segmentation" in guess_of(source, "task").option


def test_label_maps_of_other_names_are_refused(tmp_path):
    pictures(tmp_path, "slides/{i}.png")
    masks(tmp_path, "truth/z{i}.png", first=70)
    with pytest.raises(
        UserError, match=r"no mask has the name of an image.*--images and --masks.*--task classification"
    ):
        find_samples(tmp_path)


def test_images_without_masks_are_listed(tmp_path):
    pictures(tmp_path, "imagesTr/{i}.png")
    pictures(tmp_path, "imagesTs/{i}.png", first=20)
    masks(tmp_path, "labelsTr/{i}.png")
    source = find_samples(tmp_path)
    assert len(source.samples) == N and {p.parent.name for p in source.without["mask"]} == {"imagesTs"}


def test_splits_of_image_and_mask_folders(tmp_path):
    for split, n in (("Tr", 6), ("Ts", 3)):
        pictures(tmp_path, f"images{split}/{{i}}.png", n)
        masks(tmp_path, f"labels{split}/{{i}}.png", n)
    source = find_samples(tmp_path)
    assert [s.split for s in source.samples] == ["train"] * 6 + ["test"] * 3
    assert all(s.mask.parent.name[-2:] == s.path.parent.name[-2:] for s in source.samples)


def test_equal_names_in_several_splits_are_told_apart(tmp_path):
    for split in ("train", "val", "test"):
        pictures(tmp_path, f"{split}/{{i}}.png")
        masks(tmp_path, f"{split}_labels/{{i}}.png")
    source = find_samples(tmp_path)
    assert len(source.samples) == 3 * N and source.splits == ("train", "val", "test")
    assert all(s.mask.parent.name == f"{s.path.parent.name}_labels" for s in source.samples)


def test_one_mask_folder_of_images_in_two_is_refused(tmp_path):
    pictures(tmp_path, "one/{i}.png")
    pictures(tmp_path, "two/{i}.png")
    masks(tmp_path, "masks/{i}.png")
    with pytest.raises(UserError, match=r"masks/0.png is the mask of 2 images .*--images 'one/\*'"):
        find_samples(tmp_path)
    source = find_samples(tmp_path, Config(images="two/*"))
    assert {s.path.parent.name for s in source.samples} == {"two"} and len(source.samples) == N


@pytest.mark.parametrize(
    "pattern", ["P_{i}/P_{i}_{kind}.png", "{kind}/{i}.png", "P_{i}/{kind}.png", "all/case{i}_{kind}.png"]
)
def test_several_modalities_are_channels_and_one_can_be_chosen(tmp_path, pattern):
    for kind in ("flair", "t1", "t1ce"):
        pictures(tmp_path, pattern.replace("{kind}", kind))
    masks(tmp_path, pattern.replace("{kind}", "seg"))
    source = find_samples(tmp_path)
    assert len(source.samples) == N and {channel_names(s.path) for s in source.samples} == {
        ("flair", "t1", "t1ce")
    }
    guess = guess_of(source, "channels")
    assert "flair, t1, t1ce" in guess.value and "--images PATTERN" in guess.option
    assert survey_data(tmp_path).preprocessing.channels == 3
    source = find_samples(tmp_path, Config(images=pattern.format(i="*", kind="t1").replace("P_*/P_*", "*/*")))
    assert len(source.samples) == N and all("t1" in str(s.path) for s in source.samples)


def test_modalities_by_number_are_channels(tmp_path):
    for kind in ("0000", "0001"):
        pictures(tmp_path, f"imagesTr/liver_{{i}}_{kind}.png")
    masks(tmp_path, "labelsTr/liver_{i}.png")
    source = find_samples(tmp_path)
    assert source.samples[0].path == tmp_path / "imagesTr" / "liver_0_{0000,0001}.png"


def test_of_variants_the_label_map_is_chosen_and_said(tmp_path):
    pictures(tmp_path, "leftImg8bit/train/bonn/bonn_{i}_leftImg8bit.png")
    for kind in ("color", "instanceIds", "labelIds", "labelTrainIds"):
        masks(tmp_path, f"gtFine/train/bonn/bonn_{{i}}_gtFine_{kind}.png")
    source = find_samples(tmp_path)
    assert {s.mask.name.split("_")[-1] for s in source.samples} == {"labelIds.png"} and not source.without
    guess = guess_of(source, "masks")
    assert "labelIds" in guess.value and "color" in guess.reason and guess.option == "--masks PATTERN"


def test_voc_has_masks_of_classes_and_of_objects(tmp_path):
    pictures(tmp_path, "JPEGImages/{i}.jpg")
    masks(tmp_path, "SegmentationClass/{i}.png")
    masks(tmp_path, "SegmentationObject/{i}.png")
    source = find_samples(tmp_path)
    assert {s.mask.parent.name for s in source.samples} == {"SegmentationClass"}
    objects = find_samples(tmp_path, Config(masks="SegmentationObject/*"))
    assert {s.mask.parent.name for s in objects.samples} == {"SegmentationObject"}


def test_variants_that_cannot_be_told_are_refused(tmp_path):
    pictures(tmp_path, "images/{i}.png")
    masks(tmp_path, "mask/{i}.png")
    masks(tmp_path, "1st_manual/{i}.png")
    with pytest.raises(UserError, match=r"images/0.png has 2 masks .*--masks '1st_manual/\*'"):
        find_samples(tmp_path)


def test_masks_of_two_namings_are_refused(tmp_path):
    """As DRIVE has them: the mask of the field of view has the name of the image, the vessels another."""
    pictures(tmp_path, "training/images/{i}_training.tif")
    masks(tmp_path, "training/mask/{i}_training_mask.gif")
    masks(tmp_path, "training/1st_manual/{i}_manual1.gif")
    with pytest.raises(UserError, match=r"has 2 masks .*--masks '\*\*/1st_manual/\*'"):
        find_samples(tmp_path)
    source = find_samples(tmp_path, Config(masks="training/1st_manual/*"))
    assert {s.mask.parent.name for s in source.samples} == {"1st_manual"} and len(source.samples) == N


def test_one_folder_of_drawings_among_several_is_refused(tmp_path):
    pictures(tmp_path, "photo/{i}.png")
    pictures(tmp_path, "paint/{i}.png")
    masks(tmp_path, "sketch/{i}.png")
    with pytest.raises(
        UserError, match=r"looks like label maps of paint/ and photo/ .*--task classification .*--masks"
    ):
        find_samples(tmp_path)
    assert len(find_samples(tmp_path, Config(task="classification")).classes) == 3


def test_images_and_masks_in_a_test_folder_only_have_no_split(tmp_path):
    pictures(tmp_path, "test/broken/{i}.png")
    masks(tmp_path, "ground_truth/broken/{i}_mask.png")
    assert find_samples(tmp_path).splits == ("",)


def test_a_second_mask_of_a_few_images_is_not_ignored(tmp_path):
    pictures(tmp_path, "benign/benign ({i}).png")
    masks(tmp_path, "benign/benign ({i})_mask.png")
    masks(tmp_path, "benign/benign ({i})_mask_1.png", n=1)
    with pytest.raises(UserError, match=r"has 2 masks"):
        find_samples(tmp_path)


def test_a_few_masks_among_photographs_of_classes_are_refused(tmp_path):
    pictures(tmp_path, "cats/{i}.png", 9)
    pictures(tmp_path, "dogs/{i}.png", 9, first=20)
    masks(tmp_path, "cats/{i}_mask.png", 2)
    with pytest.raises(UserError, match=r"2 images of 18 .*--task segmentation .*--task classification"):
        find_samples(tmp_path)
    source = find_samples(tmp_path, Config(task="classification"))
    assert len(source.samples) == 18 and "2 files" in guess_of(source, "images").value


def test_patterns_overrule_everything(tmp_path):
    pictures(tmp_path, "photos/a/{i}.jpg")
    masks(tmp_path, "other/a/{i}.png")
    masks(tmp_path, "masks/a/{i}.png")
    options = Config(images="photos/**/*.jpg", masks="other/**/*.png")
    source = find_samples(tmp_path, options)
    assert len(source.samples) == N and all(s.mask.parent.parent.name == "other" for s in source.samples)
    assert find_samples(tmp_path, Config(images="photos", masks="other")).samples == source.samples
    for settings, message in (
        ({"masks": "nothing/*"}, r"--masks 'nothing/\*' matches no file"),
        ({"images": "photos/**/*", "masks": "photos/**/*"}, "matches --images and --masks"),
        ({"images": "/photos/*"}, "an absolute path"),
        ({"masks": "masks/**/*", "task": "classification"}, "--masks is for segmentation"),
    ):
        with pytest.raises(UserError, match=message):
            find_samples(tmp_path, Config(**settings))


def test_notes_beside_images_are_no_masks(tmp_path):
    pictures(tmp_path, "images/{i}.png")
    masks(tmp_path, "masks/{i}.png")
    (tmp_path / "masks" / "0.txt").write_text("1 2 3")
    (tmp_path / "labels.csv").write_text("a,b\n")
    assert len(find_samples(tmp_path).samples) == N


# Folders of classes.


def classes_of(source) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for sample in source.samples:
        counts[sample.label, sample.split] = counts.get((sample.label, sample.split), 0) + 1
    return counts


@pytest.mark.parametrize(
    "patterns,expected,guessed",
    [
        (["data/{c}/{i}.png"], [""], ["folder"]),
        (["a/b/{c}/{i}.png"], [""], ["folder"]),
        (["seg_train/seg_train/{c}/{i}.png", "seg_test/seg_test/{c}/{i}.png"], ["train", "test"], ["split"]),
        (["x/training_set/{c}/{i}.png", "x/test_set/{c}/{i}.png"], ["train", "test"], ["folder", "split"]),
        (["Train/{c}/{i}.png", "Valid/{c}/{i}.png"], ["train", "val"], []),
        (["{c}/train/{i}.png", "{c}/val/{i}.png"], ["train", "val"], ["split"]),
        (["{c}_train/{i}.png", "{c}_test/{i}.png"], ["train", "test"], ["classes"]),
        (["train-{c}/{i}.png", "val-{c}/{i}.png"], ["train", "val"], ["classes"]),
    ],
)  # fmt: skip
def test_classes_and_splits_of_every_nesting(tmp_path, patterns, expected, guessed):
    for pattern in patterns:
        for c in ("cats", "dogs"):
            pictures(tmp_path, pattern.replace("{c}", c))
    source = find_samples(tmp_path)
    assert classes_of(source) == {(c, split): N for c in ("cats", "dogs") for split in expected}
    assert [guess.name for guess in source.guesses] == guessed
    assert source.classes == ("cats", "dogs") and not source.without


@pytest.mark.parametrize("names", [("bus", "car", "train"), ("test", "train", "val", "x"), ("train", "tram")])
def test_a_class_called_like_a_split_is_a_class(tmp_path, names):
    for name in names:
        pictures(tmp_path, name + "/{i}.png")
    source = find_samples(tmp_path)
    assert source.classes == names and source.splits == ("",)


def test_a_folder_that_may_be_a_class_or_a_split_is_refused(tmp_path):
    for name in ("bus", "train"):
        for side in ("front", "rear"):
            pictures(tmp_path, f"{name}/{side}/{{i}}.png")
    with pytest.raises(UserError, match=r"it is a split, or a class beside bus/.*--label-from"):
        find_samples(tmp_path)
    classes = find_samples(tmp_path, Config(label_from="^([^/]+)/"))
    assert classes.classes == ("bus", "train") and classes.splits == ("",)
    assert find_samples(tmp_path, Config(label_from="^train/([^/]+)/")).classes == ("front", "rear")


def test_a_split_below_some_classes_only_is_said(tmp_path):
    for folder in ("cats/train", "cats/val", "dogs"):
        pictures(tmp_path, folder + "/{i}.png")
    source = find_samples(tmp_path)
    assert source.classes == ("cats", "dogs") and source.splits == ("",)
    assert "dogs/ has no folder that means training" in guess_of(source, "split").reason


def test_a_test_folder_without_classes_is_outside(tmp_path):
    for c in ("cats", "dogs"):
        pictures(tmp_path, f"train/{c}/{{i}}.png")
    pictures(tmp_path, "test/test/{i}.png")
    source = find_samples(tmp_path)
    assert source.classes == ("cats", "dogs") and len(source.without["class"]) == N
    assert source.splits == ("train",)


@pytest.mark.parametrize("pattern", ["{c}.{i}.png", "train/{c}_{i:04}.png", "all/images/{c}-{i}-x.png"])
def test_classes_in_the_names_of_files(tmp_path, pattern):
    for c in ("cat", "great_dane"):
        pictures(tmp_path, pattern.replace("{c}", c))
    source = find_samples(tmp_path)
    assert source.classes == ("cat", "great_dane") and len(source.samples) == 2 * N
    assert "--label-from" in guess_of(source, "classes").option


@pytest.mark.parametrize("first,second", [("IMG_{i}", "DSC_{i}"), ("3_{i}", "7_{i}"), ("{i}", "x{i}")])
def test_names_that_tell_no_class_are_refused(tmp_path, first, second):
    pictures(tmp_path, f"train/{first}.png")
    pictures(tmp_path, f"train/{second}.png", first=40)
    with pytest.raises(UserError, match=r"no folder per class.*--label-from REGEX") as refusal:
        find_samples(tmp_path)
    assert "empty" not in str(refusal.value) and "CSV" in str(refusal.value)


def test_the_class_by_an_expression(tmp_path):
    for digit in (3, 7):
        for split in ("train", "test"):
            pictures(tmp_path, f"{split}/{digit}_{{i}}.png")
    source = find_samples(tmp_path, Config(label_from=r"^(\d)_"))
    assert classes_of(source) == {(c, s): N for c in "37" for s in ("train", "test")}
    assert find_samples(tmp_path, Config(label_from=r"^(train)/|^(?:test)/(3)_")).classes == ("train",)
    for pattern, message in (("(", "not a regular"), ("abc", "has no group"), ("(z+)", "matches none")):
        with pytest.raises(UserError, match=message):
            find_samples(tmp_path, Config(label_from=pattern))


def test_a_table_in_a_folder_of_images_is_offered(tmp_path):
    pictures(tmp_path, "images/{i}.png")
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(f"images/{i}.png,a\n" for i in range(N)))
    with pytest.raises(UserError, match=r"give .*labels\.csv, which lists them"):
        find_samples(tmp_path)


# What is no data.


def test_what_systems_leave_is_skipped_and_listed(tmp_path):
    for c in ("a", "b"):
        pictures(tmp_path, c + "/{i}.png")
    pictures(tmp_path, "a/@eaDir/0.png/{i}.png", 1)
    for name in ("lost+found", "System Volume Information", "$RECYCLE.BIN/x", "empty/er"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b" / "Thumbs.db").write_bytes(b"x")
    source = find_samples(tmp_path)
    assert source.classes == ("a", "b") and len(source.samples) == 2 * N and not source.ignored
    names = {path.name for path in source.skipped}
    assert names == {
        "@eaDir",
        "lost+found",
        "System Volume Information",
        "$RECYCLE.BIN",
        "empty",
        "Thumbs.db",
    }
    notes = [p for p in survey_data(tmp_path).problems if "skipped" in p.text]
    assert len(notes) == 1 and notes[0].level == "note" and len(notes[0].files) == 6


def test_links_back_end(tmp_path):
    for c in ("a", "b"):
        pictures(tmp_path / "d", c + "/{i}.png")
    os.symlink("..", tmp_path / "d" / "a" / "up")
    os.symlink(tmp_path, tmp_path / "d" / "b" / "far")
    os.symlink("../b", tmp_path / "d" / "a" / "over")
    os.symlink("itself", tmp_path / "d" / "b" / "itself")
    (tmp_path / "d" / "a" / "over").unlink()
    source = find_samples(tmp_path / "d")
    assert len(source.samples) == 2 * N and {p.name for p in source.skipped} == {"up", "far"}


def test_folders_that_link_to_each_other_end(tmp_path):
    for c in ("a", "b"):
        pictures(tmp_path, c + "/{i}.png")
    os.symlink("../b", tmp_path / "a" / "x")
    os.symlink("../a", tmp_path / "b" / "y")
    assert len(find_samples(tmp_path).samples) <= 4 * N


def test_the_content_of_a_file_decides(tmp_path):
    for c in ("a", "b"):
        pictures(tmp_path, c + "/{i}.png")
    for i, name in enumerate(("0", "1.png?w=640", "2.PNG_large", "3.image", "4.bin")):
        (tmp_path / "a" / f"{i}.png").rename(tmp_path / "a" / name)
    (tmp_path / "a" / "notes").write_text("no image")
    source = find_samples(tmp_path)
    assert len(source.samples) == 2 * N and source.ignored == {"no ending": 1}


def test_masks_without_endings_are_matched(tmp_path):
    for i in range(N):
        save(tmp_path / "images" / f"{i}", picture(i))
        save(tmp_path / "masks" / f"{i}", label_map(i))
    assert len(find_samples(tmp_path).samples) == N


# Tables.


@pytest.mark.parametrize(
    "header,row",
    [
        ("filename,class", "im/{i}.png,{c}"),
        ("Image Path;Label", "im/{i}.png;{c}"),
        ("image_id,label", "{i},{c}"),
        ("id,file_name,category", "9{i},im/{i}.png,{c}"),
        ("path,label", "im\\{i}.png,{c}"),
        ("path,label", "C:\\set\\im\\{i}.png,{c}"),
        ("path,label", "/elsewhere/im/{i}.png,{c}"),
        ("path,label", " im/{i}.png , {c} "),
        ("img,set,species", "im/{i}.png,train,{c}"),
    ],
)
def test_tables_whose_meaning_is_plain(tmp_path, header, row):
    pictures(tmp_path, "im/{i}.png", 12)
    rows = [row.format(i=i, c="ab"[i % 2]) for i in range(12)]
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]))
    source = find_samples(tmp_path / "t.csv")
    assert source.classes == ("a", "b") and all(
        s.path.samefile(tmp_path / "im" / s.path.name) for s in source.samples
    )
    assert len({s.path for s in source.samples}) == 12
    if header != "path,label" or row[0] in "C/":
        assert source.guesses and all(guess.reason and guess.option for guess in source.guesses)


def test_a_column_of_0_and_1_for_each_class(tmp_path):
    pictures(tmp_path, "im/{i}.png", 6)
    rows = [f"{i},{int(i < 3)}.0,{int(i == 3)}.0,{int(i > 3)}.0" for i in range(6)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["image,MEL,NV,BCC", *rows]))
    source = find_samples(table)
    assert [s.label for s in source.samples] == ["MEL"] * 3 + ["NV"] + ["BCC"] * 2
    assert "the 1 in MEL, NV, BCC" in guess_of(source, "columns").value
    table.write_text("\n".join(["image,MEL,NV,BCC", *rows[:5], "5,1.0,1.0,0"]))
    with pytest.raises(
        UserError, match=r"1 row of 6 .*line 7 has the 1 in MEL, NV.* and an image has one class"
    ):
        find_samples(table)


@pytest.mark.parametrize(
    "content,message",
    [
        ("filename,width,xmin,ymin,class\na,1,2,3,b\n", "lists boxes"),
        ("path,label,mask\na,b,c\n", "--task classification or --task segmentation"),
        ("path,age,sex\na,3,f\n", "no column label or mask"),
        ("im,x\na,b\n", "no column path"),
    ],
)
def test_tables_whose_meaning_is_not_plain_are_refused(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        find_samples(tmp_path / "t.csv")


def test_a_table_obeys_the_task(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("path,label,mask\na,b,c\n")
    assert find_samples(table, Config(task="classification")).samples[0].label == "b"
    assert find_samples(table, Config(task="segmentation")).has_masks
    table.write_text("path,label\na,b\n")
    with pytest.raises(UserError, match=r"no column mask"):
        find_samples(table, Config(task="segmentation"))
    with pytest.raises(UserError, match=r"--images is for folders"):
        find_samples(table, Config(images="*.png"))


def test_names_that_fit_several_files_are_refused(tmp_path):
    pictures(tmp_path, "one/{i}.png")
    pictures(tmp_path, "two/{i}.png")
    (tmp_path / "t.csv").write_text("id,image_id,label\n1,0,a\n")
    with pytest.raises(UserError, match=r"line 2 names 0, and 2 files"):
        find_samples(tmp_path / "t.csv")


def test_labels_that_are_nearly_equal(tmp_path):
    pictures(tmp_path, "im/{i}.png", 12)
    labels = ["a", "a ", "Cat", "cat", "1", "1.0", "1.5", "2", "b-c", "b_c", "d", "e"]
    rows = [f"im/{i}.png,{label}" for i, label in enumerate(labels)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *rows]))
    survey = survey_data(tmp_path / "t.csv")
    assert "a " not in survey.classes and "a" in survey.classes
    warned = [p.text for p in survey.problems if "nearly equal" in p.text]
    assert len(warned) == 3 and all(w.count("'") == 4 for w in warned)


def test_class_folders_that_are_nearly_equal(tmp_path):
    for name in ("cat", "Cat", "dog ", "dog"):
        pictures(tmp_path, name + "/{i}.png")
    survey = survey_data(tmp_path)
    assert survey.classes == ("Cat", "cat", "dog")
    assert [p.level for p in survey.problems if "nearly equal" in p.text] == ["warning"]


# From outside.


def test_guesses_are_in_the_report_and_the_options_overrule(cli, tmp_path):
    pictures(tmp_path / "d", "input/{i}.png")
    masks(tmp_path / "d", "target/{i}.png")
    sheet = tmp_path / "sheet.png"
    look = json.loads(cli("look", tmp_path / "d", "--json", "-o", sheet).out)
    assert look["task"] == "segmentation" and look["guesses"][0]["name"] == "task"
    look = cli("look", tmp_path / "d", "--task", "classification", "--json", "-o", tmp_path / "b.png")
    assert json.loads(look.out)["classes"] == ["input", "target"]
    said = one_sentence(cli("look", tmp_path / "d", "--masks", "no/*", "-o", sheet))
    assert "matches no file" in said


def test_evaluate_reads_for_the_task_of_the_model(cli, trained, tmp_path):
    run, data = trained
    for folder in ("rows", "columns"):
        for path in sorted((data / folder).iterdir())[:4]:
            target = tmp_path / "set" / f"{folder}_label" / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    said = one_sentence(cli("evaluate", run.folder, tmp_path / "set"))
    assert "does not know the class 'columns_label'" in said
    result = cli("evaluate", run.folder, tmp_path / "set", "--label-from", "([a-z]+)_label/", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["accuracy"]["n"] == 8


def test_the_split_of_a_run_reads_back(trained, tmp_path):
    run, data = trained
    source = find_samples(run.folder / "split.csv", Config(task="classification"))
    expected = {(s.path.resolve(), s.label) for s in find_samples(data).samples}
    assert {(s.path, s.label) for s in source.samples} == expected and not source.guesses
