"""Doubts about a data set: each kind is made up here, and a plain data set raises none."""

import json

import numpy as np
import pytest
from PIL import Image

import eyespot
from eyespot.config import Config
from eyespot.data.plausibility.checks import CHECKS, OF_GROUPS
from eyespot.data.sources.builtin import BUILTIN
from eyespot.data.surveys.survey_data import survey_data
from eyespot.looking import look


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def photo(seed, height=24, width=24):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def doubts(folder, *words):
    """The warnings that contain all words."""
    texts = [p.text for p in survey_data(folder).problems if p.level == "warning"]
    return [text for text in texts if all(word in text for word in words)]


def plain(folder, n=12, names=("heron", "stork")):
    for k, name in enumerate(names):
        for i in range(n):
            save(folder / name / f"{i}.png", photo(1000 * k + i))
    return folder


def test_a_plain_set_raises_no_doubt(tmp_path):
    report = look(plain(tmp_path / "d"))
    assert not report.survey.problems
    assert report.as_dict()["checks"] == [check.__name__ for check in (*CHECKS, *OF_GROUPS)]
    assert f"no problems; {len(CHECKS) + len(OF_GROUPS)} plausibility checks passed" in str(report)
    assert json.loads(report.as_json())["task"] == "classification"


@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_built_in_sets_raise_no_doubt(name):
    warnings = [problem.text for problem in survey_data(name).problems if problem.level == "warning"]
    assert not [text for text in warnings if "told" in text or "scale" in text or "covers" in text]


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (("dev1", "eval2"), "splits"),
        (("fold1", "fold2", "fold3"), "splits"),
        (("images", "heron"), "taken as a class"),
    ],
)
def test_names_of_splits_and_kinds_are_doubted(tmp_path, names, word):
    plain(tmp_path / "d", names=names)
    problems = survey_data(tmp_path / "d", Config(task="classification")).problems
    assert any(word in p.text for p in problems)


def test_the_same_folders_in_every_class_are_doubted(tmp_path):
    for k, name in enumerate(("heron", "stork")):
        for m, side in enumerate(("left", "right")):
            for i in range(5):
                save(tmp_path / "d" / name / side / f"{i}.png", photo(100 * k + 10 * m + i))
    assert doubts(tmp_path / "d", "'left', 'right'")
    assert not doubts(plain(tmp_path / "e"), "sub-folders")


def test_classes_that_are_others_joined_are_doubted(tmp_path):
    assert doubts(plain(tmp_path / "d", names=("heron", "stork", "heron, stork")), "several classes at once")
    assert doubts(plain(tmp_path / "f", names=("heron", "stork", "heron_stork")), "several classes at once")
    assert not doubts(plain(tmp_path / "e", names=("bear", "polar bear")), "several classes at once")


def test_numbers_with_few_samples_are_doubted(tmp_path):
    for age in range(21, 46):
        for i in range(2):
            save(tmp_path / "ages" / str(age) / f"{i}.png", photo(100 * age + i))
    assert doubts(tmp_path / "ages", "numbers from 21 to 45", "quantity")


def border(kind):
    def change(image):
        image[:3] = image[-3:] = image[:, :3] = image[:, -3:] = kind
        return image

    return change


@pytest.mark.parametrize(
    ("of_stork", "ending", "word"),
    [
        (lambda i: photo(i), "jpg", "format"),
        (lambda i: photo(i, 32, 24), "png", "size"),
        (lambda i: photo(i, 40 + i, 60 + i % 5), "png", "size"),
        (lambda i: photo(i)[..., 0].copy(), "png", "number of channels"),
        (lambda i: border(0)(photo(i)), "png", "margin"),
        (lambda i: border(255)(photo(i)), "png", "margin"),
    ],
    ids=["format", "size", "varying size", "channels", "dark margin", "bright margin"],
)
def test_what_tells_a_class_without_its_content_is_doubted(tmp_path, of_stork, ending, word):
    for i in range(12):
        save(tmp_path / "d" / "heron" / f"{i}.png", photo(500 + i))
        save(tmp_path / "d" / "stork" / f"{i}.{ending}", of_stork(i))
    assert doubts(tmp_path / "d", "'stork'", word)


def test_a_feature_that_both_classes_share_is_not_doubted(tmp_path):
    for k, name in enumerate(("heron", "stork")):
        for i in range(16):
            image = border(0)(photo(100 * k + i)) if i % 2 else photo(100 * k + i)
            save(tmp_path / "d" / name / f"{i}.{'jpg' if i % 4 > 1 else 'png'}", image)
    assert not doubts(tmp_path / "d", "told")


