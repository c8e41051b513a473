"""Crisp labels are not refused as soft edges, whatever their values, and the same labels after an interpolation are."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from eyespot.data.masks.checks import soft_masks
from eyespot.data.masks.statistics import describe

MASKS = 8


def disc(shape: tuple[int, ...], centre, radius: float) -> np.ndarray:
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    return ((places - np.asarray(centre)) ** 2).sum(-1) < radius**2


def nested(rng: np.random.Generator, shape=(80, 80), organ=1, tumour=2) -> np.ndarray:
    """An organ with three tumours, some of them at its border."""
    size = np.array(shape)
    centre = size * rng.uniform(0.42, 0.58, len(shape))
    inside = disc(shape, centre, size.min() * 0.34)
    out = inside * organ
    for _ in range(3):
        place = centre + size.min() * rng.uniform(-0.25, 0.25, len(shape))
        out[disc(shape, place, size.min() * rng.uniform(0.05, 0.13)) & inside] = tumour
    return out


def volume(rng):
    return nested(rng, (30, 30, 18))


def overlapping(rng, values, shape=(72, 72)) -> np.ndarray:
    out = np.zeros(shape, np.int64)
    for value in values:
        place = np.array(shape) * rng.uniform(0.2, 0.8, len(shape))
        out[disc(shape, place, min(shape) * rng.uniform(0.1, 0.24))] = value
    return out


def brats(rng):
    return overlapping(rng, (1, 2, 4), (30, 30, 18))


def label_ids(rng) -> np.ndarray:
    """A street: smooth regions of several values, and poles one pixel wide, of a value between."""
    noise = ndimage.gaussian_filter(rng.normal(size=(72, 96, 5)), (5, 8, 0))
    out = np.array([7, 11, 23, 21, 26])[noise.argmax(-1)]
    for column in rng.choice(np.arange(4, 92, 3), 4, replace=False):
        out[10:50, column] = 17
    return out


def cells(rng, first: int = 1, step: int = 1) -> np.ndarray:
    """Touching cells on a background, each with a number."""
    points = rng.uniform(4, 92, (40, 2))
    places = np.moveaxis(np.mgrid[:96, :96], 0, -1)[:, :, None]
    far = ((places - points) ** 2).sum(-1)
    return np.where(far.min(-1) < 110, far.argmin(-1) * step + first, 0)


def long_numbers(rng):
    return cells(rng, int(rng.integers(1 << 24, 1 << 30)), 7919)


def numbered(rng):
    return overlapping(rng, range(1, 9))


CRISP = {f.__name__: f for f in (nested, volume, brats, label_ids, cells, long_numbers, numbered)}


def soft(make: Callable[[np.random.Generator], np.ndarray], change=np.asarray) -> list[str]:
    rng = np.random.default_rng(3)
    return soft_masks({f"{i}.png": describe(change(make(rng)).astype(np.int64)) for i in range(MASKS)})


@pytest.mark.parametrize("name", CRISP)
def test_crisp_labels_are_not_soft(name):
    assert soft(CRISP[name]) == []


def test_many_numbers_up_to_255_are_not_soft():
    def small(rng):
        out = np.zeros((160, 160), np.int64)
        for k, place in enumerate(rng.permutation(15 * 15)[:80]):
            y, x = 10 * (place // 15) + 3, 10 * (place % 15) + 3
            out[y : y + 4, x : x + 4] = 255 - k
        return out

    assert soft(small) == []


@pytest.mark.parametrize(
    "method", [Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS]
)
@pytest.mark.parametrize("name", ["nested", "numbered", "cells"])
def test_the_same_labels_are_soft_where_they_were_resized(name, method):
    def resized(values):
        return np.asarray(Image.fromarray(values.astype(np.uint8)).resize((55, 55), method))

    assert soft(CRISP[name], resized)


@pytest.mark.parametrize("size", [64, 128, 192])
def test_two_values_with_few_levels_between_are_soft(size):
    def twice(rng):
        return np.where(overlapping(rng, (1, 2, 3), (384, 384)) > 0, 255, 0)

    def boxed(values):
        return np.asarray(Image.fromarray(values.astype(np.uint8)).resize((size, size), Image.Resampling.BOX))

    assert len(soft(twice, boxed)) == MASKS


def test_volumes_that_were_resampled_are_soft():
    def resampled(values):
        return np.rint(np.asarray(ndimage.zoom(values.astype(float), 0.7, order=1)))

    assert len(soft(brats, resampled)) >= MASKS // 2
