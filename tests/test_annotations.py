"""Masks of other tools: a file per object, annotation files with outlines, and what is said of those with boxes only."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import one_sentence
from eyespot.config import Config
from eyespot.data.mask_source import load_mask
from eyespot.data.sources.find import find_samples
from eyespot.data.survey import survey_data
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


def test_a_file_per_class_is_not_a_file_per_object(tmp_path):
    nuclei(tmp_path, mask="{i:04x}/masks/class{k}.png")
    with pytest.raises(UserError):
        survey_data(tmp_path)


@pytest.mark.parametrize(
    "image,mask",
    [("images/{i}.png", "masks/{i}.png"), ("images/{i}.png", "masks/class{k}/{i}.png")],
    ids=["a mask per image", "a folder per class"],
)
def test_other_masks_are_not_files_of_objects(tmp_path, image, mask):
    nuclei(tmp_path, image, mask)
    assert not any(sample.mask and sample.mask.is_dir() for sample in find_samples(tmp_path).samples)


def test_the_split_of_a_run_reads_back(tmp_path, cli):
    nuclei(tmp_path / "d")
    run = tmp_path / "run"
    trained = cli("train", tmp_path / "d", "--epochs", 1, "--out", run, "--json", "--model", "unet_narrow")
    assert trained.code == 0, trained.err
    assert "object_f1" in json.loads(trained.out)
    assert "object_f1" in json.loads(cli("evaluate", run, "--json").out)
    seen = json.loads(cli("look", run / "split.csv", "--json").out)
    assert seen["objects"] and seen["images"] == 3
    image = tmp_path / "d/0000/images/0000.png"
    assert cli("predict", run, image, "--instances", "-o", tmp_path / "out").code == 0
    assert len([*(tmp_path / "out").iterdir()]) == 1
