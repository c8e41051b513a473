"""Objects that touch, told apart by their shape, in any number of dimensions: a watershed of the distance to outside.

Each sample is given to the summit that a steepest way leads up to. Two summits are two objects where the pass between
them lies low: where the neck is thinner than what it joins.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.labels import Mask, components, neighbours

SMOOTH = 1.0
"""Standard deviation, in samples, that distances are smoothed with, since edges are rough."""
PASS, LEAST = 0.75, 0.5
"""A pass parts two summits where it is below 3/4 of the lower one, and half a sample below it at least."""
BYTES = 72
"""Of memory for a sample, at the most."""
Flat = NDArray[np.integer[Any]]


def split_touching(inside: Mask) -> NDArray[np.int64]:
    """Ids 1, 2, ... (*S) of the objects that the samples inside belong to, 0 outside."""
    from scipy import ndimage

    if inside.all() or not inside.any():
        return components(inside)
    distance: Any = ndimage.distance_transform_edt(inside)
    depth: Any = ndimage.gaussian_filter(distance.astype(np.float32), SMOOTH)
    top = _summits(depth, inside)
    summits = np.flatnonzero(inside.ravel() & (top == np.arange(top.size)))
    ids = np.zeros(top.size, np.int64)
    ids[summits] = _joined(summits, depth.ravel(), _passes(depth, inside, top))
    return np.where(inside, ids[top].reshape(inside.shape), 0)


def keeps_whole(masks: Iterable[Mask], most: float = 0.01) -> bool:
    """Whether `parted` cuts at most this share of the connected parts of masks in which objects are apart already."""
    parts = cut = 0
    for inside in masks:
        whole = components(inside)
        pairs = np.unique(whole[inside] << 32 | split_touching(inside)[inside])
        pieces = np.bincount(pairs >> 32)[1:]
        parts, cut = parts + len(pieces), cut + int((pieces > 1).sum())
    return cut <= most * parts


def _summits(depth: NDArray[np.float32], inside: Mask) -> Flat:
    """(n,) for each sample the place of the summit above it; of equal neighbours, the one of the later place is higher."""
    place = np.arange(depth.size, dtype=np.int32 if depth.size < 2**31 else np.int64).reshape(depth.shape)
    height, to = np.where(inside, depth, -1), place.copy()
    best = height.copy()
    for one, other in chain.from_iterable((pair, pair[::-1]) for pair in neighbours(depth.ndim)):
        up = (height[other] > best[one]) | ((height[other] == best[one]) & (place[other] > to[one]))
        up &= inside[one] & inside[other]
        best[one][up], to[one][up] = height[other][up], place[other][up]
    to = to.ravel()
    while ((further := to[to]) != to).any():
        to = further
    return to


def _passes(depth: NDArray[np.float32], inside: Mask, top: Flat) -> list[tuple[int, int, float]]:
    """(summit, summit, height) of the highest place where the slopes of two summits touch, the highest pair first."""
    tops, found = top.reshape(depth.shape), []
    for one, other in neighbours(depth.ndim):
        meet = inside[one] & inside[other] & (tops[one] != tops[other])
        height = np.minimum(depth[one][meet], depth[other][meet])
        found.append((tops[one][meet], tops[other][meet], height))
    first, second, heights = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((-heights, second, first))
    first, second, heights = first[order], second[order], heights[order]
    new = np.flatnonzero((np.diff(first, prepend=-1) != 0) | (np.diff(second, prepend=-1) != 0))
    new = new[np.argsort(-heights[new], kind="stable")]
    return list(zip(first[new].tolist(), second[new].tolist(), heights[new].tolist(), strict=True))


def _joined(
    summits: Flat, depth: NDArray[np.float32], passes: list[tuple[int, int, float]]
) -> NDArray[np.int64]:
    """Ids 1, 2, ... of the summits, in their order, alike for those that no low pass parts."""
    under = {int(s): int(s) for s in summits}

    def highest(s: int) -> int:
        while under[s] != s:
            under[s] = s = under[under[s]]
        return s

    for one, other, height in passes:
        high, low = sorted((highest(one), highest(other)), key=lambda s: (-depth[s], s))
        if depth[low] - height < max(LEAST, (1 - PASS) * depth[low]):
            under[low] = high
    _, ids = np.unique([highest(int(s)) for s in summits], return_inverse=True)
    return ids + 1
