"""Fewer or more samples along each axis, without aliasing: the triangle filter that Pillow calls bilinear, in any rank."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyespot.data.header import Array

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Window = tuple[float, float]
"""From where to where along an axis, in samples."""


def filter_taps(
    n: int, out: int, window: Window | None = None
) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """(out, taps) which of n samples are in each of `out` that divide the window evenly, and their weights.

    The triangle is as wide as two output samples, or two input samples where these are further apart.
    """
    low, high = window or (0, n)
    step = (high - low) / out
    reach = max(step, 1.0)
    centres = low + (np.arange(out) + 0.5) * step
    first = np.floor(centres - reach).astype(int)
    taps = first[:, None] + np.arange(int(2 * reach) + 3)
    weights = np.maximum(0, 1 - np.abs(taps + 0.5 - centres[:, None]) / reach)
    weights[(taps < 0) | (taps >= n)] = 0
    weights /= weights.sum(1, keepdims=True)
    return taps.clip(0, n - 1), weights


def filters(n: int, out: int, window: Window | None = None) -> "csr_array":
    """(out, n) the same as a matrix."""
    from scipy.sparse import csr_array

    taps, weights = filter_taps(n, out, window)
    rows = np.repeat(np.arange(out), taps.shape[1])
    return csr_array((weights.ravel(), (rows, taps.ravel())), (out, n))


def resampled(values: NDArray[np.float32], out: int, window: Window | None = None) -> NDArray[np.float32]:
    """(n, ...) -> (out, ...) along the first axis: the product with `filters`, added up in the same order."""
    taps, weights = filter_taps(len(values), out, window)
    shape = (-1, *[1] * (values.ndim - 1))
    result = np.zeros((out, *values.shape[1:]), np.float32)
    for of_tap, weight in zip(taps.T, weights.astype(np.float32).T, strict=True):
        result += weight.reshape(shape) * values[of_tap]
    return result


def scaled(array: Array, sizes: Sequence[int], windows: Sequence[Window] | None = None) -> Array:
    """(*S, C) -> (*sizes, C), the windows of each axis stretched to these sizes; integers are rounded."""
    windows = windows or [(0, n) for n in array.shape[:-1]]
    if len(sizes) == 2:
        return _scaled_image(array, sizes, windows)
    values: NDArray[np.float32] = array.astype(np.float32)
    for axis, (size, window) in enumerate(zip(sizes, windows, strict=True)):
        n = values.shape[axis]
        if (size, window) == (n, (0, n)):
            continue
        values = np.moveaxis(resampled(np.moveaxis(values, axis, 0), size, window), 0, axis)
    return values if array.dtype == np.float32 else np.rint(values).astype(array.dtype)


def _scaled_image(array: Array, sizes: Sequence[int], windows: Sequence[Window]) -> Array:
    """The same by Pillow, which is several times faster."""
    height, width = sizes
    (top, bottom), (left, right) = windows
    how = Image.Resampling.BILINEAR
    box = (left, top, right, bottom)
    if array.dtype == np.uint8 and array.shape[2] in (1, 3):
        picture = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
        small = picture.resize((width, height), how, box, reducing_gap=2.0)
        return np.asarray(small).reshape(height, width, -1)
    planes = [Image.fromarray(array[..., c].astype(np.float32)) for c in range(array.shape[2])]
    mixed = np.stack([np.asarray(p.resize((width, height), how, box)) for p in planes], axis=2)
    return mixed if array.dtype == np.float32 else np.rint(mixed).astype(array.dtype)
