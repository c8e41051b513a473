"""Touching objects told apart: cases by hand in one to three dimensions, and what must hold for any mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from eyespot.data.sources.cells import scene
from eyespot.labels import components
from eyespot.metrics import instances as partition
from eyespot.watershed import keeps_whole, split_touching


def balls(dim, *places, radius=8, side=40):
    """Balls with their middles at these places along the first axis."""
    grid = np.indices((side, *[2 * radius + 5] * (dim - 1)))
    across = sum((g - radius - 2) ** 2 for g in grid[1:])
    return np.any([(grid[0] - p) ** 2 + across < radius**2 for p in places], axis=0)


@pytest.mark.parametrize("dim", [2, 3])
def test_balls_that_touch_are_two_and_one_with_a_dent_is_one(dim):
    two = balls(dim, 12, 26)
    ids = split_touching(two)
    assert components(two).max() == 1 and ids.max() == 2 and ((ids > 0) == two).all()
    assert len(np.unique(ids[:18][two[:18]])) == 1 and len(np.unique(ids[21:][two[21:]])) == 1
    assert split_touching(balls(dim, 14, 19)).max() == 1


def test_small_objects_and_large_ones_are_told_apart_alike():
    for radius in (8, 40):
        pair = balls(2, 2 * radius, round(3.8 * radius), radius=radius, side=6 * radius)
        assert split_touching(pair).max() == 2, radius


def test_rows_of_samples_and_masks_without_an_edge():
    assert split_touching(np.array([0, 1, 1, 0, 1, 0], bool)).tolist() == [0, 1, 1, 0, 2, 0]
    assert (split_touching(np.ones((4, 5), bool)) == 1).all() and not split_touching(
        np.zeros((4, 5), bool)
    ).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.sampled_from([(50,), (21, 30), (7, 9, 8)]))
def test_ids_are_parts_of_connected_parts(seed, shape):
    inside = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1) > 0
    ids, whole = split_touching(inside), components(inside)
    assert ((ids > 0) == inside).all()
    assert np.unique(ids[inside]).tolist() == list(range(1, ids.max() + 1))
    for i in range(1, ids.max() + 1):
        assert ndimage.label(ids == i)[1] == 1 and len(np.unique(whole[ids == i])) == 1
    assert (split_touching(np.flip(inside)) > 0).sum() == inside.sum()


def test_cells_without_the_line_between_them_are_found_again():
    scores = []
    for seed in range(4):
        ids, _ = scene((128, 128), 24, 11.0, np.random.default_rng(seed))
        merged = ndimage.binary_closing(ids > 0)
        scores.append([partition.compare(ids, f(merged)) for f in (components, split_touching)])
    before, after = (partition.score(list(each))["object_f1"]["value"] for each in zip(*scores, strict=True))
    assert before < 0.2 and after > 0.45  # of cells that touch as broadly as they can


def test_shapes_with_necks_of_their_own_are_kept_whole():
    """Such as neurites: what the watershed would cut in the masks, it must not cut in answers."""
    cells = [scene((96, 96), 12, 11.0, np.random.default_rng(seed))[0] > 0 for seed in range(4)]
    assert keeps_whole(cells) and keeps_whole([])
    assert not keeps_whole([*cells, balls(2, 12, 26)])
