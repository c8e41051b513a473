"""Folders of classes as strangers have them: what is a class, what is a part of a set, and what is no data."""

import re
import struct

import numpy as np
import pytest
from PIL import Image

from eyespot.config import Config
from eyespot.data.sources.find import find_samples
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError


def picture(i):
    return Image.fromarray(np.random.default_rng(i).integers(0, 255, (16, 16, 3), np.uint8))


def fill(root, *patterns, n=4):
    """Pictures of these names, {i} being their number."""
    for k, pattern in enumerate(patterns):
        for i in range(n):
            path = root / pattern.format(i=i)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(100 * k + i).save(path)
    return root


def warnings(root, word, **options):
    problems = survey_data(root, Config(**options)).problems
    return [p.text for p in problems if p.level == "warning" and word in p.text]


def refusal(root, **options):
    with pytest.raises(UserError) as error:
        find_samples(root, Config(**options))
    return str(error.value)


def test_dev_is_a_split(tmp_path):
    fill(tmp_path, "train/a/{i}.png", "train/b/{i}.png", "dev/a/{i}.png", "dev/b/{i}.png")
    assert {s.split for s in find_samples(tmp_path).samples} == {"train", "val"}


def test_evaluation_is_a_split_and_no_class(tmp_path):
    fill(tmp_path, *(f"{split}/{c}_{{i}}.jpg" for split in ("training", "evaluation") for c in (0, 1)))
    assert "no folder per class" in refusal(tmp_path)
    source = find_samples(tmp_path, Config(label_from="^([0-9]+)_"))
    assert source.classes == ("0", "1") and source.splits == ("train", "test")


def test_annotations_beside_the_classes_are_notes(tmp_path):
    fill(tmp_path, "set/categories/ant/{i}.jpg", "set/categories/bee/{i}.jpg")
    for c in ("ant", "bee"):
        (tmp_path / "set" / "Annotations" / c).mkdir(parents=True)
        (tmp_path / "set" / "Annotations" / c / "1.mat").write_bytes(b"MATLAB 5.0")
    assert find_samples(tmp_path).classes == ("ant", "bee")


def test_folders_of_notes_beside_the_images_are_no_classes(tmp_path):
    fill(tmp_path, "set/images/001.owl/{i}.jpg", "set/images/002.kite/{i}.jpg")
    for name in ("attributes/a.txt", "parts/p.csv", "LICENSE"):
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "set" / name).write_text("1 2\n")
    source = find_samples(tmp_path)
    assert source.classes == ("001.owl", "002.kite") and source.guesses[0].name == "folder"


def test_a_folder_of_files_that_are_not_read_is_no_note(tmp_path):
    fill(tmp_path, "a/x/{i}.png", "a/y/{i}.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.dcm").write_bytes(b"\0" * 128 + b"DICM")
    assert "x" not in find_samples(tmp_path).classes


@pytest.mark.parametrize(
    "names", [("scan_part_1", "scan_part_2"), ("images_001", "images_002"), ("fold1", "fold2")]
)
def test_parts_that_a_table_lists_are_no_classes(tmp_path, names):
    fill(tmp_path, *(f"{name}/{name}x{{i}}.png" for name in names))
    rows = [f"{name}x{i},{'ab'[i % 2]}\n" for name in names for i in range(4)]
    table = tmp_path / "meta.csv"
    table.write_text("image,dx\n" + "".join(rows))
    text = refusal(tmp_path)
    assert f"give {table} instead" in text and find_samples(table).classes == ("a", "b")
    (pattern,) = re.findall("--label-from '(.*?)'", text)
    assert find_samples(tmp_path, Config(label_from=pattern)).classes == names


def test_parts_that_hold_the_same_folders_are_no_classes(tmp_path):
    fill(tmp_path, *(f"all/fold{k}/{name}/{{i}}.png" for k in (1, 2, 3) for name in ("cat", "dog")))
    patterns = re.findall("--label-from '(.*?)'", refusal(tmp_path))
    assert [find_samples(tmp_path, Config(label_from=p)).classes for p in patterns] == [
        ("cat", "dog"),
        ("fold1", "fold2", "fold3"),
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("2023-05-01", "2023-05-02"),
        ("trian", "validaton"),
        ("P07", "P08", "P11"),
        ("augmented", "original"),
        ("camera1", "camera2"),
    ],
)
def test_folders_that_are_hardly_classes_and_hold_the_same_folders_are_refused(tmp_path, names):
    fill(tmp_path, *(f"{name}/{c}/{{i}}.png" for name in names for c in ("cat", "dog")))
    patterns = re.findall("--label-from '(.*?)'", refusal(tmp_path))
    assert [find_samples(tmp_path, Config(label_from=p)).classes for p in patterns] == [("cat", "dog"), names]


