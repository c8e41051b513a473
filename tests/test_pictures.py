"""Contact sheets."""

import re

import numpy as np
import pytest
from PIL import Image, ImageColor

from eyespot.anatomy.picture import stages
from eyespot.contact_sheets import font, legend_of, scaled, shortened
from eyespot.looking import look
from eyespot.overlays import SHARE, tile_with_mask, with_mask
from eyespot.pictures import sheet, wrapped

PIPELINE = "rotate(degrees=20)|scale(low=0.2)|hue(degrees=30)"


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (80, [PIPELINE]),
        (36, ["rotate(degrees=20)|scale(low=0.2)|", "hue(degrees=30)"]),
        (3, ["rotate(degrees=20)|", "scale(low=0.2)|", "hue(degrees=30)"]),
    ],
)
def test_titles_are_broken_at_bars_and_spaces_only(width, lines):
    assert wrapped(PIPELINE, width, len) == lines
    assert wrapped("", width, len) == [""]


def test_a_long_title_takes_lines_and_moves_its_images():
    image = np.zeros((8, 8, 1), np.uint8)
    short = sheet([("a", [image] * 3)], 60, 3)
    long = sheet([("a word after a word " * 4, [image] * 3)], 60, 3)
    assert long.width == short.width and long.height >= short.height + 22
    bottom = np.asarray(long.convert("L"))[-36]
    assert (bottom[6:66] == 0).all()


@pytest.mark.parametrize(
    ("size", "expected"), [((80, 20), (64, 16)), ((10, 40), (16, 64)), ((900, 300), (64, 21))]
)
def test_pictures_keep_their_proportions(size, expected):
    assert scaled(Image.new("RGB", size), 64).size == expected
    assert scaled(Image.new("RGB", (50, 50)), 64, ratio=2.0).size == (64, 32), (
        "of a file that is twice as wide"
    )


def test_the_ends_of_long_names_are_shown():
    name = "acquisition_2024_plate07_well_001.tif"
    short = shortened(name, 90, 11)
    assert short.startswith("acq") and short.endswith("001.tif") and font(11).getlength(short) <= 90
    assert shortened("a.png", 90, 11) == "a.png"


def test_masks_lie_beside_their_images_in_the_colours_of_the_legend(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "d" / folder).mkdir(parents=True)
    for i in range(4):
        grey = np.full((40, 90, 3), 100 + i, np.uint8)
        mask = np.zeros((40, 90), np.uint8)
        mask[:20, :45], mask[20:, 45:] = 1, 2
        Image.fromarray(grey).save(tmp_path / "d" / "images" / f"{i}.png")
        Image.fromarray(mask).save(tmp_path / "d" / "masks" / f"{i}.png")
    (tmp_path / "d" / "classes.txt").write_text("background\nleft\nright\n")
    survey = look(tmp_path / "d", sheet=tmp_path / "s.png").survey
    legend = dict(legend_of(survey))
    assert list(legend) == ["background (not coloured)", "left", "right"]
    assert legend["background (not coloured)"] == ""
    with Image.open(tmp_path / "s.png") as picture:
        page = np.asarray(picture.convert("RGB")).astype(int)
    for name in ("left", "right"):
        colour = np.array(ImageColor.getrgb(legend[name]))
        assert (page == colour).all(-1).sum() > 100, "its square in the legend"
        shown = (1 - SHARE) * 100 + SHARE * colour
        assert (abs(page - shown) < 4).all(-1).sum() > 1000, "and its pixels in masks"
    assert (abs(page - 101) < 3).all(-1).sum() > 10_000, "and beside them the images without"


def test_void_is_hatched_unlike_the_first_class():
    labels = np.zeros((40, 60), np.uint8)
    labels[20:] = 255
    drawn = np.asarray(with_mask(Image.new("RGB", (60, 40)), labels, overlap=False))
    assert not drawn[:20].any() and {(85,) * 3, (255,) * 3} <= set(map(tuple, drawn[20:].reshape(-1, 3)))
    signal = tile_with_mask(np.zeros((40, 1), np.uint8), labels[:, 0], False, 80)
    assert {(85,) * 3, (255,) * 3} <= set(map(tuple, signal[:, 40:].reshape(-1, 3)))
    assert not {(85,) * 3} & set(map(tuple, signal[:, :40].reshape(-1, 3)))


def test_masks_lie_over_their_signals_at_the_same_times():
    signal = np.linspace(-1, 1, 500, dtype=np.float32)[:, None]
    labels = (np.arange(500) >= 250).astype(np.uint8)
    plain = tile_with_mask(signal, np.zeros_like(labels), False, 100)
    drawn = tile_with_mask(signal, labels, False, 100)
    assert drawn.shape == (100, 100, 3)
    assert (drawn[:, :50] == plain[:, :50]).all() and (drawn[:, 50:] != plain[:, 50:]).any(-1).all()


def test_each_class_has_its_images_below_its_name(photos, tmp_path):
    sections = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eyespot.contact_sheets.draw", lambda s: sections.extend(s) or Image.new("RGB", (9, 9)))
        look(photos, sheet=tmp_path / "s.png")
    assert [section.title for section in sections] == [
        f"{name}: 20 images, 10 shown" for name in ("columns", "diagonals", "rows")
    ]
    assert all(re.fullmatch(r"\d{3}\.png", cell.name) for section in sections for cell in section.cells)


def test_stages_of_a_picture_of_a_network_are_named():
    names = ["stem", *(f"blocks.{k}.conv{i}" for k in range(20) for i in range(2)), "fc"]
    shown = stages(names)
    assert [shown[0].name, shown[1].name, shown[-1].name] == ["stem", "blocks.0", "fc"]
    assert (shown[1].first, shown[1].last, shown[-1].last) == (2, 3, len(names))
    assert len(stages(["stem", "fc"])) == 2
