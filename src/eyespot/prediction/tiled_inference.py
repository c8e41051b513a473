"""The answer for every sample of an image of any size, tile by tile, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, product

import numpy as np
import torch
from torch import Tensor

from eyespot.data.header import Array
from eyespot.fast import return_freed
from eyespot.prediction.tiles import Plan, Slices, shares, tiles

Read = Callable[[Slices], Array]
"""The samples of a window of the image, (*S, C)."""
Logits = Callable[[Array], Tensor]
"""What the network says of a window: (*S, C) -> (classes, *S)"""
Parts = Iterable[tuple[Slices, Tensor]]
"""Places in the image and the logits there, (classes, *S), row by row, so that what came before is whole."""


def predict_map(read: Read, logits: Logits, plan: Plan, first: int = 0) -> Iterator[tuple[Slices, Tensor]]:
    """The logits of the whole image in parts, as planned; it keeps no freed memory, so that the plan's bytes hold.

    first   the row that is wanted first: parts that end before it are left out
    """
    return_freed()
    return _blended(read, logits, plan, first) if plan.why else _exact(read, logits, plan, first)


def _exact(read: Read, logits: Logits, plan: Plan, first: int) -> Iterator[tuple[Slices, Tensor]]:
    for inner, outer in tiles(plan.shape, plan.tile, plan.reach):
        if inner[0].stop <= first:
            continue
        within = (slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
        yield inner, logits(read(outer))[(slice(None), *within)]


def _blended(read: Read, logits: Logits, plan: Plan, first: int) -> Iterator[tuple[Slices, Tensor]]:
    """Means of overlapping tiles, weighted by their distance from the tile's end; all of the width at a time."""
    axes = plan.parts()
    weights = [[torch.from_numpy(w) for w in shares(parts)] for parts in axes]
    wanted = sum(part.start <= first for part in axes[0]) - 1
    held, top = None, 0
    for k, (rows, end) in enumerate(pairwise([*axes[0], slice(plan.shape[0], None)])):
        if k < wanted - 1:  # what is wanted reaches into the row of tiles before it, and no further
            top = end.start
            continue
        band = None
        for places in product(*(range(len(parts)) for parts in axes[1:])):
            outer = (rows, *(axis[i] for axis, i in zip(axes[1:], places, strict=True)))
            y = logits(read(outer))
            if band is None:
                band = y.new_zeros(len(y), rows.stop - top, *plan.shape[1:])
                if held is not None:
                    band[:, : held.shape[1]] = held
            for axis, i in enumerate((k, *places)):
                y = y * weights[axis][i].view(-1, *[1] * (len(axes) - 1 - axis)).to(y)
            band[(slice(None), slice(rows.start - top, rows.stop - top), *outer[1:])] += y
        assert band is not None
        held = band[:, end.start - top :].clone()
        if k >= wanted:
            yield (slice(top, end.start), *(slice(0, n) for n in plan.shape[1:])), band[:, : end.start - top]
        top = end.start


def probabilities(logits: Tensor, multilabel: bool = False) -> Tensor:
    """(classes, ...) of one class each, or of each class on its own"""
    return logits.float().sigmoid() if multilabel else logits.float().softmax(0)


def hard(logits: Tensor, multilabel: bool = False) -> Tensor:
    """(classes, ...) -> (...) the likeliest class; or bit k where class k has a probability above 0.5"""
    if not multilabel:
        return logits.argmax(0)
    return sum((plane > 0).to(torch.uint8) << k for k, plane in enumerate(logits))  # type: ignore[return-value]


def maps(
    parts: Parts, shape: Sequence[int], soft: bool = False, multilabel: bool = False
) -> Iterator[tuple[int, Array, Array | None]]:
    """(first row, labels, probabilities) of all of the width at a time

    labels          the likeliest class of every sample, or bit fields: (rows, *shape[1:]) of uint8 or uint16
    probabilities   of every class, where they are wanted: (classes, rows, *shape[1:]) of uint8, 255 for 1
    """
    band, shares, rows = None, None, slice(0, 0)
    for place, logits in parts:
        if band is None or place[0] != rows:
            if band is not None:
                yield rows.start, band, shares
            rows = place[0]
            size = (rows.stop - rows.start, *shape[1:])
            band = np.empty(size, np.uint8 if len(logits) <= 256 else np.uint16)
            shares = np.empty((len(logits), *size), np.uint8) if soft else None
        band[(slice(None), *place[1:])] = hard(logits, multilabel).cpu().numpy()
        if shares is not None:
            p = probabilities(logits, multilabel).mul_(255).round_()
            shares[(slice(None), slice(None), *place[1:])] = p.to(torch.uint8).cpu().numpy()
    if band is not None:
        yield rows.start, band, shares


class Seams:
    """How visible the ends of blended tiles are: `watch` measures while the parts pass, `score` then tells.

    The score is the mean jump of the class probabilities from one sample to the next across the ends of tiles, divided
    by the mean jump one sample before and after: 1 where no end can be seen.
    """

    def __init__(self, plan: Plan, multilabel: bool = False):
        self.multilabel = multilabel
        ends = [{e for p in parts for e in (p.start, p.stop)} for parts in plan.parts()]
        self.ends = [
            sorted(e for e in found if 2 <= e < n - 1) for found, n in zip(ends, plan.shape, strict=True)
        ]
        self.across, self.beside, self.last = 0.0, 0.0, torch.zeros(0)

    @property
    def score(self) -> float:
        return self.across / self.beside if self.beside else 1.0 if not self.across else float("inf")

    def watch(self, parts: Parts) -> Iterator[tuple[Slices, Tensor]]:
        """The same parts, each of the full width."""
        for place, logits in parts:
            p = probabilities(logits, self.multilabel)
            for axis, ends in enumerate(self.ends[1:], start=2):
                for end in ends:
                    self._add(p.narrow(axis, end - 2, 4).movedim(axis, 1))
            self._along_rows(place[0], p)
            yield place, logits

    def _along_rows(self, rows: slice, p: Tensor) -> None:
        """An end between rows is measured when the row after the next has come."""
        joined = torch.cat([self.last, p], 1) if self.last.dim() > 1 else p
        first = rows.stop - joined.shape[1]
        for end in self.ends[0]:
            if rows.start <= end + 1 < rows.stop and end - 2 >= first:  # not where a stopped run left off
                self._add(joined[:, end - 2 - first : end + 2 - first])
        self.last = joined[:, -3:].clone()

    def _add(self, four: Tensor) -> None:
        """(classes, 4, ...) around an end"""
        before, across, after = four.diff(dim=1).abs().cpu().double().sum([0, *range(2, four.dim())]).tolist()
        self.across, self.beside = self.across + across, self.beside + (before + after) / 2
