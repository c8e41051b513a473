"""Masks of other tools: a file per object, annotation files with outlines, and what is said of those with boxes only."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import one_sentence
from eyespot.config import Config
from eyespot.data.annotations.fill import fill_polygons, lengths_of_text
from eyespot.data.annotations.yolo import names_in
from eyespot.data.masks.mapping import VOID
from eyespot.data.masks.source import load_mask
from eyespot.data.sources.find import find_samples
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def picture(seed: int, shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape)


def rectangle(top: int, left: int, height: int, width: int, value: int = 255) -> np.ndarray:
    mask = np.zeros((24, 32), np.uint8)
    mask[top : top + height, left : left + width] = value
    return mask


def texts(survey) -> str:
    return " | ".join(problem.text for problem in survey.problems)


def overruled(survey) -> dict[str, str]:
    return {guess.name: guess.option for guess in survey.guesses}


# A file per object.


def nuclei(root: Path, image: str = "{i:04x}/images/{i:04x}.png", mask: str = "{i:04x}/masks/{i}a{k}.png"):
    """Three images with two rectangles each, that do not touch."""
    for i in range(3):
        save(root / image.format(i=i), picture(i))
        for k in range(2):
            save(root / mask.format(i=i, k=k), rectangle(2 + i, 3 + 12 * k, 4, 5 + k))


LAYOUTS = {
    "a folder per image": {},
    "a folder per image below masks": {"image": "images/{i}.png", "mask": "masks/{i}/obj{i}{k}.png"},
    "numbers in a folder per image": {"image": "images/im{i}.png", "mask": "masks/im{i}/{k}.png"},
    "below a split": {"image": "train/{i}/images/{i}.png", "mask": "train/{i}/masks/{i}a{k}.png"},
    "numbers in the names": {"image": "images/a{i}.png", "mask": "masks/a{i}_{k}{i}.png"},
    "words and numbers in the names": {"image": "images/a{i}.png", "mask": "masks/a{i}_mask_{i}{k}.png"},
    "no folder of images": {"image": "{i}/{i}.png", "mask": "{i}/masks/{i}a{k}.png"},
    "a wrapper": {"image": "stage1/x{i}/images/x{i}.png", "mask": "stage1/x{i}/masks/h{i}a{k}.png"},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_file_per_object_is_one_mask_of_numbered_objects(tmp_path, layout):
    nuclei(tmp_path, **layout)
    survey = survey_data(tmp_path)
    assert survey.task == "segmentation" and survey.mapping.objects
    assert [*survey.classes] == ["background", "object"] and len(survey.labels) == 3
    sample = survey.source.samples[1]
    values, _ = load_mask(sample, sample.mask, 2, survey.mapping)
    assert (values == rectangle(3, 3, 4, 5, 1) + rectangle(3, 15, 4, 6, 2)).all()
    assert overruled(survey) == {"task": "--task classification", "masks": "--classes"}
    assert not [problem for problem in survey.problems if problem.level != "note"]


def test_objects_of_a_file_each_are_one_class_if_asked(tmp_path):
    nuclei(tmp_path)
    survey = survey_data(tmp_path, Config(objects=False))
    assert not survey.mapping.objects and survey.mapping.values == (0, 1)
    assert sorted(np.unique(survey.images.labels[0])) == [0, 1]


def test_overlapping_objects_are_counted_and_the_smallest_is_kept(tmp_path):
    nuclei(tmp_path)
    save(tmp_path / "0000/masks/z.png", rectangle(2, 4, 2, 2))
    save(tmp_path / "0001/masks/none.png", rectangle(0, 0, 0, 0))
    survey = survey_data(tmp_path)
    assert "objects overlap in 1 mask" in texts(survey) and "1 object has no pixel" in texts(survey)
    sample = survey.source.samples[0]
    values, _ = load_mask(sample, sample.mask, 2, survey.mapping)
    assert (values[2:4, 4:6] == 3).all() and (values == 1).sum() == 20 - 4


def test_masks_that_cover_each_other_are_refused(tmp_path, cli):
    """Masks of several people, or with the object at 0: never numbered objects."""
    for i in range(3):
        save(tmp_path / f"{i}/images/{i}.png", picture(i))
        for k in range(2):
            save(tmp_path / f"{i}/masks/{i}{k}.png", 255 - rectangle(2 + k, 3, 4, 5))
    assert "objects overlap in 3 masks" in one_sentence(cli("train", tmp_path, "--out", tmp_path / "run"))


def test_an_empty_folder_of_masks_is_an_image_without_objects(tmp_path):
    nuclei(tmp_path)
    save(tmp_path / "0003/images/0003.png", picture(3))
    (tmp_path / "0003/masks").mkdir()
    save(tmp_path / "0004/images/0004.png", picture(4))
    survey = survey_data(tmp_path)
    assert len(survey.labels) == 4 and not survey.images.labels[3].any()
    assert "1 image without any object" in texts(survey) and "1 image without a mask is skipped" in texts(
        survey
    )


@pytest.mark.parametrize(
    "values,reason",
    [
        (np.full((24, 30), 255), "another size"),
        (rectangle(2, 3, 4, 5, 1) + rectangle(9, 3, 4, 5, 2), "holds the values 0, 1, 2"),
    ],
    ids=["another size", "numbered already"],
)
def test_a_file_that_is_not_one_object_is_named(tmp_path, values, reason):
    nuclei(tmp_path)
    save(tmp_path / "0001/masks/y.png", values)
    survey = survey_data(tmp_path)
    unusable = next(problem for problem in survey.problems if "cannot be used" in problem.text)
    assert "y.png" in unusable.files[0] and reason in unusable.files[0]


def test_objects_may_be_coloured(tmp_path):
    nuclei(tmp_path)
    inside = rectangle(2, 3, 4, 5, 1)[..., None]
    save(tmp_path / "0000/masks/0a0.png", np.concatenate([inside * 200, inside * 9, inside * 0], -1))
    assert (drawn(survey_data(tmp_path), 0) == numbered(0)).all()


def test_a_file_per_class_is_not_a_file_per_object(tmp_path):
    nuclei(tmp_path, mask="{i:04x}/masks/class{k}.png")
    with pytest.raises(UserError):
        survey_data(tmp_path)


def test_two_masks_of_each_image_are_objects_if_asked(tmp_path, cli):
    """They may be classes, or the work of two people."""
    nuclei(tmp_path, "images/{i}.png", "masks/{i}_{k}.png")
    assert "masks such as 0_0.png and 0_1.png: use --objects" in one_sentence(cli("look", tmp_path))
    assert "use --objects" in one_sentence(cli("look", tmp_path, "--classes"))
    survey = survey_data(tmp_path, Config(objects=True))
    assert all((drawn(survey, i) == numbered(i)).all() for i in range(3))
    for i in range(3):
        save(tmp_path / f"masks/{i}_2.png", rectangle(15, 2, 3, 3))
    assert find_samples(tmp_path).samples[0].mask == tmp_path / "masks/0_*"
    save(tmp_path / "masks/1_2.png", rectangle(15, 2, 3, 3) + rectangle(15, 20, 3, 3))
    assert "use --objects" in one_sentence(cli("look", tmp_path))


@pytest.mark.parametrize(
    "image,mask",
    [("images/{i}.png", "masks/{i}.png"), ("images/{i}.png", "masks/class{k}/{i}.png")],
    ids=["a mask per image", "a folder per class"],
)
def test_other_masks_are_not_files_of_objects(tmp_path, image, mask):
    nuclei(tmp_path, image, mask)
    assert not any(sample.mask and sample.mask.is_dir() for sample in find_samples(tmp_path).samples)


def test_data_that_needs_objects_is_evaluated_as_it_was_trained(tmp_path, cli):
    nuclei(tmp_path / "d", "images/{i}.png", "masks/{i}_{k}.png")
    run = tmp_path / "run"
    trained = cli("train", tmp_path / "d", "--objects", "--epochs", 1, "--out", run, "--model", "unet_narrow")
    assert trained.code == 0, trained.err
    assert "object_f1" in json.loads(cli("evaluate", run, tmp_path / "d", "--json").out)


def test_the_split_of_a_run_reads_back(tmp_path, cli):
    nuclei(tmp_path / "d")
    run = tmp_path / "run"
    trained = cli("train", tmp_path / "d", "--epochs", 1, "--out", run, "--json", "--model", "unet_narrow")
    assert trained.code == 0, trained.err
    assert "object_f1" in json.loads(trained.out)
    assert "object_f1" in json.loads(cli("evaluate", run, "--json").out)
    seen = json.loads(cli("look", run / "split.csv", "--json", "-o", tmp_path / "sheet.png").out)
    assert seen["objects"] and seen["images"] == 3
    image = tmp_path / "d/0000/images/0000.png"
    assert cli("predict", run, image, "--instances", "-o", tmp_path / "out").code == 0
    assert len([*(tmp_path / "out").iterdir()]) == 1


# Polygons and runs become pixels.


@pytest.mark.parametrize(
    "points,pixels",
    [
        ([(2, 1), (5, 1), (5, 3), (2, 3)], [(y, x) for y in (1, 2) for x in (2, 3, 4)]),
        ([(2.6, 1), (5.4, 1), (5.4, 2), (2.6, 2)], [(1, 3), (1, 4)]),
        ([(-9, -9), (1, -9), (1, 1), (-9, 1)], [(0, 0)]),
        ([(7, 4), (99, 4), (99, 99), (7, 99)], [(4, 7), (5, 7)]),
        ([(50, 50), (60, 50), (60, 60)], []),
        ([(1.1, 1.1), (1.2, 1.1), (1.2, 1.2)], []),
        ([(0, 0), (4, 4), (0, 4)], [(y, x) for y in range(4) for x in range(4) if x < y]),
        ([(0, 0), (0, 2), (6, 2), (6, 0)], [(y, x) for y in range(2) for x in range(6)]),
    ],
    ids="whole middles left_top right_bottom outside tiny triangle counter_clockwise".split(),
)
def test_a_pixel_is_inside_where_its_middle_is(points, pixels):
    inside, (top, left) = fill_polygons([np.array(points, float)], (6, 8))
    assert sorted((y + top, x + left) for y, x in np.argwhere(inside).tolist()) == sorted(pixels)


def test_polygons_agree_with_another_library_and_neighbours_share_no_pixel():
    from matplotlib.path import Path as Outline

    rng = np.random.default_rng(0)
    middles = np.stack(np.meshgrid(np.arange(30) + 0.5, np.arange(20) + 0.5), -1).reshape(-1, 2)
    for corners in (3, 5, 9):
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        points = np.stack([15 + 13 * np.cos(angles), 10 + 9 * np.sin(angles)], 1)
        inside, (top, left) = fill_polygons([points], (20, 30))
        ours = np.zeros((20, 30), bool)
        ours[top : top + len(inside), left : left + inside.shape[1]] = inside
        assert (ours.ravel() == Outline(points).contains_points(middles)).all()
    x = rng.uniform(5, 25)
    claims = np.zeros((20, 30), int)
    for points in ([(0, 0), (x, 0), (x / 2, 20), (0, 20)], [(x, 0), (30, 0), (30, 20), (x / 2, 20)]):
        inside, (top, left) = fill_polygons([np.array(points)], (20, 30))
        claims[top : top + len(inside), left : left + inside.shape[1]] += inside
    assert (claims == 1).all()


def text_of_lengths(lengths: list[int]) -> str:
    """As COCO's own tools write runs."""
    text = ""
    for i, length in enumerate(lengths):
        value = length - (lengths[i - 2] if i > 2 else 0)
        more = True
        while more:
            low = value & 0x1F
            value >>= 5
            more = value != (-1 if low & 0x10 else 0)
            text += chr((low | (0x20 if more else 0)) + 48)
    return text


