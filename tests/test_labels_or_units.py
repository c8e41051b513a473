"""Where labels are not what they seem: folders of patients or days, several labels in a cell, measured numbers."""

import re

import numpy as np
import pytest
from PIL import Image

from eyespot.config import Config
from eyespot.data.sources.find import find_samples
from eyespot.data.split import hold_out
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 24, 3), np.uint8)).save(path)


def tree(root, folders, words, n=3):
    for k, folder in enumerate(folders):
        for m, word in enumerate(words):
            for i in range(n):
                save(root / folder / f"{word}{i:02}.png", 10_000 * k + 100 * m + i)
    return root


def doubts(root):
    return [
        p.text
        for p in survey_data(root).problems
        if "begin with the same" in p.text or "called like" in p.text
    ]


UNITS = [
    ("patient_01", "patient_02", "patient_03"),
    ("P07", "P11"),
    ("2023-04-01", "2023-04-08"),
    ("20230401_a", "20230402_a"),
    ("Plate3", "Plate4"),
    ("mouse 1", "mouse 2"),
    ("slide-12_b", "slide-13_b"),
    ("ses-1", "ses-2"),
]


@pytest.mark.parametrize("folders", UNITS)
def test_folders_of_units_with_words_in_the_names_are_asked_about(tmp_path, folders):
    tree(tmp_path, folders, ("sick_", "well_"))
    with pytest.raises(UserError) as refusal:
        find_samples(tmp_path)
    label_from, group = re.findall(r"--(?:label-from|group) '(.*?)'", str(refusal.value))[:2]
    source = find_samples(tmp_path, Config(label_from=label_from))
    assert source.classes == ("sick", "well")
    assert {re.findall(group, s.path.as_posix())[0] for s in source.samples} == set(folders)
    folders_again = re.findall(r"--label-from '(.*?)'", str(refusal.value))[-1]
    assert set(find_samples(tmp_path, Config(label_from=folders_again)).classes) == set(folders)


def test_a_patient_may_have_one_class_only(tmp_path):
    for k in range(6):
        tree(tmp_path, (f"patient_{k}",), ("sick_",) if k < 3 else ("well_",))
    with pytest.raises(UserError, match="called like patients"):
        find_samples(tmp_path)


def test_shared_words_in_other_folders_are_doubted(tmp_path):
    (text,) = doubts(tree(tmp_path, ("north", "south"), ("heron-", "stork-")))
    assert "--label-from '^(heron|stork)'" in text


@pytest.mark.parametrize("word", ["IMG_", "DSC_", "frame_", "", "photo"])
def test_names_of_cameras_raise_no_doubt(tmp_path, word):
    assert not doubts(tree(tmp_path, ("heron", "stork"), (word, "IMG-")))


def test_words_that_agree_with_the_folders_raise_no_doubt(tmp_path):
    for word in ("cat", "dog"):
        tree(tmp_path, (f"{word}s",), (f"{word}_",))
    assert not doubts(tmp_path)


def test_classes_that_are_called_like_days_are_doubted(tmp_path):
    assert doubts(tree(tmp_path, ("2023-04-01", "2023-04-08"), ("",)))
    assert not doubts(tree(tmp_path / "e", ("grade_1", "grade_2"), ("",)))


def table(root, labels):
    for i in range(len(labels)):
        save(root / f"{i}.png", i)
    path = root / "t.csv"
    path.write_text("\n".join(["path\tlabel", *(f"{i}.png\t{label}" for i, label in enumerate(labels))]))
    return path


@pytest.mark.parametrize("joined", ["oak|elm", "oak;elm", "oak, elm", "oak elm", "oak+elm", "['oak', 'elm']"])
def test_several_labels_in_a_cell_are_refused(tmp_path, joined):
    path = table(tmp_path, ["oak", "elm", "ash", joined, joined])
    with pytest.raises(UserError, match="gives 2 rows several labels in the column label"):
        find_samples(path)


@pytest.mark.parametrize(
    "labels", [["red oak", "white oak", "oak", "elm"], ["Bonn, DE", "Graz, AT"], ["a|b", "c|d"]]
)
def test_names_with_separators_are_classes(tmp_path, labels):
    assert find_samples(table(tmp_path, labels * 2)).classes == tuple(sorted(labels))


