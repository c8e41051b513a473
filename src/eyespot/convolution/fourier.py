"""Convolution as products of Fourier transforms: in tiles that overlap by the kernel's reach (overlap-save)."""

from math import prod
from typing import Any, cast

import numpy as np
import scipy.fft

from eyespot.convolution.edges import extend
from eyespot.convolution.pieces import each, pieces
from eyespot.convolution.windows import Windows

CHUNK = 1 << 16  # numbers transformed at a time, so that they stay in a core's cache


def tiles(x: np.ndarray, kernel: np.ndarray, w: Windows, tiling) -> np.ndarray:
    """x (N, G, C, *S), kernel (G, O, C, *(reach + 1)) -> (N, G, O, *dense), each axis longer by less than its tiles.

    tiling  per axis (number of tiles, length of their transform)
    """
    counts, lengths = zip(*tiling, strict=True)
    hops = [-(-o // m) for o, m in zip(w.dense, counts, strict=True)]
    x = buffer(x, w, counts, lengths, hops)
    size = [m * h for m, h in zip(counts, hops, strict=True)]
    y = np.empty((x.shape[0], *kernel.shape[:2], *size), x.dtype)
    seen, made = tiled(x, counts, lengths, hops), tiled(y, counts, hops, hops)
    forward, inverse = transforms(x.dtype.kind == "c")
    axes, inside = tuple(range(-w.dim, 0)), (..., *[slice(h) for h in hops])
    k_hat = forward(kernel.conj(), lengths, axes).conj()
    k_hat = k_hat.reshape(*kernel.shape[:3], *(1,) * w.dim, *k_hat.shape[3:])

    def transform(piece) -> None:
        at = (piece[0], slice(None), slice(None), *piece[1:])
        y_hat = multiply(forward(seen[at], axes=axes), k_hat, w.plain)
        made[at] = inverse(y_hat, lengths, axes, overwrite_x=True)[inside]

    per_cell = prod(lengths) * kernel.shape[0] * kernel.shape[2]
    each(transform, list(pieces((x.shape[0], *counts), CHUNK // per_cell)))
    return y


def transforms(is_complex: bool) -> tuple[Any, Any]:
    """The forward and the inverse transform."""
    return (scipy.fft.fftn, scipy.fft.ifftn) if is_complex else (scipy.fft.rfftn, scipy.fft.irfftn)


def fast_length(points: int) -> int:
    """The shortest transform of at least so many points that is fast."""
    return cast(Any, scipy.fft.next_fast_len)(points, real=True)


def tiled(x: np.ndarray, counts, lengths, hops) -> np.ndarray:
    """(N, G, C, *S) -> (N, G, C, *counts, *lengths): tiles of x, each `hops` further than the one before."""
    steps = [h * s for h, s in zip(hops, x.strides[3:], strict=True)]
    strides = (*x.strides[:3], *steps, *x.strides[3:])
    return np.ndarray((*x.shape[:3], *counts, *lengths), x.dtype, x, 0, strides)


def buffer(x: np.ndarray, w: Windows, counts, lengths, hops) -> np.ndarray:
    """x (N, G, C, *S) -> (N, G, C, *((tiles - 1) hop + length)): what the tiles lie on.

    In a single tile the zeros after the last sample serve before the first one too, and a circle needs none.
    """
    totals = [(m - 1) * h + t for m, h, t in zip(counts, hops, lengths, strict=True)]
    after = (0,) * w.dim if w.boundary == "zero" else w.after
    ends = zip(totals, w.before, w.size, after, strict=True)
    tail = tuple(max(0, t - b - n - a) for t, b, n, a in ends)
    x = extend(x, w.before, after, w.boundary, tail)
    return np.ascontiguousarray(x[(..., *[slice(t) for t in totals])])


def multiply(x_hat: np.ndarray, k_hat: np.ndarray, plain: bool) -> np.ndarray:
    """Spectra (N, G, C, ...) of the image times (G, O, C, ...) of the kernel, summed over C."""
    if plain:
        x_hat *= k_hat[0, 0, 0]
        return x_hat
    return np.einsum("ngc...,goc...->ngo...", x_hat, k_hat)