@pytest.mark.parametrize(
    "lengths", [[5, 3, 700, 2, 9], [0, 1, 1, 40_000, 3, 2], [768], [33, 31, 33, 32, 1, 15]]
)
def test_runs_as_text_are_decoded(lengths):
    assert lengths_of_text(text_of_lengths(lengths)) == lengths


# COCO.


def coco(images: int = 3, categories=((3, "cell"),), shape=(24, 32), **changes) -> dict:
    """Two rectangles on each image; of the categories in turn."""
    annotations = []
    for i in range(images):
        for k in range(2):
            left, top, width, height = 3 + 12 * k, 2 + i, 5 + k, 4
            right, bottom = left + width, top + height
            box = [left, top, right, top, right, bottom - 0.2, right - 0.2, bottom, left, bottom]
            category = categories[k % len(categories)][0]
            entry = {"id": len(annotations), "image_id": i, "category_id": category, "segmentation": [box]}
            annotations.append(entry | {"bbox": [left, top, width, height], "iscrowd": 0} | changes)
    return {
        "images": [
            {"id": i, "file_name": f"{i}.png", "height": shape[0], "width": shape[1]} for i in range(images)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in categories],
    }


def images(folder: Path, n: int = 3) -> None:
    for i in range(n):
        save(folder / f"{i}.png", picture(i))


