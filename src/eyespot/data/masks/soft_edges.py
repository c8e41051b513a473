"""Soft edges of masks: pixels that an interpolation, a smoothed brush or JPEG has put between two values.

A pixel is solid where it lies in a block of 2 pixels along each axis that all have its value. Pixels of which no
neighbour of the same value is solid are thin. Thin pixels that touch solid ones of two values, and lie between them in
value too, are what interpolation makes; a contour that is a class of its own looks alike, but has one value, and no gap.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.labels import neighbours, value_counts

Values = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Span = tuple[int, int]
"""The lowest and the highest value that a group of thin pixels touches."""
RADII = (3, 8)
"""Radii of the windows, tried in this order, in which the values of solid pixels are looked for."""
MIN_CONTRAST = 32
"""The least difference between the lowest and the highest value of a mask in which ringing is looked for."""
OVERSHOOT = 8
"""Values outside of two by one part in so many of their difference are between them too: interpolation and JPEG
overshoot."""


@dataclass(frozen=True)
class Edges:
    """What lies along the edges of a mask.

    solid     pixels of each value that are solid
    thin      how many pixels are thin, and have neither value of the two that they lie between
    between   thin pixels between two values, by (these two values, their own)
    direct    pairs of neighbours with two values of which neither is thin, by the values
    crowded   thin pixels with at least three values among themselves and their neighbours
    ringing   thin pixels that touch solid ones of one value only, and nearly have it
    """

    solid: dict[int, int] = field(default_factory=dict)
    thin: int = 0
    between: dict[tuple[Span, int], int] = field(default_factory=dict)
    direct: dict[Span, int] = field(default_factory=dict)
    crowded: int = 0
    ringing: int = 0


def edges_of(values: Values) -> Edges:
    """What lies along the edges of a mask (*S)."""
    solid = solid_pixels(values)
    thin = _thin(values, solid)
    count = int(thin.sum())
    if not count:
        return Edges(value_counts(values[solid]), direct=_direct(values, thin))
    low, high, inside = _between(values, solid, thin)
    ends = (values[thin] == low) | (values[thin] == high)
    own = values[thin][inside]
    spans = zip(low[inside].tolist(), high[inside].tolist(), own.tolist(), strict=True)
    between = dict(Counter(((a, b), v) for a, b, v in spans))
    areas = value_counts(values[solid])
    ringing = _ringing(values[thin], low, high, areas)
    return Edges(
        areas, count - int(ends.sum()), between, _direct(values, thin), _crowded(values, thin), ringing
    )


def _ringing(own: Values, low: Values, high: Values, areas: dict[int, int]) -> int:
    """Thin pixels that touch one value, and differ from it by an eighth of the range at most."""
    scale = max(areas, default=0) - min(areas, default=0)
    if not MIN_CONTRAST <= scale < 1 << 32:
        return 0
    return int(((low == high) & (own != low) & (np.abs(own - low) <= scale // OVERSHOOT)).sum())


def _crowded(values: Values, thin: BoolArray) -> int:
    at = np.nonzero(thin)
    own = values[at]
    other = own.copy()
    third = np.zeros(len(own), bool)
    for place, inside in _window_positions(at, values.shape, 1):
        value = np.where(inside, values[place], own)
        third |= (value != own) & (other != own) & (value != other)
        other = np.where(other == own, value, other)
    return int(third.sum())


def solid_pixels(values: Values) -> BoolArray:
    """Which pixels lie in a block of 2 along each axis that has one value."""
    block = np.ones(values.shape, bool)
    corner = values
    axes = [axis for axis, n in enumerate(values.shape) if n > 1]
    for axis in axes:
        before, after = _sides(values.ndim, axis)
        block = block[before] & block[after] & (corner[before] == corner[after])
        corner = corner[before]
    for axis in axes:
        before, after = _sides(values.ndim, axis)
        shape = list(block.shape)
        shape[axis] += 1
        whole = np.zeros(shape, bool)
        whole[before] |= block
        whole[after] |= block
        block = whole
    return block


def _sides(dim: int, axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """All but the last and all but the first along an axis"""
    before = [slice(None)] * dim
    after = [slice(None)] * dim
    before[axis] = slice(None, -1)
    after[axis] = slice(1, None)
    return tuple(before), tuple(after)


def _thin(values: Values, solid: BoolArray) -> BoolArray:
    """Pixels of which no neighbour of the same value is solid."""
    thin = ~solid
    at = np.nonzero(thin)
    near = np.zeros(len(at[0]), bool)
    for other, inside in _window_positions(at, values.shape, 1):
        near |= inside & solid[other] & (values[other] == values[at])
    thin[tuple(axis[near] for axis in at)] = False
    return thin


def _window_positions(
    at: tuple[NDArray[np.intp], ...], shape: tuple[int, ...], radius: int
) -> Iterator[tuple[tuple[NDArray[np.intp], ...], BoolArray]]:
    """For each place in a window around the pixels: its indices there, and whether these are inside the image."""
    for step in product(range(-radius, radius + 1), repeat=len(shape)):
        moved = [axis + s for axis, s in zip(at, step, strict=True)]
        inside = np.all([(0 <= m) & (m < n) for m, n in zip(moved, shape, strict=True)], axis=0)
        yield tuple(np.clip(m, 0, n - 1) for m, n in zip(moved, shape, strict=True)), inside


def _between(values: Values, solid: BoolArray, thin: BoolArray) -> tuple[Values, Values, BoolArray]:
    """Of each thin pixel: the lowest and the highest solid value that its group touches, and whether it lies between."""
    from scipy import ndimage

    at = np.nonzero(thin)
    labelled: Any = ndimage.label(thin, np.ones([3] * thin.ndim))
    groups, n = labelled
    group = groups[at]
    own = _as_channels(values[at])
    low = np.full(own.shape, np.iinfo(np.int64).max)
    high = np.full(own.shape, np.iinfo(np.int64).min)
    ends = [np.full(len(group), fill) for fill in (np.iinfo(np.int64).max, np.iinfo(np.int64).min)]
    for other, inside in _window_positions(at, values.shape, 1):
        here = inside & solid[other]
        value = values[other][here]
        low[here] = np.minimum(low[here], _as_channels(value))
        high[here] = np.maximum(high[here], _as_channels(value))
        ends[0][here] = np.minimum(ends[0][here], value)
        ends[1][here] = np.maximum(ends[1][here], value)
    index = np.arange(1, n + 1)
    low, high = (
        np.stack([np.asarray(of_group(c, group, index))[group - 1] for c in side.T], -1)
        for of_group, side in ((ndimage.minimum, low), (ndimage.maximum, high))
    )
    first = np.asarray(ndimage.minimum(ends[0], group, index), np.int64)[group - 1]
    last = np.asarray(ndimage.maximum(ends[1], group, index), np.int64)[group - 1]
    over = np.where(high > low, (high - low) // OVERSHOOT, 0)
    flat = low == high
    inside = np.where(flat, np.abs(own - low) <= 2, (low - over <= own) & (own <= high + over)).all(-1)
    taken = np.unique(values[solid]) if own.shape[-1] > 1 else np.stack([first, last], -1)
    is_other = ~np.isin(values[at], taken) if own.shape[-1] > 1 else (own != taken).all(-1)
    return first, last, inside & is_other & (first < last)


def _as_channels(values: Values) -> Values:
    """(N,) -> (N, 3) of colours, which are large numbers, or (N, 1)"""
    if not len(values) or values.max() < 1 << 62:
        return values[:, None]
    return np.stack([values >> 16 & 255, values >> 8 & 255, values & 255], -1)


def _direct(values: Values, thin: BoolArray) -> dict[Span, int]:
    pairs: Counter[Span] = Counter()
    for before, after in neighbours(values.ndim):
        meet = (values[before] != values[after]) & ~thin[before] & ~thin[after]
        ends, places = np.unique([values[before][meet], values[after][meet]], return_inverse=True)
        low, high = np.sort(places.reshape(2, -1), axis=0)
        kinds, counts = np.unique(low * len(ends) + high, return_counts=True)
        for kind, n in zip(kinds.tolist(), counts.tolist(), strict=True):
            pairs[int(ends[kind // len(ends)]), int(ends[kind % len(ends)])] += n
    return dict(pairs)


def harden(values: Values, known: Iterable[int], protected: BoolArray) -> Values:
    """(*S) with each pixel at a soft edge replaced by the nearer of the solid values around it.

    known   the values that a mask may have, every other is replaced too; empty where these are not known
    protected    pixels that stay as they are
    """
    allowed = np.array(sorted(known), np.int64)
    solid = solid_pixels(values)
    thin = _thin(values, solid)
    replaced = np.zeros(values.shape, bool)
    if thin.any():
        replaced[thin] = _between(values, solid, thin)[2]
    if len(allowed):
        is_known = np.isin(values, allowed)
        replaced |= ~is_known
        solid &= is_known
    replaced &= ~protected
    out = values.copy()
    out[replaced] = _nearest_values(values, solid, np.nonzero(replaced), allowed)
    return out


def _nearest_values(
    values: Values, solid: BoolArray, at: tuple[NDArray[np.intp], ...], allowed: Values
) -> Values:
    """For each of these pixels the nearer value of the solid ones around it; of all that are allowed where one is there."""
    own = values[at]
    best = own.copy()
    if len(allowed) and len(own):
        distances = [_distance(own, np.full(len(own), value)) for value in allowed]
        best = allowed[np.argmin(distances, axis=0)]
    remaining = np.arange(len(own))
    for radius in RADII[: 1 if values.ndim > 2 else None]:
        here = tuple(axis[remaining] for axis in at)
        nearest, several = _nearest_in_window(values, solid, here, radius)
        best[remaining[several]] = nearest[several]
        remaining = remaining[~several]
    return best


def _nearest_in_window(
    values: Values, solid: BoolArray, at: tuple[NDArray[np.intp], ...], radius: int
) -> tuple[Values, BoolArray]:
    """Of the solid values in a window around each pixel, the one nearest to its own; and whether there are several."""
    own = values[at]
    best = own.copy()
    distance = np.full(len(own), np.inf)
    low = np.full(len(own), np.iinfo(np.int64).max)
    high = np.full(len(own), np.iinfo(np.int64).min)
    for other, inside in _window_positions(at, values.shape, radius):
        here = inside & solid[other]
        value = values[other]
        distances = np.where(here, _distance(own, value), np.inf)
        closer = distances < distance
        best[closer] = value[closer]
        distance = np.minimum(distance, distances)
        low[here] = np.minimum(low[here], value[here])
        high[here] = np.maximum(high[here], value[here])
    return best, low < high


def _distance(a: Values, b: Values) -> NDArray[np.float64]:
    return np.abs(_as_channels(a).astype(float) - _as_channels(b)).sum(-1)
