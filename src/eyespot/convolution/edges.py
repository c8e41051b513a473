"""What lies beyond the edges of an array, and the transpose of putting it there; the trailing axes are spatial.

zero: 0 0 | a b c | 0 0      replicate: a a | a b c | c c      reflect: c b | a b c | b a      circular: b c | a b c | a b

`reflect` is numpy.pad's "reflect": the edge sample is not repeated, and a wide edge runs to and fro.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def sources(size: int, before: int, after: int, boundary: str) -> NDArray[np.intp]:
    """(before + size + after,) Which of `size` samples is seen at each place; -1 where a zero is."""
    place = np.arange(-before, size + after)
    if boundary == "zero":
        return np.where((place < 0) | (place >= size), -1, place)
    if boundary == "replicate":
        return place.clip(0, size - 1)
    if boundary == "circular":
        return place % size
    period = max(2 * (size - 1), 1)
    return np.minimum(place % period, period - place % period)


def extend(x: np.ndarray, before, after, boundary: str, tail=()) -> np.ndarray:
    """(..., *S) -> (..., *(before + S + after + tail)), the tail always zero; x itself where nothing is added."""
    if not (any(before) or any(after) or any(tail)):
        return x
    lead = x.ndim - len(before)
    size = x.shape[lead:]
    shape, core = frame(size, before, after, tail or (0,) * len(size))
    y = np.zeros(x.shape[:lead] + shape, x.dtype)
    y[core] = x
    if boundary != "zero":
        for axis, (n, b, a) in enumerate(zip(size, before, after, strict=True)):
            head = (slice(None),) * (lead + axis)
            seen = sources(n, b, a, boundary) + b
            y[(*head, slice(0, b))] = y[(*head, seen[:b])]
            y[(*head, slice(b + n, b + n + a))] = y[(*head, seen[b + n :])]
    return y


def cut_out(x: np.ndarray, source) -> np.ndarray:
    """A part of x (N, G, C, *S) with the zeros around it, contiguous; see Windows.source."""
    where, before, after = source
    return np.ascontiguousarray(extend(x[where], before, after, "zero"))


@lru_cache(maxsize=512)
def frame(size, before, after, tail):
    """The shape of an extended array along its spatial axes, and where the original lies in it."""
    ends = list(zip(size, before, after, tail, strict=True))
    return tuple(map(sum, ends)), (..., *[slice(b, b + n) for n, b, _, _ in ends])


def fold(y, before, after, boundary: str):
    """The transpose of extend: (..., *(before + S + after)) -> (..., *S), each sample the sum of its copies."""
    lead = y.ndim - len(before)
    for axis, (b, a) in enumerate(zip(before, after, strict=True), lead):
        head, n = (slice(None),) * axis, y.shape[axis] - a - b
        core = y[(*head, slice(b, b + n))]
        if boundary == "zero":
            y = core
            continue
        seen = sources(n, b, a, boundary)
        for edge, copies in ((slice(0, b), seen[:b]), (slice(b + n, b + n + a), seen[b + n :])):
            core = add_at(core, axis, copies, y[(*head, edge)])
        y = core
    return y


def add_at(x, axis: int, index: NDArray[np.intp], values):
    """x with values added at places along one axis, repeated places added repeatedly; NumPy or torch."""
    if isinstance(x, np.ndarray):
        x = x.copy()
        places: Any = (*(slice(None),) * axis, index)
        np.add.at(x, places, values)
        return x
    import torch

    return x.index_add(axis, torch.as_tensor(index, device=x.device), values)