def test_folders_of_folders_beside_folders_of_images_are_said(tmp_path):
    fill(tmp_path, "animals/cat/{i}.png", "animals/dog/{i}.png", "cars/{i}.png")
    (guess,) = find_samples(tmp_path).guesses
    assert guess.value.startswith("animals/ with its folders (cat/, dog/) is one class")
    (pattern,) = re.findall("--label-from '(.*?)'", guess.option)
    assert find_samples(tmp_path, Config(label_from=pattern)).classes == ("cars", "cat", "dog")
    assert not find_samples(fill(tmp_path / "e", "cat/{i}.png", "dog/{i}.png")).guesses


def test_unlabelled_is_doubted_as_a_class(tmp_path):
    fill(tmp_path, *(f"{name}/{{i}}.png" for name in ("cat", "dog", "unlabelled")))
    assert warnings(tmp_path, "'unlabelled' is taken as a class")


def test_parts_that_nothing_else_explains_are_classes(tmp_path):
    assert len(find_samples(fill(tmp_path, "set1/{i}.png", "set2/{i}.png")).classes) == 2


def test_a_table_of_few_of_the_files_is_not_offered(tmp_path):
    fill(tmp_path, "a/a{i}.png", "b/b{i}.png", n=12)
    (tmp_path / "a" / "boxes.txt").write_text("".join(f"a{i}.png\t1\t2\n" for i in range(5)))
    assert not find_samples(tmp_path).guesses
    (tmp_path / "list.csv").write_text(
        "image,x\n" + "".join(f"{c}{i}.png,1\n" for c in "ab" for i in range(12))
    )
    (guess,) = find_samples(tmp_path).guesses
    assert guess.option == f"give {tmp_path / 'list.csv'}"


IDS = [
    ("TCGA_CS_4941_1996", "TCGA_CS_4942_1997", "TCGA_CS_4943_2000"),
    ("P001", "P002", "P003"),
    ("SA01", "SA02", "SE01"),
    ("Actor_01", "Actor_02", "Actor_03"),
    ("0f3a2b1c", "77aa01bd", "99ab12cd"),
    ("00000000-0000-029d-42b6-4e76714244cb", "00000000-0000-053a-856c-9cece2848996", "10000000-0000-053a-856c-9cece2848996"),
]  # fmt: skip
NO_IDS = [
    ("n01440764", "n01443537", "n01484850"),
    ("c0", "c1", "c2"),
    ("apple 1", "apple 2", "banana 1"),
    ("00001", "00002", "00003"),
    ("001.owl", "002.kite", "003.hawk"),
    ("grade_1", "grade_2", "grade_3"),
]


@pytest.mark.parametrize("names", IDS + NO_IDS)
def test_ids_as_classes_are_doubted(tmp_path, names):
    fill(tmp_path, *(f"{name}/{{i}}.png" for name in names))
    assert bool(warnings(tmp_path, "called like ids", task="classification")) == (names in IDS)


def test_the_sub_folders_can_be_the_classes(tmp_path):
    fill(tmp_path, *(f"{patient}/{c}/{{i}}.png" for patient in ("10253", "10254", "8863") for c in "01"))
    (text,) = warnings(tmp_path, "sub-folders")
    (pattern,) = re.findall("--label-from '(.*?)'", text)
    assert find_samples(tmp_path, Config(label_from=pattern)).classes == ("0", "1")


def test_all_folders_called_like_masks_are_classes_with_the_right_reason(tmp_path):
    (guess,) = find_samples(fill(tmp_path, "mask/{i}.jpg", "no_mask/{i}.jpg")).guesses
    assert "all the folders are called like masks" in guess.reason


def test_classes_in_names_beside_a_folder_of_masks(tmp_path):
    fill(tmp_path, "images/owl_{i}.jpg", "images/kite_{i}.jpg")
    for name in ("owl", "kite"):
        for i in range(4):
            mask = np.zeros((16, 16), np.uint8)
            mask[4 : 8 + i, 4:10] = 1
            path = tmp_path / "annotations" / "trimaps" / f"{name}_{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(path)
    assert find_samples(tmp_path).has_masks
    source = find_samples(tmp_path, Config(task="classification"))
    assert source.classes == ("kite", "owl") and len(source.samples) == 8
    (option,) = [re.findall("'(.*)'", g.option)[0] for g in source.guesses if g.name == "images"]
    assert find_samples(tmp_path, Config(task="classification", label_from=option)).classes == (
        "annotations",
        "images",
    )


def test_images_beside_sounds_are_no_classes(tmp_path, cli):
    fill(tmp_path, "set/pictures/rock/{i}.png", "set/pictures/jazz/{i}.png")
    for name in ("rock", "jazz"):
        (tmp_path / "set" / "genres" / name).mkdir(parents=True)
        (tmp_path / "set" / "genres" / name / "0.wav").write_bytes(b"RIFF....WAVE")
    text = refusal(tmp_path)
    assert "images in pictures/ and sounds in genres/" in text
    assert find_samples(tmp_path / "set" / "pictures").classes == ("jazz", "rock")