def numbered(i: int) -> np.ndarray:
    """The mask of image i of `coco` and of `nuclei`."""
    return rectangle(2 + i, 3, 4, 5, 1).astype(int) + rectangle(2 + i, 15, 4, 6, 2)


def drawn(survey, row: int) -> np.ndarray:
    sample = survey.source.samples[row]
    return load_mask(sample, sample.mask, 2, survey.mapping)[0]


@pytest.mark.parametrize(
    "annotations,folder",
    [
        ("annotations.json", "images"),
        ("annotations.json", "."),
        ("annotations/instances.json", "images"),
        ("images/_annotations.coco.json", "images"),
        ("result.json", "data/upload"),
    ],
)
def test_coco_is_read_wherever_it_lies(tmp_path, annotations, folder):
    images(tmp_path / folder)
    write(tmp_path / annotations, coco())
    for data in (tmp_path, tmp_path / annotations):
        if data.is_dir() or folder != "data/upload":
            survey = survey_data(data)
            assert [*survey.classes] == ["background", "cell"] and survey.mapping.objects
            assert all((drawn(survey, i) == numbered(i)).all() for i in range(3))
            assert overruled(survey) == {"task": "--task classification", "masks": "--classes"}
            assert "COCO" in survey.guesses[0].reason
            assert not [problem for problem in survey.problems if problem.level != "note"]


def test_categories_are_classes_with_their_ids_and_names(tmp_path):
    images(tmp_path / "images")
    write(tmp_path / "a.json", coco(categories=((7, "leaf"), (2, "stem"), (9, "never"))))
    survey = survey_data(tmp_path)
    assert survey.mapping.values == (0, 2, 7) and [*survey.classes] == ["background", "stem", "leaf"]
    assert set(np.unique(drawn(survey, 0))) == {0, 2, 7} and not survey.mapping.objects
    assert overruled(survey)["masks"] == "--objects"
    survey = survey_data(tmp_path, Config(objects=True))
    assert [*survey.classes] == ["background", "object"] and (drawn(survey, 0) == numbered(0)).all()


@pytest.mark.parametrize("ids", [(0, 1), (255, 1), (1, 1_000_000)])
def test_ids_that_cannot_be_values_are_numbered(tmp_path, ids):
    images(tmp_path / "images")
    write(tmp_path / "a.json", coco(categories=((ids[0], "stem"), (ids[1], "leaf"))))
    survey = survey_data(tmp_path)
    assert survey.mapping.values == (0, 1, 2) and [*survey.classes] == ["background", "leaf", "stem"]
    assert "1 leaf, 2 stem" in survey.guesses[1].value


def runs_of(mask: np.ndarray) -> list[int]:
    flat = mask.T.ravel() > 0
    edges = np.flatnonzero(np.diff(flat, prepend=False)).tolist()
    return np.diff([0, *edges, flat.size]).tolist()


