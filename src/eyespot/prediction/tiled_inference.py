"""A prediction for every sample of an image of any size, tile by tile, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.prediction.tiles import Plan, Slices, shares, tiles
from eyespot.softmax import sigmoid

Logits = NDArray[np.floating]
Read = Callable[[Slices], Array]
"""The samples of a window of the image, (*S, C)."""
Predict = Callable[[Array], Logits]
"""The network on a window: (*S, C) -> (classes, *S)"""
Pieces = Iterable[tuple[Slices, Logits]]
"""Places in the image and the logits there, (classes, *S), row by row, so that what came before is whole."""
Band = tuple[int, Array, Array | None]
"""The first row, labels (rows, *S[1:]), and probabilities (classes, rows, *S[1:]) or None"""


def predict_map(read: Read, predict: Predict, plan: Plan, first: int = 0) -> Iterator[tuple[Slices, Logits]]:
    """The logits of the whole image in pieces, as planned.

    first   the first row that is needed: pieces that end before it are skipped
    """
    return _blended(read, predict, plan, first) if plan.why else _exact(read, predict, plan, first)


def _exact(read: Read, predict: Predict, plan: Plan, first: int) -> Iterator[tuple[Slices, Logits]]:
    for inner, outer in tiles(plan.shape, plan.tile, plan.halo):
        if inner[0].stop <= first:
            continue
        within = (slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
        yield inner, predict(read(outer))[(slice(None), *within)]


def _blended(read: Read, predict: Predict, plan: Plan, first: int) -> Iterator[tuple[Slices, Logits]]:
    """Means of overlapping tiles, weighted by their distance from the tile's end; all of the width at a time."""
    axes = plan.axis_tiles()
    weights = [shares(axis) for axis in axes]
    needed = sum(rows.start <= first for rows in axes[0]) - 1
    width = tuple(slice(0, n) for n in plan.shape[1:])
    overlap = None
    top = 0
    next_starts = [*(rows.start for rows in axes[0][1:]), plan.shape[0]]
    for k, stop in enumerate(next_starts):
        if (
            k < needed - 1
        ):  # the first row that is needed reaches into the row of tiles before it, and no further
            top = stop
            continue
        band = _weighted_row(read, predict, k, axes, weights)
        if overlap is not None:
            band[:, : overlap.shape[1]] += overlap
        # A skipped row of tiles leaves the rows that it shares with this one incomplete; they are not yielded.
        overlap = band[:, stop - top :].copy()
        if k >= needed:
            yield (slice(top, stop), *width), band[:, : stop - top]
        top = stop


def _weighted_row(
    read: Read, predict: Predict, k: int, axes: list[list[slice]], weights: list[list[NDArray[np.float32]]]
) -> Logits:
    """The weighted sum of the tiles in row k: (classes, rows, *S[1:])"""
    band = None
    rows = axes[0][k]
    for places in product(*(range(len(axis)) for axis in axes[1:])):
        outer = (rows, *(axis[i] for axis, i in zip(axes[1:], places, strict=True)))
        logits = predict(read(outer))
        if band is None:
            size = (axis[-1].stop for axis in axes[1:])
            band = np.zeros((len(logits), rows.stop - rows.start, *size), logits.dtype)
        for axis, i in enumerate((k, *places)):
            weight = weights[axis][i].reshape(-1, *[1] * (len(axes) - 1 - axis))
            logits = logits * weight.astype(logits.dtype)
        band[(slice(None), slice(None), *outer[1:])] += logits
    assert band is not None
    return band


def probabilities(logits: Logits, multilabel: bool = False) -> Logits:
    """(classes, ...) of one class each, or of each class on its own"""
    if multilabel:
        return sigmoid(logits)
    shifted = np.exp(logits - logits.max(0))
    shifted /= shifted.sum(0)
    return shifted


