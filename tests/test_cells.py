"""The built-in cells: exact masks of cells that touch, told apart by a line of background."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from eyespot.data.sources.builtin import unpack
from eyespot.data.sources.cells import photograph, scene

SHAPES = {"plane": ((64, 64), 8, 11.0), "volume": ((16, 32, 32), 6, 8.0)}


def made(kind: str, seed: int):
    rng = np.random.default_rng(seed)
    ids, depth = scene(*SHAPES[kind], rng)
    return ids, photograph(ids, depth, rng)


@pytest.mark.parametrize("kind", SHAPES)
def test_cells_are_whole_and_apart(kind):
    for seed in range(4):
        ids, grey = made(kind, seed)
        around = ndimage.maximum_filter(ids, 3)
        assert ((ids == 0) | (around == ids)).all(), "two cells touch without a line between them"
        full = np.ones((3,) * ids.ndim)
        assert ndimage.label(ids > 0, full)[1] == ids.max() == len(np.unique(ids)) - 1
        assert grey[ids > 0].mean() > 1.5 * grey[ids == 0].mean()


def test_most_cells_have_a_close_neighbour():
    ids, _ = made("plane", 0)
    reach = ndimage.maximum_filter(ids, 7)
    close = [i for i in range(1, ids.max() + 1) if (reach[ids == i] > i).any()]
    assert len(close) >= ids.max() / 3


@pytest.mark.parametrize("kind", SHAPES)
def test_a_seed_makes_the_same_cells(kind):
    (a, x), (b, y), (c, _) = made(kind, 1), made(kind, 1), made(kind, 2)
    assert np.array_equal(a, b) and np.array_equal(x, y) and not np.array_equal(a, c)


@pytest.mark.parametrize("name,n,shape", [("cells", 60, (128, 128)), ("cells3d", 24, (24, 48, 48))])
def test_the_folder_holds_images_masks_and_instances(name, n, shape):
    folder = unpack(name)
    files = {kind: sorted((folder / kind).iterdir()) for kind in ("images", "masks", "instances")}
    assert [[f.name for f in files["images"]]] * 2 == [[f.name for f in files[k]] for k in list(files)[1:]]
    assert len(files["images"]) == n
    read = tifffile.imread if name == "cells3d" else lambda path: np.asarray(Image.open(path))
    for image, mask, instances in zip(*(f[:3] for f in files.values()), strict=True):
        grey, binary, ids = read(image), read(mask), read(instances)
        assert grey.shape == binary.shape == ids.shape == shape
        assert (grey.dtype, binary.dtype, ids.dtype) == (np.uint8, np.uint8, np.uint16)
        assert np.array_equal(np.where(ids > 0, 255, 0), binary) and ids.max() >= 3