@pytest.mark.parametrize("encode", [lambda runs: runs, text_of_lengths], ids=["numbers", "text"])
def test_runs_are_read_column_by_column(tmp_path, encode):
    images(tmp_path)
    content = coco()
    for annotation in content["annotations"]:
        i, k = divmod(annotation["id"], 2)
        mask = rectangle(2 + i, 3 + 12 * k, 4, 5 + k)
        annotation["segmentation"] = {"size": [24, 32], "counts": encode(runs_of(mask))}
    write(tmp_path / "a.json", content)
    survey = survey_data(tmp_path)
    assert all((drawn(survey, i) == numbered(i)).all() for i in range(3))


def test_groups_and_boxes_without_an_outline_are_not_counted(tmp_path):
    images(tmp_path)
    content = coco()
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"][2]["segmentation"] = []
    write(tmp_path / "a.json", content)
    survey = survey_data(tmp_path)
    assert "1 group of objects (iscrowd) is not counted" in texts(survey)
    assert "1 object has a bounding box and no outline" in texts(survey)
    for row in (0, 1):
        labels = np.asarray(survey.images.labels[row])
        assert ((labels == VOID) == (numbered(row) == 1)).all()
        assert ((labels == 1) == (numbered(row) == 2)).all()


def test_a_group_is_of_its_class_where_classes_are_trained(tmp_path):
    images(tmp_path)
    write(tmp_path / "a.json", coco(categories=((1, "a"), (2, "b")), iscrowd=1))
    assert set(np.unique(drawn(survey_data(tmp_path), 0))) == {0, 1, 2}


def test_what_coco_leaves_open_is_said(tmp_path):
    images(tmp_path, 5)
    content = coco()
    content["images"] += [{"id": n, "file_name": f"{n}.png"} for n in (3, 8)]
    content["annotations"].append(content["annotations"][0] | {"id": 90, "image_id": 77})
    content["annotations"].append({"id": 91, "image_id": 0, "category_id": 3})
    content["annotations"].append(content["annotations"][0] | {"id": 92})
    write(tmp_path / "a.json", content)
    survey = survey_data(tmp_path)
    said = texts(survey)
    assert len(survey.labels) == 4 and not drawn(survey, 3).any()
    assert "1 image without any object" in said
    assert "1 image without a mask is skipped" in said
    assert "1 annotated image without a file is skipped" in said
    assert "1 annotation belongs to images that the file does not list" in said
    assert "1 annotation has neither an outline nor a box" in said
    assert "objects overlap in 1 mask" in said


def test_outlines_that_are_all_rectangles_are_doubted(tmp_path):
    images(tmp_path)
    write(tmp_path / "a.json", coco(segmentation=[[3, 2, 8, 2, 8, 6, 3, 6]]))
    assert "every outline is a rectangle" in texts(survey_data(tmp_path))


@pytest.mark.parametrize(
    "names",
    [
        ("annotations/instances_train.json", "train", "annotations/instances_val.json", "val"),
        (
            "annotations/instances_train2017.json",
            "train2017",
            "annotations/instances_val2017.json",
            "val2017",
        ),
        ("train/_annotations.coco.json", "train", "valid/_annotations.coco.json", "valid"),
        ("annotations/train.json", "images/train", "annotations/val.json", "images/val"),
    ],
)
def test_splits_of_coco_are_kept_apart(tmp_path, names):
    """Images of equal names in both; categories numbered otherwise in the second."""
    for annotations, folder, numbers in ((*names[:2], (1, 2)), (*names[2:], (2, 1))):
        images(tmp_path / folder)
        write(tmp_path / annotations, coco(categories=((numbers[0], "a"), (numbers[1], "b"))))
    survey = survey_data(tmp_path)
    assert survey.source.splits == ("train", "val") and len(survey.labels) == 6
    assert [*survey.classes] == ["background", "a", "b"]
    for row, sample in enumerate(survey.source.samples):
        assert (drawn(survey, row) == numbered(int(sample.path.stem))).all()
        assert sample.split[:3] in str(sample.path.parent)


def test_the_case_of_names_is_ignored_where_no_other_image_has_it(tmp_path):
    images(tmp_path)
    (tmp_path / "1.png").rename(tmp_path / "1.PNG")
    write(tmp_path / "a.json", coco())
    assert len(find_samples(tmp_path).samples) == 3 and len(survey_data(tmp_path).labels) == 3


def test_captions_beside_outlines_are_left_alone(tmp_path):
    images(tmp_path / "images")
    write(tmp_path / "annotations/instances.json", coco())
    write(
        tmp_path / "annotations/captions.json",
        coco() | {"annotations": [{"id": 0, "image_id": 0, "caption": "x"}]},
    )
    assert {sample.mask.name for sample in find_samples(tmp_path).samples} == {"instances.json"}


def test_names_of_images_with_folders_are_told_apart(tmp_path):
    content = coco()
    for i, name in enumerate(("a/0.png", "b\\0.png", "b/1.png")):
        save(tmp_path / "images" / name.replace("\\", "/"), picture(i))
        content["images"][i]["file_name"] = name
    write(tmp_path / "a.json", content)
    survey = survey_data(tmp_path)
    assert all((drawn(survey, i) == numbered(i)).all() for i in range(3))


