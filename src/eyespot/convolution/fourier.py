"""Convolution as products of Fourier transforms: in tiles that overlap by the kernel's reach (overlap-save)."""

from math import prod

import numpy as np
import scipy.fft

from eyespot.convolution.direct import pieces, spread
from eyespot.convolution.edges import extend
from eyespot.convolution.windows import Windows

CHUNK = 1 << 16  # numbers transformed at a time, so that they stay in a core's cache


def tiles(x: np.ndarray, kernel: np.ndarray, w: Windows, tiling) -> np.ndarray:
    """x (N, G, C, *S), kernel (G, O, C, *K) -> (N, G, O, *out), with stride 1 inside; a larger one is taken afterwards.

    tiling  per axis (tiles, transform length)
    """
    counts, lengths = zip(*tiling, strict=True)
    dim, axes = w.dim, tuple(range(-w.dim, 0))
    kernel = spread(kernel, w)
    hops = [-(-o // m) for o, m in zip(w.dense, counts, strict=True)]
    x = buffer(x, w, counts, lengths, hops)
    forward, inverse = (scipy.fft.fftn, scipy.fft.ifftn) if x.dtype.kind == "c" else (scipy.fft.rfftn, scipy.fft.irfftn)
    k_hat = forward(kernel.conj(), lengths, axes).conj()
    k_hat = k_hat.reshape(*kernel.shape[:3], *(1,) * dim, *k_hat.shape[3:])
    steps = [h * s for h, s in zip(hops, x.strides[3:], strict=True)]
    view = np.ndarray((*x.shape[:3], *counts, *lengths), x.dtype, x, 0, (*x.strides[:3], *steps, *x.strides[3:]))
    y = np.empty((x.shape[0], *kernel.shape[:2], *w.dense), x.dtype)
    inside = (..., *[slice(h) for h in hops])
    channels = prod(kernel.shape[:1] + kernel.shape[2:3])
    for n, *piece in pieces((x.shape[0], *counts), CHUNK // (channels * prod(lengths))):
        x_hat = forward(view[(n, slice(None), slice(None), *piece)], axes=axes)
        y_hat = multiply(x_hat, k_hat, w.plain)
        z = inverse(y_hat, lengths, axes, overwrite_x=True)[inside]
        mosaic(z, y, (n, *piece), hops)
    return y[(..., *[slice(None, None, s) for s in w.stride])] if max(w.stride) > 1 else y


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


def mosaic(z: np.ndarray, y: np.ndarray, piece: tuple[slice, ...], hops: list[int]) -> None:
    """Write tiles z (n, G, O, *tiles, *hop) where they belong in y (N, G, O, *out), without what is beyond its edges."""
    dim = len(hops)
    order = [axis for d in range(dim) for axis in (3 + d, 3 + dim + d)]
    z = z.transpose(0, 1, 2, *order)
    z = z.reshape(*z.shape[:3], *[n * h for n, h in zip(z.shape[3::2], hops, strict=True)])
    first = [p.start * h for p, h in zip(piece[1:], hops, strict=True)]
    room = [o - f for o, f in zip(y.shape[3:], first, strict=True)]
    target = tuple(slice(f, f + n) for f, n in zip(first, z.shape[3:], strict=True))
    y[(piece[0], slice(None), slice(None), *target)] = z[(..., *[slice(max(r, 0)) for r in room])]