def test_inverted_masks_are_doubted(tmp_path):
    for i in range(6):
        mask = np.full((32, 32), 255, np.uint8)
        mask[8:16, 8 + i : 16 + i] = 0
        save(tmp_path / "d" / "images" / f"{i}.png", photo(i, 32, 32))
        save(tmp_path / "d" / "masks" / f"{i}.png", mask)
        save(tmp_path / "e" / "images" / f"{i}.png", photo(i, 32, 32))
        save(tmp_path / "e" / "masks" / f"{i}.png", 255 - mask)
    assert doubts(tmp_path / "d", "covers 94%", "invert")
    assert not doubts(tmp_path / "e", "invert")


def test_a_hundredfold_scale_is_doubted(tmp_path):
    rng = np.random.default_rng(0)
    for k, name in enumerate(("heron", "stork")):
        (tmp_path / "d" / name).mkdir(parents=True)
        for i in range(10):
            factor = 1000 if i == 3 else 1
            np.save(tmp_path / "d" / name / f"{i}.npy", rng.random((24, 24), np.float32) * factor + k)
    (text,) = doubts(tmp_path / "d", "hundredfold")
    assert text.startswith("2 images have a mean")


def test_a_network_that_is_perfect_at_once_is_doubted(tmp_path, capsys):
    for k, name in enumerate(("dark", "bright")):
        for i in range(60):
            save(tmp_path / "d" / name / f"{i}.png", photo(100 * k + i) // 4 + 180 * k)
    run = eyespot.train(
        tmp_path / "d",
        epochs=2,
        batch=4,
        lr=0.013,
        seed=0,
        precision="float32",
        threads=1,
        out=tmp_path / "run",
    )
    assert "perfect on the validation set after 1 epoch:" in capsys.readouterr().err
    assert "perfect on the validation set" in (run.folder / "report.html").read_text()


def test_folders_that_may_be_patients_are_doubted(tmp_path):
    for k, name in enumerate(("heron", "stork")):
        for stack in range(3):
            for i in range(4):
                save(tmp_path / "d" / name / f"s{k}{stack}" / f"{i}.png", photo(100 * k + 10 * stack + i))
    (text,) = doubts(tmp_path / "d", "6 folders such as s00", "--group '^(.*)/'")
    assert "both training and validation" in text
    grouped = survey_data(tmp_path / "d", Config(group="^(.*)/"))
    assert not [p.text for p in grouped.problems if "--group" in p.text]
    run = eyespot.train(tmp_path / "d", epochs=1, group="^(.*)/", out=tmp_path / "run")
    sides = {}
    for line in (run.folder / "split.csv").read_text().splitlines()[1:]:
        sides.setdefault(line.split(",")[0].rsplit("/", 1)[0], set()).add(line.split(",")[2])
    assert len(sides) == 6 and all(len(side) == 1 for side in sides.values())


def test_folders_of_pairs_that_may_be_patients_are_doubted(tmp_path):
    for patient in range(4):
        for i in range(3):
            mask = np.zeros((32, 32), np.uint8)
            mask[8 + i : 16 + patient, 8:16] = 255
            save(tmp_path / "d" / f"P{patient}" / f"P{patient}_{i}.png", photo(10 * patient + i, 32, 32))
            save(tmp_path / "d" / f"P{patient}" / f"P{patient}_{i}_mask.png", mask)
    assert doubts(tmp_path / "d", "4 folders such as P0")


class TestSplitLists:
    @pytest.mark.parametrize("line", ["{}/{}.png", "{}/{}", "./d/{}/{}.png 1", '"{}\\{}.png",a'])
    @pytest.mark.parametrize("name", ["testing_list.txt", "meta/test.csv", "../ImageSets/Main/val.txt"])
    def test_lists_of_a_split_are_doubted(self, tmp_path, name, line):
        folder = plain(tmp_path / "d")
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(line.format(c, i) for c in ("heron", "stork") for i in range(4)))
        assert doubts(folder, "1 list such as", file.name, "path, label and split")

    def test_one_path_is_a_list_too(self, tmp_path):
        (plain(tmp_path / "d") / "testing_list.txt").write_text("heron/3.png\n")
        assert doubts(tmp_path / "d", "1 list such as testing_list.txt")

    @pytest.mark.parametrize("text", ["", "3\n", "one line\n", "a note\nabout the test\nof the images\n"])
    def test_other_text_is_not(self, tmp_path, text):
        folder = plain(tmp_path / "d")
        (folder / "test.txt").write_text(text)
        assert not doubts(folder, "list")

    def test_nor_are_lists_beside_splits_of_the_user(self, tmp_path):
        for split in ("train", "test"):
            plain(tmp_path / "d" / split)
        (tmp_path / "d" / "test.txt").write_text("heron/1.png\nheron/2.png\n")
        assert not doubts(tmp_path / "d", "list")