def test_image_files_as_masks_go_before_annotations_and_that_is_said(tmp_path):
    nuclei(tmp_path, "images/{i}.png", "masks/{i}.png")
    write(tmp_path / "a.json", coco())
    source = find_samples(tmp_path)
    assert source.samples[0].mask == tmp_path / "masks/0.png"
    assert "a.json" in source.guesses[-1].option


def test_folders_of_classes_beside_annotations_can_be_had(tmp_path):
    for name in "ab":
        images(tmp_path / name)
    write(tmp_path / "boxes.json", coco(segmentation=[]))
    source = find_samples(tmp_path, Config(task="classification"))
    assert source.classes == ("a", "b")


MALFORMED = {
    "a category that is not listed": (
        lambda c: c["annotations"][1].update(category_id=9),
        "annotation 1 .*category 9",
    ),
    "text for numbers": (
        lambda c: c["annotations"][1].update(segmentation=[["x"] * 6]),
        "annotation 1 .*numbers",
    ),
    "an odd number": (
        lambda c: c["annotations"][1].update(segmentation=[[1, 2, 3, 4, 5, 6, 7]]),
        "7 numbers",
    ),
    "not finite": (
        lambda c: c["annotations"][0].update(segmentation=[[float("nan")] * 6]),
        "not a list of numbers",
    ),
    "text for polygons": (
        lambda c: c["annotations"][0].update(segmentation="x"),
        "neither polygons nor runs",
    ),
    "runs without a size": (lambda c: c["annotations"][0].update(segmentation={"counts": [3]}), "size"),
    "runs that do not fit": (
        lambda c: c["annotations"][0].update(segmentation={"counts": [3, 4], "size": [24, 32]}),
        "runs of 7 pixels",
    ),
    "runs cut short": (
        lambda c: c["annotations"][0].update(segmentation={"counts": "ab~", "size": [24, 32]}),
        "cannot be decoded",
    ),
    "negative runs": (
        lambda c: c["annotations"][0].update(segmentation={"counts": [-1, 769], "size": [24, 32]}),
        "not whole numbers",
    ),
    "a box of three": (
        lambda c: c["annotations"][0].update(segmentation=[], bbox=[1, 2, 3, 4, 5, 6]),
        "bbox",
    ),
    "no names of files": (lambda c: c["images"][0].pop("file_name"), "no file_name"),
    "an id that is a list": (lambda c: c["annotations"][0].update(image_id=[1]), "ids are whole numbers"),
    "images that are text": (lambda c: c["images"].append("x"), "images that are not a list"),
    "no outline at all": (lambda c: c.update(annotations=[]), "holds no objects"),
    "captions": (
        lambda c: c.update(annotations=[{"image_id": 0, "caption": "a cell", "category_id": 3}]),
        "captions",
    ),
    "boxes": (
        lambda c: [a.update(segmentation=[]) for a in c["annotations"]],
        "bounding boxes and no outlines",
    ),
    "other images": (
        lambda c: [i.update(file_name=f"x{i['id']}") for i in c["images"]],
        "none of the images of",
    ),
}


@pytest.mark.parametrize("change,reason", MALFORMED.values(), ids=MALFORMED)
def test_a_coco_file_that_is_wrong_is_refused_in_one_sentence(tmp_path, cli, change, reason):
    images(tmp_path / "images")
    content = coco()
    change(content)
    path = write(tmp_path / "a.json", content)
    for data in (tmp_path, path):
        sentence = one_sentence(cli("look", data))
        assert "a.json" in sentence and re.search(reason, sentence)


@pytest.mark.parametrize(
    "text,reason",
    [
        (json.dumps(coco())[:-90], "is not whole JSON"),
        ('{"images": [], "annotations": []}', "holds no objects"),
        ('{"hello": 1}', "not an annotation file that is known"),
        ("[1, 2]", "not an annotation file that is known"),
    ],
)
def test_other_json_is_named(tmp_path, cli, text, reason):
    images(tmp_path / "images")
    assert reason in one_sentence(cli("look", write(tmp_path / "a.json", text)))


def test_images_in_two_annotation_files_are_refused(tmp_path, cli):
    images(tmp_path / "images")
    for name in ("one.json", "two.json"):
        write(tmp_path / name, coco())
    sentence = one_sentence(cli("look", tmp_path))
    assert "one.json" in sentence and "two.json" in sentence
    (tmp_path / "two.json").rename(tmp_path / "instances.json")
    assert find_samples(tmp_path).samples[0].mask == tmp_path / "instances.json"


def test_an_image_that_is_not_of_the_annotated_size_is_skipped_with_the_reason(tmp_path):
    images(tmp_path)
    save(tmp_path / "1.png", picture(1, (32, 24)))
    write(tmp_path / "a.json", coco())
    survey = survey_data(tmp_path)
    assert len(survey.labels) == 2
    assert "it is 24 x 32" in survey.images.errors[1]


def test_an_annotation_file_that_changes_is_read_again(tmp_path):
    images(tmp_path)
    path = write(tmp_path / "a.json", coco())
    before = survey_data(tmp_path)
    write(path, coco(categories=((3, "other"),)))
    os.utime(path, ns=(1, 1))
    assert before.classes[1] == "cell" and survey_data(tmp_path).classes[1] == "other"


