"""Convolution as sums of products: tap by tap, row of taps by row, or looked up in a table."""

from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from eyespot.convolution.edges import extend, sources
from eyespot.convolution.windows import Windows


def sum_of_taps(x, kernel, w: Windows):
    """x (N, G, C, *padded), kernel (G, O, C, *K) -> (N, G, O, *out): one shifted copy of x per tap; NumPy or torch."""
    y: Any = None
    for tap in product(*map(range, w.taps)):
        steps = zip(tap, w.dilation, w.stride, w.out, strict=True)
        shifted = x[(..., *[slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, s, o in steps])]
        weights = kernel[(..., *tap)]
        if w.kernel_shape[2] == 1:
            term = weights.reshape(*w.kernel_shape[:2], *(1,) * w.dim) * shifted
        else:
            n, g, c, *out = shifted.shape
            term = (weights @ shifted.reshape(n, g, c, -1)).reshape(n, g, -1, *out)
        if y is None:
            y = term
        else:
            y += term
    return y


def taps(x: np.ndarray, kernel: np.ndarray, w: Windows) -> np.ndarray:
    """x (N, G, C, *S), kernel (G, O, C, *K) -> (N, G, O, *out), tap by tap."""
    return sum_of_taps(extend(x, w.before, w.after, w.boundary), kernel, w)


def line(x: np.ndarray, kernel: np.ndarray, w: Windows) -> np.ndarray:
    """A series (n,) and a kernel (k,) -> (out,), in as few calls as can be: short ones take microseconds."""
    if kernel.dtype.kind == "c":
        kernel = kernel.conj()
    if w.flip:
        kernel = kernel[::-1]
    if not (w.before[0] or w.after[0]):
        return np.correlate(x, kernel)
    first = w.reach[0] - w.before[0]
    return np.correlate(x, kernel, "full")[first : first + w.dense[0]]


def rows(x: np.ndarray, kernel: np.ndarray, w: Windows, axis: int) -> np.ndarray:
    """One channel: x (N, 1, 1, *S) -> (N, 1, 1, *(>= dense)), each row of taps along `axis` by NumPy's own loop.

    The padded image is one line in memory, so a row of taps runs over all of it; what it makes of the end of one line
    and the start of the next lies beyond the outputs.
    """
    kernel = (kernel if kernel.dtype.kind != "c" else kernel.conj())[0, 0, 0]
    x = extend(x, w.before, w.after, w.boundary)
    if w.dim == 1 and x.shape[0] == 1:
        return np.correlate(x[0, 0, 0], kernel)[None, None, None]
    x, kernel = (
        np.ascontiguousarray(x.swapaxes(3 + axis, -1)),
        np.ascontiguousarray(kernel.swapaxes(axis, -1)),
    )
    flat, k, starts = x.reshape(-1), kernel.shape[-1], row_starts(w, axis)
    count = flat.size - starts[-1] - k + 1
    y = np.empty_like(flat)
    total = y[:count]
    with np.errstate(all="ignore"):
        for row, start in zip(kernel.reshape(-1, k), starts, strict=True):
            term = np.correlate(flat[start : start + count + k - 1], row)
            if start:
                total += term
            else:
                total[:] = term
    return y.reshape(x.shape).swapaxes(3 + axis, -1)


@lru_cache(maxsize=512)
def row_starts(w: Windows, axis: int) -> list[int]:
    """Where each row of taps begins in the padded image, which is one line with `axis` swapped with the last."""
    shape, taps = [m + r for m, r in zip(w.dense, w.reach, strict=True)], [r + 1 for r in w.reach]
    for sizes in (shape, taps):
        sizes[axis], sizes[-1] = sizes[-1], sizes[axis]
    return [int(np.ravel_multi_index((*tap, 0), shape)) for tap in np.ndindex(*taps[:-1])]


def table(x: np.ndarray, kernel: np.ndarray, w: Windows) -> np.ndarray:
    """One channel of a small image: every window is looked up at once, in a table made once per shape."""
    flat = np.zeros((x.shape[0], prod(w.size) + 1), x.dtype)
    flat[:, :-1] = x.reshape(x.shape[0], -1)
    return flat.take(lookup(w), axis=1) @ kernel.reshape(-1)


@lru_cache(maxsize=64)
def lookup(w: Windows) -> np.ndarray:
    return entries(w)


def entries(w: Windows):
    """(prod(out), prod(K)) Of every output and tap, the sample that the tap meets, or -1 for a zero."""
    column = np.zeros((), np.intp)
    ends = zip(w.size, w.before, w.after, w.out, w.taps, w.stride, w.dilation, strict=True)
    for axis, (n, b, a, out, k, s, d) in enumerate(ends):
        met = sources(n, b, a, w.boundary)[np.arange(out)[:, None] * s + np.arange(k) * d]
        shape = [1] * (2 * w.dim)
        shape[axis], shape[w.dim + axis] = met.shape
        met = met.reshape(shape)
        column = np.where((column < 0) | (met < 0), -1, column * n + met)
    return column.reshape(prod(w.out), prod(w.taps))


def spread(kernel: np.ndarray, w: Windows) -> np.ndarray:
    """(G, O, C, *K) -> (G, O, C, *(reach + 1)): the taps moved apart by the dilation, zeros between."""
    if max(w.dilation) == 1:
        return kernel
    y = np.zeros((*kernel.shape[:3], *[r + 1 for r in w.reach]), kernel.dtype)
    y[(..., *[slice(None, None, d) for d in w.dilation])] = kernel
    return y
