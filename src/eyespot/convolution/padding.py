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
            source = source_indices(size, b, a, boundary)
            for added in (slice(0, b), slice(b + size, b + size + a)):
                inside = add_at(inside, axis, source[added], y[(*leading, added)])
        y = inside
    return y


def add_at(x: Any, axis: int, index: NDArray[np.intp], values: Any) -> Any:
    """A copy of x with values added at indices along one axis; an index may repeat."""
    if isinstance(x, np.ndarray):
        x = x.copy()
        places: Any = (*(slice(None),) * axis, index)
        np.add.at(x, places, values)
        return x
    import torch

    return x.index_add(axis, torch.as_tensor(index, device=x.device), values)