def test_a_run_on_coco_is_evaluated_by_the_names_of_classes(tmp_path, cli):
    """In other annotation files the same classes may have other numbers; classes that the run lacks are named."""
    images(tmp_path / "d")
    write(tmp_path / "d/a.json", coco(categories=((1, "a"), (2, "b"))))
    run = tmp_path / "run"
    assert cli("train", tmp_path / "d", "--epochs", 1, "--out", run).code == 0
    same = json.loads(cli("evaluate", run, tmp_path / "d", "--json").out)
    images(tmp_path / "e")
    path = write(tmp_path / "e/a.json", coco(categories=((2, "a"), (1, "b"))))
    assert json.loads(cli("evaluate", run, tmp_path / "e", "--json").out)["mean_iou"] == same["mean_iou"]
    write(path, coco(categories=((1, "a"), (2, "dog"))))
    assert "the class 'dog', which is not one of background, a, b" in one_sentence(
        cli("evaluate", run, tmp_path / "e")
    )
    assert json.loads(cli("look", run / "split.csv", "--json", "-o", tmp_path / "sheet.png").out)[
        "classes"
    ] == ["background", "a", "b"]


# LabelMe, YOLO, CVAT, Pascal VOC.


def labelme(i: int, labels=("cell", "cell")) -> dict:
    """The objects of `numbered(i)`, the first as a polygon and the second as a rectangle."""
    top = 2 + i
    corners = [[3, top], [8, top], [8, top + 4], [5, top + 4.2], [3, top + 4]]
    shapes = [
        {"label": labels[0], "points": corners, "shape_type": "polygon"},
        {"label": labels[1], "points": [[21, top + 4], [15, top]], "shape_type": "rectangle"},
    ]
    return {"shapes": shapes, "imagePath": f"..\\here\\{i}.png", "imageHeight": 24, "imageWidth": 32}


def yolo(i: int, numbers=(0, 0)) -> str:
    lines = []
    for number, (x, y) in zip(numbers, (((3, 8), (2, 6)), ((15, 21), (2, 6))), strict=True):
        points = [
            (x[0], y[0] + i),
            (x[1], y[0] + i),
            (x[1], y[1] + i),
            (x[0] + 1, y[1] + i + 0.3),
            (x[0], y[1] + i),
        ]
        lines.append(f"{number} " + " ".join(f"{px / 32:.6f} {py / 24:.6f}" for px, py in points))
    return "\n".join(lines) + "\n"


def cvat(n: int = 3, labels=("cell", "cell"), **more) -> str:
    """The first object as a polygon, the second as a mask of runs along the rows."""
    body = ""
    for i in range(n):
        top = 2 + i
        points = f"3,{top};8,{top};8,{top + 4};5,{top + 4.3};3,{top + 4}"
        body += (
            f'<image id="{i}" name="{i}.png" width="32" height="24">'
            f'<polygon label="{labels[0]}" points="{points}" z_order="0"/>'
            f'<mask label="{labels[1]}" rle="0, 24" left="15" top="{top}" width="6" height="4" z_order="0"/>'
            f"{more.get('inside', '')}</image>"
        )
    return (
        f'<?xml version="1.0"?><annotations><version>1.1</version>{body}{more.get("after", "")}</annotations>'
    )


def voc(i: int) -> str:
    box = "<bndbox><xmin>3</xmin><ymin>2</ymin><xmax>8</xmax><ymax>6</ymax></bndbox>"
    return f"<annotation><filename>{i}.png</filename><object><name>cell</name>{box}</object></annotation>"


def write_labelme(root: Path, labels=("cell", "cell")) -> None:
    images(root)
    for i in range(3):
        write(root / f"{i}.json", labelme(i, labels))


def write_labelme_xml(root: Path, labels=("cell", "cell")) -> None:
    """LabelMe's files before 2016, which CVAT exports as well."""
    images(root)
    for i in range(3):
        objects = ""
        for label, content in zip(labels, labelme(i)["shapes"], strict=True):
            (x0, y0), (x1, y1) = content["points"][0], content["points"][-1]
            two = content["shape_type"] == "rectangle"
            corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)] if two else content["points"]
            points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in corners)
            objects += f"<object><name>{label}</name><deleted>0</deleted><polygon>{points}</polygon></object>"
        gone = "<object><name>x</name><deleted>1</deleted><polygon><pt><x>1</x></pt></polygon></object>"
        write(root / f"{i}.xml", f"<annotation><filename>{i}.png</filename>{objects}{gone}</annotation>")


def write_yolo(root: Path, numbers=(0, 0)) -> None:
    images(root / "images")
    for i in range(3):
        write(root / f"labels/{i}.txt", yolo(i, numbers))


def write_cvat(root: Path, labels=("cell", "cell")) -> None:
    images(root / "images")
    write(root / "annotations.xml", cvat(labels=labels))


WRITERS = {
    "LabelMe": write_labelme,
    "LabelMe file": write_labelme_xml,
    "YOLO": write_yolo,
    "CVAT": write_cvat,
}


@pytest.mark.parametrize("tool", WRITERS)
def test_outlines_of_each_tool_become_the_same_mask(tmp_path, tool):
    WRITERS[tool](tmp_path)
    survey = survey_data(tmp_path)
    assert len(survey.labels) == 3 and survey.mapping.objects
    assert all((drawn(survey, i) == numbered(i)).all() for i in range(3))
    assert overruled(survey) == {"task": "--task classification", "masks": "--classes"}
    assert tool in survey.guesses[0].reason
    assert not [problem for problem in survey.problems if problem.level == "warning"]


