"""Coloured masks saved as JPEG: hardening neither invents nor loses a class."""

import io

import numpy as np
import pytest
from PIL import Image

from eyespot.config import Config
from eyespot.data.masks.meaning import propose
from eyespot.data.masks.pixels import read_mask
from eyespot.data.masks.statistics import describe
from eyespot.errors import UserError

COLOURS = np.array([[0, 0, 0], [230, 20, 30], [20, 200, 40], [240, 230, 20]], np.uint8)


def masks(classes: int, quality: int, side: int):
    rng = np.random.default_rng(0)
    out = {}
    for i in range(6):
        values = np.zeros((side, side), int)
        for value in range(1, classes):
            y, x = rng.integers(0, side - side // 4, 2)
            values[y : y + side // 4, x : x + side // 4] = value
        file = io.BytesIO()
        Image.fromarray(COLOURS[values]).save(file, "JPEG", quality=quality)
        out[f"{i}.jpg"] = describe(*read_mask(file.getvalue(), 2))
    return out


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("quality", [60, 90, 95])
@pytest.mark.parametrize("classes", [2, 4])
def test_colours_of_jpeg_are_all_kept_or_refused(classes, quality, side):
    data = masks(classes, quality, side)
    try:
        values = propose(data, None, Config(harden=True)).mapping.values
    except UserError as error:
        assert "save masks as PNG" in str(error) or "are these the masks" in str(error)
        return
    assert len(values) == classes


@pytest.mark.parametrize("classes", [2, 4])
def test_colours_of_large_areas_are_known(classes):
    assert len(propose(masks(classes, 95, 256), None, Config(harden=True)).mapping.values) == classes


def test_dropped_values_are_named():
    """A value of which less than half lies within areas is no class, but may have been one."""
    values = np.zeros((64, 64), np.int64)
    values[20:40, 20:40] = 60
    values[5:7, 5:7] = 30
    values[50:56:2, 3:60:20] = 30
    proposal = propose({"a.png": describe(values), "b.png": describe(values)}, None, Config(harden=True))
    assert proposal.mapping.values == (0, 60)
    assert "dropped, such as 30" in proposal.warnings[0]