@pytest.mark.parametrize("ending", ["ppm", "pgm", "pnm", ""])
def test_portable_pixmaps_are_images(tmp_path, ending):
    for c in "ab":
        for i in range(4):
            path = tmp_path / c / f"{i}.{ending}".rstrip(".")
            path.parent.mkdir(exist_ok=True)
            picture(i + ord(c)).convert("L" if ending == "pgm" else "RGB").save(path, format="PPM")
        (tmp_path / c / f"GT-{c}.csv").write_text(
            "Filename;ClassId\n" + "".join(f"{i}.ppm;0\n" for i in range(4))
        )
    survey = survey_data(tmp_path)
    assert survey.images.pixels[0].shape == (16, 16, 1 if ending == "pgm" else 3) and not survey.images.errors


@pytest.mark.parametrize(
    "name,content,words",
    [
        ("0.edf", b"0       " + b"x" * 200, "EDF"),
        ("0.bdf", b"\xffBIOSEMI" + b"x" * 200, "BDF"),
        ("0.hea", b"100 2 360 650000\n100.dat 212 200 11 1024 995 -22131 0 MLII\n", "WFDB"),
        ("t.arff", b"% note\n@relation x\n@data\n1,2,a\n", "Weka"),
        ("t.ts", b"#c\n@problemName X\n@data\n1,2:a\n", "sktime"),
        ("t.parquet", b"PAR1....PAR1", "Parquet"),
        ("t.arrow", b"ARROW1....", "Arrow"),
        ("images-idx3-ubyte", struct.pack(">IIII", 2051, 1, 4, 4) + bytes(16), "MNIST"),
        ("labels-idx1-ubyte", struct.pack(">II", 2049, 4) + bytes(4), "MNIST"),
        ("0.cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "camera's raw"),
        ("0.raf", b"FUJIFILMCCD-RAW 0201", "camera's raw"),
        ("0.orf", b"IIRO\x08\0\0\0" + bytes(99), "camera's raw"),
        ("train.zip", b"PK\x03\x04....", "ZIP"),
    ],
)
@pytest.mark.parametrize("place", ["", "a"])
def test_data_that_is_not_read_is_named_wherever_it_lies(tmp_path, name, content, words, place):
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / name).write_bytes(content)
    assert words in refusal(tmp_path)


def test_a_table_about_files_that_are_not_read_is_no_signal(tmp_path):
    for c in "ab":
        (tmp_path / c).mkdir()
        for i in range(3):
            (tmp_path / c / f"{i}.dcm").write_bytes(b"\0" * 128 + b"DICM" + bytes(99))
    (tmp_path / "a" / "labels.csv").write_text("file,label\n0.dcm,1\n1.dcm,0\n")
    assert re.search(r"6 files that are not read beside its tables; .*DICOM", refusal(tmp_path))


def test_labels_in_files_that_are_not_read_are_named(tmp_path):
    fill(tmp_path, "jpg/image_{i}.jpg")
    (tmp_path / "imagelabels.mat").write_bytes(b"MATLAB 5.0")
    assert "imagelabels.mat is not read" in refusal(tmp_path)


def test_arrays_of_many_samples_are_named(tmp_path):
    np.save(tmp_path / "x_train.npy", np.zeros((9, 16, 16)))
    np.save(tmp_path / "y_train.npy", np.zeros(9))
    assert "a file is one sample" in refusal(tmp_path)


def test_few_long_files_of_a_class_are_doubted(tmp_path):
    fill(tmp_path, "a/{i}.png", "b/{i}.png", n=30)
    for i in range(5):
        (tmp_path / "noise").mkdir(exist_ok=True)
        picture(900 + i).resize((99 + i, 99)).save(tmp_path / "noise" / f"{i}.png")
    (text,) = warnings(tmp_path, "the size of the files alone tells")
    assert "the class 'noise'" in text


@pytest.mark.parametrize(("width", "fit"), [(32, "pad"), (40, "crop"), (80, "stretch")])
def test_padding_that_gives_a_class_away_is_left_out(tmp_path, width, fit):
    for i in range(12):
        for name, size in (("a", (32, 32)), ("b", (width, 32))):
            (tmp_path / name).mkdir(exist_ok=True)
            picture(100 * (name == "b") + i).resize(size).save(tmp_path / name / f"{i}.png")
    survey = survey_data(tmp_path)
    assert survey.preprocessing.fit == fit
    assert ("tells the class 'a', and so would padding" in survey.reasons["fit"]) == (fit != "pad")
    assert survey_data(tmp_path, Config(fit="pad")).preprocessing.fit == "pad"