@pytest.mark.parametrize("tool,labels", [("LabelMe", ("b", "a")), ("CVAT", ("b", "a")), ("YOLO", (1, 0))])
def test_labels_of_each_tool_are_classes(tmp_path, tool, labels):
    WRITERS[tool](tmp_path, labels)
    write(tmp_path / "data.yaml", "train: images\nnames:\n  0: a\n  1: 'b'\n")
    survey = survey_data(tmp_path)
    assert [*survey.classes] == ["background", "a", "b"] and survey.mapping.values == (0, 1, 2)
    assert (drawn(survey, 0) == rectangle(2, 3, 4, 5, 2) + rectangle(2, 15, 4, 6, 1)).all()


@pytest.mark.parametrize(
    "text",
    [
        "names: ['a', \"b\"]  # two",
        "nc: 2\nnames:\n- a\n- b\nroboflow:\n  x: 1",
        "names: {0: a, 1: b}",
        "path: .\nnames:\n  # classes\n  1: b\n  0: a\n\ntrain: x",
        "names: [\n  a,\n  b\n]",
    ],
)
def test_names_of_yolos_classes(tmp_path, text):
    assert names_in(write(tmp_path / "data.yaml", text)) == {0: "a", 1: "b"}


def test_yolo_in_splits_with_names_or_without(tmp_path):
    for split in ("train", "valid"):
        write_yolo(tmp_path / split, (1, 0))
    write(tmp_path / "train/labels/2.txt", "")
    save(tmp_path / "train/images/3.png", picture(3))
    survey = survey_data(tmp_path)
    assert survey.source.splits == ("train", "val") and [*survey.classes[1:]] == ["class 0", "class 1"]
    assert not drawn(survey, 2).any() and "1 image without a mask is skipped" in texts(survey)
    write(tmp_path / "data.yaml", "names: [leaf, stem]")
    os.utime(tmp_path / "train/labels/0.txt", ns=(1, 1))


def test_circles_masks_and_lines_of_labelme(tmp_path):
    import base64
    import io

    write_labelme(tmp_path)
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 255, 255], [255, 255, 0]], np.uint8)).save(buffer, "PNG")
    content = labelme(0)
    content["shapes"] = [
        {"label": "cell", "points": [[10, 10], [10, 14]], "shape_type": "circle"},
        {"label": "cell", "points": [[20, 3], [22, 4]], "shape_type": "mask"}
        | {"mask": base64.b64encode(buffer.getvalue()).decode()},
        {"label": "cell", "points": [[1, 1]], "shape_type": "point"},
    ]
    write(tmp_path / "0.json", content)
    survey = survey_data(tmp_path)
    mask = drawn(survey, 0)
    y, x = np.mgrid[:24, :32] + 0.5
    assert ((mask == 1) == ((y - 10) ** 2 + (x - 10) ** 2 < 15.99)).all()
    assert sorted(map(tuple, np.argwhere(mask == 2).tolist())) == [(3, 21), (3, 22), (4, 20), (4, 21)]
    assert "1 mark without an area (points, lines) has no pixels and has been skipped" in texts(survey)


def test_shapes_of_one_group_in_labelme_are_one_object(tmp_path):
    write_labelme(tmp_path)
    content = labelme(0)
    for shape in content["shapes"]:
        shape["group_id"] = 7
    write(tmp_path / "0.json", content)
    survey = survey_data(tmp_path)
    assert ((drawn(survey, 0) == 1) == (numbered(0) > 0)).all() and set(np.unique(drawn(survey, 0))) == {0, 1}


def test_outlines_that_leave_their_images_are_named(tmp_path):
    images(tmp_path)
    content = coco()
    for image in content["images"]:
        del image["width"]
    content["annotations"][0]["segmentation"] = [[3, 2, 50, 2, 50, 60, 5, 61, 3, 60]]
    content["annotations"][2]["segmentation"] = [[3, 2, 32.5, 2, 32.5, 6, 5, 7, 3, 6]]
    write(tmp_path / "a.json", content)
    assert "1 outline leaves its image: were they drawn on images of another size?" in texts(
        survey_data(tmp_path)
    )


def test_a_large_annotation_file_is_parsed_once(tmp_path, monkeypatch):
    images(tmp_path)
    path = write(tmp_path / "a.json", coco())
    reads = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: (reads.append(self), read_bytes(self))[1])
    survey_data(tmp_path)
    assert reads.count(path) == 1


def test_ellipses_boxes_and_layers_of_cvat(tmp_path):
    images(tmp_path)
    inside = (
        '<ellipse label="cell" cx="25" cy="16" rx="4" ry="2" rotation="90" z_order="0"/>'
        '<box label="cell" xtl="1" ytl="15" xbr="5" ybr="20" z_order="0"/>'
        '<polygon label="cell" points="0,0;32,0;32,24;0,24" z_order="-1"/>'
        '<polygon label="cell" points="9,0;13,0;13,9;9,9" z_order="1"/><points label="cell" points="1,1"/>'
    )
    write(tmp_path / "a.xml", cvat(inside=inside))
    survey = survey_data(tmp_path)
    mask = drawn(survey, 0)
    y, x = np.mgrid[:24, :32] + 0.5
    assert ((mask == 3) == (((x - 25) / 2) ** 2 + ((y - 16) / 4) ** 2 < 0.999)).all()
    assert (mask[15:20, 1:5] == -1).all() and (mask[0:9, 9:13] == 6).all() and mask[0, 0] == 5
    assert "3 objects have a bounding box and no outline" in texts(survey)
    assert "3 marks without an area" in texts(survey)


