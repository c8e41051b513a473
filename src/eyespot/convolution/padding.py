"""Padding by a boundary, as indices, and its transpose; the trailing axes are spatial.

zero: 0 0 | a b c | 0 0      replicate: a a | a b c | c c      reflect: c b | a b c | b a      circular: b c | a b c | a b

`reflect` is numpy.pad's "reflect": the edge sample is not repeated, and wide padding is reflected again and again.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMPY_MODES = {"zero": "constant", "replicate": "edge", "reflect": "reflect", "circular": "wrap"}


def pad(x: np.ndarray, before: Sequence[int], after: Sequence[int], boundary: str) -> np.ndarray:
    """(..., *S) -> (..., *(before + S + after)); x itself where nothing is added."""
    if not (any(before) or any(after)):
        return x
    widths = [(0, 0)] * (x.ndim - len(before)) + list(zip(before, after, strict=True))
    mode: Any = NUMPY_MODES[boundary]
    return np.pad(x, widths, mode=mode)


def source_indices(size: int, before: int, after: int, boundary: str) -> NDArray[np.intp]:
    """(before + size + after,) The sample that each place of a padded axis repeats; -1 for a zero."""
    place = np.arange(-before, size + after)
    if boundary == "zero":
        return np.where((place < 0) | (place >= size), -1, place)
    if boundary == "replicate":
        return place.clip(0, size - 1)
    if boundary == "circular":
        return place % size
    period = max(2 * (size - 1), 1)
    return np.minimum(place % period, period - place % period)


def unpad(y: Any, before: Sequence[int], after: Sequence[int], boundary: str) -> Any:
    """The transpose of padding: (..., *(before + S + after)) -> (..., *S), each sample the sum of its copies.

    y is a NumPy array or a torch tensor.
    """
    first_axis = y.ndim - len(before)
    for axis, (b, a) in enumerate(zip(before, after, strict=True), first_axis):
        leading = (slice(None),) * axis
        size = y.shape[axis] - a - b
        inside = y[(*leading, slice(b, b + size))]
        if boundary != "zero":
            inside = inside + 0  # a copy, of an array or a tensor
            source = source_indices(size, b, a, boundary)
            for place in (*range(b), *range(b + size, b + size + a)):
                inside[(*leading, int(source[place]))] += y[(*leading, place)]
        y = inside
    return y