def hard(logits: Logits, multilabel: bool = False) -> Array:
    """(classes, ...) -> (...) the likeliest class; or bit k where class k has a probability above 0.5"""
    labels = np.zeros(logits.shape[1:], np.uint8 if len(logits) <= 256 else np.uint16)
    if multilabel:
        for k, plane in enumerate(logits):
            labels |= (plane > 0).astype(np.uint8) << k
        return labels
    best = logits[0].copy()  # faster than argmax along the first axis
    for k, plane in enumerate(logits[1:], start=1):
        larger = plane > best
        labels[larger] = k
        np.maximum(best, plane, out=best)
    return labels


def maps(
    pieces: Pieces, shape: Sequence[int], soft: bool = False, multilabel: bool = False
) -> Iterator[Band]:
    """(first row, labels, probabilities) of all of the width at a time

    labels          the likeliest class of every sample, or bit fields: (rows, *shape[1:]) of uint8 or uint16
    probabilities   of every class, where they are asked for: (classes, rows, *shape[1:]) of uint8, 255 for 1
    """
    band = soft_band = None
    rows = slice(0, 0)
    for place, logits in pieces:
        if band is None or place[0] != rows:
            if band is not None:
                yield rows.start, band, soft_band
            rows = place[0]
            size = (rows.stop - rows.start, *shape[1:])
            band = np.empty(size, np.uint8 if len(logits) <= 256 else np.uint16)
            soft_band = np.empty((len(logits), *size), np.uint8) if soft else None
        band[(slice(None), *place[1:])] = hard(logits, multilabel)
        if soft_band is not None:
            p = probabilities(logits, multilabel) * 255
            soft_band[(slice(None), slice(None), *place[1:])] = p.round().astype(np.uint8)
    if band is not None:
        yield rows.start, band, soft_band


class SeamMeter:
    """How visible the ends of blended tiles are: `watch` measures while the pieces pass, `score` is the result.

    The score is the mean jump of the class probabilities from one sample to the next across the ends of tiles, divided
    by the mean jump one sample before and after: 1 where no end can be seen.
    """

    def __init__(self, plan: Plan, multilabel: bool = False):
        self.multilabel = multilabel
        self.ends = [_inner_ends(axis, n) for axis, n in zip(plan.axis_tiles(), plan.shape, strict=True)]
        self.across = 0.0
        self.beside = 0.0
        self.last: Logits | None = None

    @property
    def score(self) -> float:
        if self.beside:
            return self.across / self.beside
        return float("inf") if self.across else 1.0

    def watch(self, pieces: Pieces) -> Iterator[tuple[Slices, Logits]]:
        """The same pieces, each of the full width."""
        for place, logits in pieces:
            p = probabilities(logits, self.multilabel)
            for axis, ends in enumerate(self.ends[1:], start=2):
                for end in ends:
                    self._add(np.moveaxis(p.take(range(end - 2, end + 2), axis), axis, 1))
            self._along_rows(place[0], p)
            yield place, logits

    def _along_rows(self, rows: slice, p: Logits) -> None:
        """An end between rows is measured when the row after the next has come."""
        joined = p if self.last is None else np.concatenate([self.last, p], 1)
        first = rows.stop - joined.shape[1]
        for end in self.ends[0]:
            if rows.start <= end + 1 < rows.stop and end - 2 >= first:  # not where a stopped run left off
                self._add(joined[:, end - 2 - first : end + 2 - first])
        self.last = joined[:, -3:].copy()

    def _add(self, four: Logits) -> None:
        """(classes, 4, ...) around an end"""
        jumps = np.abs(np.diff(four.astype(np.float64), axis=1))
        before, across, after = jumps.sum(axis=(0, *range(2, four.ndim))).tolist()
        self.across += across
        self.beside += (before + after) / 2


def _inner_ends(axis_tiles: list[slice], n: int) -> list[int]:
    """Where tiles of an axis of n samples begin or end inside, with two samples on each side."""
    ends = {end for tile in axis_tiles for end in (tile.start, tile.stop)}
    return sorted(end for end in ends if 2 <= end < n - 1)