def broken_labelme(**changes):
    return lambda root: (write_labelme(root), write(root / "1.json", labelme(1) | changes))


def shape(**changes):
    return {
        "shapes": [{"label": "cell", "points": [[1, 1], [5, 1], [5, 5]], "shape_type": "polygon"} | changes]
    }


def with_yolo(text: str):
    return lambda root: (write_yolo(root), write(root / "labels/1.txt", text))


def with_cvat(text: str):
    return lambda root: (images(root), write(root / "a.xml", text))


def with_voc(root: Path) -> None:
    images(root / "images")
    for i in range(3):
        write(root / f"Annotations/{i}.xml", voc(i))


def with_json(content: object):
    return lambda root: (images(root / "images"), write(root / "x.json", content))


WRONG = {
    "a polygon of two points": (
        broken_labelme(**shape(points=[[1, 1], [2, 2]])),
        "1.json has shape 1 .*2 points",
    ),
    "points that are text": (broken_labelme(**shape(points=[["a", 1]] * 3)), "not x and y"),
    "a shape of no type": (
        broken_labelme(**shape(shape_type="blob", points=[[1, 1]] * 2)),
        "the type 'blob'",
    ),
    "a shape without a label": (broken_labelme(shapes=[{"points": []}]), "no label for shape 1"),
    "a mask that is text": (
        broken_labelme(**shape(shape_type="mask", points=[[1, 1], [2, 2]], mask="xx")),
        "cannot be decoded",
    ),
    "pixels for shares": (with_yolo(yolo(1) + "0 3 2 8 2 8 6 3 6\n"), "1.txt has in line 3 '0 3 2 8"),
    "six numbers": (with_yolo(yolo(1) + "0 0.1 0.1 0.2 0.2 0.3\n"), "1.txt has in line 3"),
    "points that are no numbers": (with_cvat(cvat().replace("3,2;", "x,2;")), "0.png a polygon"),
    "runs that do not fit": (
        with_cvat(cvat().replace("0, 24", "0, 23", 1)),
        "runs have 23 pixels, and 6 x 4",
    ),
    "no size": (with_cvat(cvat().replace('width="32"', "")), "width is None"),
    "a video": (with_cvat(cvat(after="<track/>")), "CVAT for images"),
    "cut short": (with_cvat(cvat()[:-20]), "not whole XML"),
    "a corner of VOC that is text": (
        lambda root: (images(root), write(root / "1.xml", voc(1).replace(">8<", ">eight<"))),
        "1.xml has a bndbox whose xmax is 'eight'",
    ),
    "boxes of VOC": (
        with_voc,
        "0.xml is a Pascal VOC annotation file and holds bounding boxes and no outlines",
    ),
    "boxes of YOLO": (
        lambda root: (
            [write_yolo(root)] + [write(root / f"labels/{i}.txt", "0 0.5 0.5 0.2 0.2") for i in range(3)]
        ),
        "0.txt is a YOLO label file and holds bounding boxes and no outlines",
    ),
    "boxes of CVAT": (
        with_cvat(
            '<annotations><image name="0.png" width="32" height="24">'
            '<box label="a" xtl="1" ytl="1" xbr="2" ybr="3"/></image></annotations>'
        ),
        "a CVAT file and holds bounding boxes",
    ),
    "VGG Image Annotator": (
        with_json({"0.png9": {"filename": "0.png", "regions": []}}),
        "VGG Image Annotator",
    ),
    "Label Studio": (
        with_json([{"id": 1, "annotations": [], "data": {}}]),
        "a Label Studio file, which is not read",
    ),
    "Supervisely": (with_json({"objects": [], "size": {}, "tags": []}), "a Supervisely file"),
}


@pytest.mark.parametrize("build,reason", WRONG.values(), ids=WRONG)
def test_annotations_that_are_wrong_are_refused_in_one_sentence(tmp_path, cli, build, reason):
    build(tmp_path)
    sentence = one_sentence(cli("look", tmp_path))
    assert re.search(reason, sentence) and "damaged" not in sentence


@pytest.mark.parametrize("build", [with_voc, with_json([{"annotations": [], "data": {}}])])
def test_classes_beside_annotations_are_read_if_asked(tmp_path, build):
    build(tmp_path)
    images(tmp_path / "a")
    images(tmp_path / "b")
    assert {"a", "b"} <= set(find_samples(tmp_path, Config(task="classification")).classes)


def test_text_beside_images_that_is_no_annotation_is_left_alone(tmp_path):
    for name in "ab":
        images(tmp_path / name)
        write(tmp_path / name / "0.txt", "a picture of 3 cells")
        write(tmp_path / name / "1.txt", "0 12 13 14 15\n")
        write(tmp_path / name / "2.txt", "")
        write(tmp_path / name / "0.json", {"taken": "2020"})
        write(tmp_path / name / "0.xml", "<note/>")
    assert find_samples(tmp_path).classes == ("a", "b")
