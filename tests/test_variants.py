"""Names that say that files belong together: channels of one image, and augmented copies."""

import re

import numpy as np
import pytest
from PIL import Image

from eyespot.config import Config
from eyespot.data.surveys.survey_data import survey_data
from eyespot.training.division import split_rows

HASHES = [f"{k:032x}" for k in range(7, 4000, 13)]


def write(folder, patterns, n=8, classes=("heron", "stork")):
    """Images of noise, one by each pattern of a name for each number"""
    for k, label in enumerate(classes):
        for i in range(n):
            for j, pattern in enumerate(patterns):
                seed = 1000 * k + 20 * i + j
                name = pattern.format(
                    i=i, guid=f"{seed:08X}-A983-4D29-BC87-00000000000F", hash=HASHES[seed % 300]
                )
                path = folder / label / name
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng(seed).integers(0, 255, (20, 20), np.uint8)
                Image.fromarray(pixels).save(path)
    return folder


def warnings(folder, word):
    return [p.text for p in survey_data(folder).problems if p.level == "warning" and word in p.text]


def check_group(folder, text, size):
    """The expression that the warning prints keeps each set of files on one side."""
    match = re.search(r"--group '(.*)'", text)
    assert match
    survey = survey_data(folder, config := Config(group=match.group(1)))
    division = split_rows(survey, config)
    assert division.groups is not None
    sizes = np.unique(division.groups, return_counts=True)[1]
    assert set(sizes.tolist()) == {size} and len(division.val)
    sides = [{division.groups[row] for row in rows.tolist()} for rows in (division.train, division.val)]
    assert not sides[0] & sides[1]


CHANNELS = [
    ("r01c0{i}f01-ch1.png", "r01c0{i}f01-ch2.png", "r01c0{i}f01-ch5.png"),
    ("r01c0{i}f01p01-ch1sk1fk1fl1.png", "r01c0{i}f01p01-ch2sk1fk1fl1.png"),
    ("G{i}_s1_w1{guid}.png", "G{i}_s1_w2{guid}.png", "G{i}_s1_w4{guid}.png"),
    ("plate_{i}_dapi.png", "plate_{i}_GFP.png"),
    ("case{i}_0000.png", "case{i}_0001.png", "case{i}_0002.png"),
    ("scan_{i}/flair.png", "scan_{i}/t1.png", "scan_{i}/t1ce.png", "scan_{i}/t2.png"),
    ("s{i}_c0_z01.png", "s{i}_c1_z01.png"),
    ("tile {i} red.png", "tile {i} green.png", "tile {i} blue.png", "tile {i} nir.png"),
]


@pytest.mark.parametrize("patterns", CHANNELS, ids=lambda p: p[0])
def test_channels_in_several_files_are_doubted_with_a_group_that_works(tmp_path, patterns):
    folder = write(tmp_path / "d", patterns)
    (text,) = warnings(folder, "channels of one image")
    assert "merge" in text
    check_group(folder, text, len(patterns))


def test_channels_before_the_number_are_kept_together_by_it(tmp_path):
    folder = write(tmp_path / "d", ("red_{i}.png", "nir_{i}.png"))
    (text,) = warnings(folder, "channels of one image")
    check_group(folder, text, 4)  # those of both classes, which have the same numbers


def test_channels_of_images_with_masks_are_doubted(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(8):
        for token in ("dapi", "gfp"):
            for kind in ("images", "masks"):
                path = tmp_path / "d" / kind / f"{i}_{token}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(0, 255, (20, 20), np.uint8)
                if kind == "masks":
                    pixels = np.zeros((20, 20), np.uint8)
                    pixels[i : i + 8, 3:9] = 255
                Image.fromarray(pixels).save(path)
    (text,) = warnings(tmp_path / "d", "channels of one image")
    check_group(tmp_path / "d", text, 2)


COPIES = [
    ("{i}.png", "{i}_flip.png", "{i}_rot90.png"),
    ("leaf{i}_aug1.png", "leaf{i}_aug2.png", "leaf{i}_aug3.png"),
    ("{i}.png", "{i}-hflip.png", "{i}_flip_rot180.png", "{i}_brightness2.png"),
    ("a_{i}.png", "a_{i}_cropped.png"),
    ("IMG_{i}_jpg.rf.{hash}.png", "IMG_{i}_jpg.rf.0{hash}.png"),
]


@pytest.mark.parametrize("patterns", COPIES, ids=lambda p: p[-1])
def test_augmented_copies_are_doubted_with_a_group_that_works(tmp_path, patterns):
    folder = write(tmp_path / "d", patterns)
    (text,) = warnings(folder, "augmented copies")
    check_group(folder, text, len(patterns))


@pytest.mark.parametrize(
    "patterns",
    [
        ("{i}.png",),
        ("img_000{i}.png",),
        ("c{i}.png",),
        ("crop_{i}.png",),
        ("{i}_crop.png",),
        ("ch1_{i}.png",),
        ("IMG_{i}_jpg.rf.{hash}.png",),
        ("{i}_left.png", "{i}_right.png"),
        ("flip/{i}.png", "rot/{i}.png"),
    ],
    ids=lambda p: p[0],
)
def test_other_names_raise_no_doubt(tmp_path, patterns):
    folder = write(tmp_path / "d", patterns, classes=("heron", "stork", "crane", "ibis"))
    assert not warnings(folder, "channels of one image") and not warnings(folder, "augmented copies")


def test_classes_that_are_called_like_channels_raise_no_doubt(tmp_path):
    for label in ("red", "green", "blue"):
        write(tmp_path / "d", (f"{label}_{{i}}.png",), classes=(label,))
    assert not warnings(tmp_path / "d", "channels of one image")


@pytest.mark.parametrize("pattern", ["{i}_thumb.png", "thumbs/{i}.png", "small_thumbnails/{i}.png"])
def test_thumbnails_are_copies(tmp_path, pattern):
    folder = write(tmp_path / "d", ["{i}.png", pattern])
    (text,) = warnings(folder, "thumbnails and their originals")
    if "/" not in pattern:
        check_group(folder, text, 2)


PIECES = [
    "slide{j}_x0_y{i}.png",
    "P0{j}_slice_{i:03}.png",
    "film {j} frame{i}.png",
    "c{j}-z{i}.png",
    "a{j}_tile_{i}_1.png",
]


@pytest.mark.parametrize("pattern", PIECES)
def test_pieces_of_larger_images_are_doubted_with_a_group_that_works(tmp_path, pattern):
    patterns = [pattern.replace("{j}", str(j)) for j in range(4)]
    folder = write(tmp_path / "d", patterns, n=5)
    (text,) = warnings(folder, "pieces of 4 larger ones")
    check_group(folder, text, 10)


@pytest.mark.parametrize("patterns", [["tile_{i}.png"], ["a{i}_tile1.png"], ["dazz{i}.png", "pizz{i}.png"]])
def test_names_that_are_no_pieces_raise_no_doubt(tmp_path, patterns):
    assert not warnings(write(tmp_path / "d", patterns), "pieces of")
