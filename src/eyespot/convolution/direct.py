"""Convolution as sums of products, tap by tap."""

from itertools import product
from typing import Any

import numpy as np

from eyespot.convolution.edges import extend
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
    """The same for one row, one channel and no dilation, by NumPy's own loop."""
    kernel = kernel.reshape(-1)
    if kernel.dtype.kind == "c":
        kernel = kernel.conj()
    if w.boundary == "zero" and (w.before[0] or w.after[0]):
        first = w.reach[0] - w.before[0]
        y = np.correlate(x.reshape(-1), kernel, "full")[first : first + w.dense[0]]
    else:
        y = np.correlate(extend(x, w.before, w.after, w.boundary).reshape(-1), kernel, "valid")
    return y[:: w.stride[0]]


def spread(kernel: np.ndarray, w: Windows) -> np.ndarray:
    """(G, O, C, *K) -> (G, O, C, *(reach + 1)): the taps moved apart by the dilation, zeros between."""
    if max(w.dilation) == 1:
        return kernel
    y = np.zeros((*kernel.shape[:3], *[r + 1 for r in w.reach]), kernel.dtype)
    y[(..., *[slice(None, None, d) for d in w.dilation])] = kernel
    return y