@pytest.mark.parametrize("text", ["{:.1f}", "{:.0f}"])
def test_measured_numbers_are_no_classes(tmp_path, text):
    path = table(tmp_path, [text.format(3.7 * i) for i in range(9)])
    with pytest.raises(UserError, match=r"holds numbers that measure something .9 different ones in 9 rows"):
        find_samples(path)


def test_numbers_may_be_classes(tmp_path):
    assert len(find_samples(table(tmp_path, [str(i) for i in range(10)] * 3)).classes) == 10
    assert len(find_samples(table(tmp_path, ["0.5", "1.0", "1.5"] * 3)).classes) == 3


def test_rows_without_a_1_are_counted(tmp_path):
    path = table(tmp_path, ["x"] * 4)
    path.write_text("path,oak,elm\n0.png,1,0\n1.png,0,0\n2.png,0,0\n3.png,1,1\n")
    with pytest.raises(UserError, match=r"1 row of 4 with several 1s .* 2 rows of 4 without a 1"):
        find_samples(path)


def test_masks_that_are_left_out_are_not_outside_the_classes(tmp_path):
    tree(tmp_path, ("benign", "malignant"), ("a", "b"))
    for path in list(tmp_path.rglob("*.png")):
        Image.fromarray(np.zeros((24, 24), np.uint8)).save(path.with_name(f"{path.stem}_mask.png"))
    texts = [p.text for p in survey_data(tmp_path, Config(task="classification")).problems]
    assert not [text for text in texts if "outside" in text]


def test_the_pattern_for_one_of_two_masks_fits_all_images(tmp_path):
    for i in range(4):
        save(tmp_path / f"x ({i}).png", i)
        names = ["_mask", "_mask_1"] if i == 0 else ["_mask"]
        for name in names:
            mask = np.zeros((24, 24), np.uint8)
            mask[4 : 9 + i, 4:12] = 255
            Image.fromarray(mask).save(tmp_path / f"x ({i}){name}.png")
    with pytest.raises(UserError, match="has 2 masks") as refusal:
        find_samples(tmp_path)
    pattern = re.findall(r"--masks '(.*?)'", str(refusal.value))[0]
    assert len(find_samples(tmp_path, Config(masks=pattern)).samples) == 4


def test_a_table_beside_one_folder_is_named(tmp_path):
    for i in range(4):
        save(tmp_path / "Bilder" / f"{i}.png", i)
    rows = [f"Bilder\\{i}.png;{'gut' if i % 2 else 'schlecht'}" for i in range(4)]
    (tmp_path / "liste.csv").write_text("\n".join(["path;label", *rows]))
    with pytest.raises(UserError, match=r"liste\.csv lists them: give"):
        find_samples(tmp_path)
    assert find_samples(tmp_path / "liste.csv").classes == ("gut", "schlecht")


def test_a_table_of_files_in_a_folder_beside_its_own(tmp_path):
    for i in range(4):
        save(tmp_path / "pictures" / f"{i}.png", i)
    path = tmp_path / "notes" / "list.csv"
    path.parent.mkdir()
    path.write_text("\n".join(["path,label", *(f"{i},{'a' if i % 2 else 'b'}" for i in range(4))]))
    with pytest.raises(UserError, match=r"list\.csv"):
        find_samples(tmp_path)
    source = find_samples(path)
    assert all(sample.path.is_file() for sample in source.samples)
    assert "in a folder beside its own" in source.guesses[-1].reason


def test_a_table_that_lists_the_files_of_classes_is_said(tmp_path):
    tree(tmp_path, ("one", "two"), ("x",))
    rows = [f"{path.name},k" for path in sorted((tmp_path / "one").iterdir())]
    (tmp_path / "meta.csv").write_text("\n".join(["image,dx", *rows]))
    assert any(guess.option.endswith("meta.csv") for guess in find_samples(tmp_path).guesses)


def test_each_class_is_validated_where_groups_have_one_class():
    labels = np.repeat([0, 1, 0, 1, 0, 1], 4)
    chosen = hold_out(labels, np.repeat(np.arange(6), 4), 0.15, 0)
    assert set(labels[chosen]) == set(labels[~chosen]) == {0, 1}
