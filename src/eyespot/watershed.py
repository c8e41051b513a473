"""Touching objects split by their shape, in any number of dimensions: a watershed of the distance to the outside.

Each sample belongs to the summit that steepest ascent leads to. Two summits are two objects where the pass between
them is low: where the neck is thinner than what it joins.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.labels import Mask, components, neighbours

SMOOTH = 1.0
"""Standard deviation, in samples, that distances are smoothed with, since edges are rough."""
PASS = 0.75
LEAST = 0.5
"""A pass separates two summits where it is below 3/4 of the lower one, and at least half a sample below it."""
BYTES = 72
"""Of memory for a sample, at the most."""
Flat = NDArray[np.integer[Any]]


def split_touching(inside: Mask) -> NDArray[np.int64]:
    """Ids 1, 2, ... (*S) of the objects that the samples inside belong to, 0 outside."""
    from scipy import ndimage

    if inside.all() or not inside.any():
        return components(inside)
    distance: Any = ndimage.distance_transform_edt(inside)
    smoothed: Any = ndimage.gaussian_filter(distance.astype(np.float32), SMOOTH)
    top = _summits(smoothed, inside)
    summits = np.flatnonzero(inside.ravel() & (top == np.arange(top.size)))
    ids = np.zeros(top.size, np.int64)
    ids[summits] = _joined(summits, smoothed.ravel(), _passes(smoothed, inside, top))
    return np.where(inside, ids[top].reshape(inside.shape), 0)


def keeps_whole(masks: Iterable[Mask], most: float = 0.01) -> bool:
    """Whether `split_touching` cuts at most this share of the components of masks in which objects are separate already."""
    total = cut = 0
    for inside in masks:
        whole = components(inside)
        pairs = np.unique(whole[inside] << 32 | split_touching(inside)[inside])
        pieces = np.bincount(pairs >> 32)[1:]
        total += len(pieces)
        cut += int((pieces > 1).sum())
    return cut <= most * total


def _summits(smoothed: NDArray[np.float32], inside: Mask) -> Flat:
    """(n,) for each sample the place of the summit above it; of equal neighbours, the one of the later place is higher."""
    place = np.arange(smoothed.size, dtype=np.int32 if smoothed.size < 2**31 else np.int64).reshape(
        smoothed.shape
    )
    height = np.where(inside, smoothed, -1)
    to = place.copy()
    best = height.copy()
    for one, other in chain.from_iterable((pair, pair[::-1]) for pair in neighbours(smoothed.ndim)):
        up = (height[other] > best[one]) | ((height[other] == best[one]) & (place[other] > to[one]))
        up &= inside[one] & inside[other]
        best[one][up] = height[other][up]
        to[one][up] = place[other][up]
    to = to.ravel()
    while ((further := to[to]) != to).any():
        to = further
    return to


def _passes(smoothed: NDArray[np.float32], inside: Mask, top: Flat) -> list[tuple[int, int, float]]:
    """(summit, summit, height) of the highest place where the slopes of two summits touch, the highest pair first."""
    tops = top.reshape(smoothed.shape)
    touching = []
    for one, other in neighbours(smoothed.ndim):
        meet = inside[one] & inside[other] & (tops[one] != tops[other])
        height = np.minimum(smoothed[one][meet], smoothed[other][meet])
        touching.append((tops[one][meet], tops[other][meet], height))
    first, second, heights = (np.concatenate(column) for column in zip(*touching, strict=True))
    order = np.lexsort((-heights, second, first))
    first = first[order]
    second = second[order]
    heights = heights[order]
    new = np.flatnonzero((np.diff(first, prepend=-1) != 0) | (np.diff(second, prepend=-1) != 0))
    new = new[np.argsort(-heights[new], kind="stable")]
    return list(zip(first[new].tolist(), second[new].tolist(), heights[new].tolist(), strict=True))


def _joined(
    summits: Flat, smoothed: NDArray[np.float32], passes: list[tuple[int, int, float]]
) -> NDArray[np.int64]:
    """Ids 1, 2, ... of the summits, in their order, the same for those that no low pass separates."""
    under = {int(s): int(s) for s in summits}

    def highest(s: int) -> int:
        while under[s] != s:
            under[s] = s = under[under[s]]
        return s

    for one, other, height in passes:
        high, low = sorted((highest(one), highest(other)), key=lambda s: (-smoothed[s], s))
        if smoothed[low] - height < max(LEAST, (1 - PASS) * smoothed[low]):
            under[low] = high
    _, ids = np.unique([highest(int(s)) for s in summits], return_inverse=True)
    return ids + 1
