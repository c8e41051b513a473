"""Contact sheets."""

import numpy as np
import pytest

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
