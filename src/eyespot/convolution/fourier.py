"""Convolution as products of Fourier transforms: in tiles that overlap by the kernel's reach (overlap-save)."""

from math import prod
from typing import Any, cast

import numpy as np
import scipy.fft

from eyespot.convolution.edges import cut_out, extend
from eyespot.convolution.pieces import each, pieces
from eyespot.convolution.windows import Windows

SMALL = (
    1 << 13
)  # numbers below which one call for all axes costs less than leaving out the zeros, axis by axis
CHUNK = 1 << 16  # numbers transformed at a time, so that they stay in a core's cache


def tiles(x: np.ndarray, kernel: np.ndarray, w: Windows, tiling) -> np.ndarray:
    """x (N, G, C, *S), kernel (G, O, C, *(reach + 1)) -> (N, G, O, *dense), each axis longer by less than its tiles.

    tiling  per axis (number of tiles, length of their transform). A single tile may be too short for the zeros on
            both sides: a transform is circular, so those after the last sample serve before the first one too
    """
    counts, lengths = zip(*tiling, strict=True)
    if w.plain and w.boundary == "zero" and prod(counts) == x.shape[0] == 1:
        return one_tile(x, kernel, w, lengths)
    hops = [-(-o // m) for o, m in zip(w.dense, counts, strict=True)]
    if w.boundary != "zero":
        x = extend(x, w.before, w.after, w.boundary)
    size = [m * h for m, h in zip(counts, hops, strict=True)]
    y = np.empty((x.shape[0], *kernel.shape[:2], *size), x.dtype)
    made = tiled(y, counts, hops, hops)
    real = x.dtype.kind == "f"
    k_hat = forward(kernel.conj(), lengths, real).conj()
    k_hat = k_hat.reshape(*kernel.shape[:3], *(1,) * w.dim, *k_hat.shape[3:])

    def transform(piece: tuple[slice, ...]) -> None:
        batch, *grid = piece
        ends = [(t.stop - 1) * h + n for t, h, n in zip(grid, hops, lengths, strict=True)]
        part = cut_out(x, w.source(batch, [t.start * h for t, h in zip(grid, hops, strict=True)], ends))
        seen = tiled(part, [t.stop - t.start for t in grid], lengths, hops)
        y_hat = multiply(forward(seen, lengths, real), k_hat, w.plain)
        made[(batch, slice(None), slice(None), *grid)] = inverse(y_hat, lengths, [*map(slice, hops)], real)

    per_cell = prod(lengths) * kernel.shape[0] * kernel.shape[2]
    each(transform, list(pieces((x.shape[0], *counts), CHUNK // per_cell)))
    return y


def one_tile(x: np.ndarray, kernel: np.ndarray, w: Windows, lengths) -> np.ndarray:
    """One image in one tile: with the kernel flipped back, the answer lies where no zeros need be put before x."""
    real = x.dtype.kind == "f"
    flipped = kernel[(..., *[slice(None, None, -1)] * w.dim)]
    y_hat = forward(x, lengths, real)
    y_hat *= forward(flipped, lengths, real)
    kept = [slice(r - b, r - b + m) for r, b, m in zip(w.reach, w.before, w.dense, strict=True)]
    return inverse(y_hat, lengths, kept, real)


def forward(x: np.ndarray, lengths, real: bool) -> np.ndarray:
    """The transform of x (..., *S) with zeros up to `lengths`, which are added axis by axis: no zeros are transformed."""
    if len(lengths) > 1 and prod(lengths) < SMALL:
        return (scipy.fft.rfftn if real else scipy.fft.fftn)(x, lengths, range(-len(lengths), 0))  # type: ignore[return-value]
    x_hat: Any = (scipy.fft.rfft if real else scipy.fft.fft)(x, lengths[-1])
    for axis, n in enumerate(lengths[:-1], -len(lengths)):
        x_hat = scipy.fft.fft(x_hat, n, axis, overwrite_x=True)
    return x_hat


def inverse(y_hat: np.ndarray, lengths, kept, real: bool) -> np.ndarray:
    """A slice along each axis of an inverse transform; what is not wanted is dropped axis by axis."""
    y: Any = y_hat
    if len(lengths) > 1 and prod(lengths) < SMALL:
        y = (scipy.fft.irfftn if real else scipy.fft.ifftn)(
            y, lengths, range(-len(lengths), 0), overwrite_x=True
        )
        return y[(..., *kept)]
    for axis, (n, part) in enumerate(zip(lengths[:-1], kept[:-1], strict=True), -len(lengths)):
        y = scipy.fft.ifft(y, n, axis, overwrite_x=True)
        y = y[(..., part, *[slice(None)] * (-axis - 1))]
    y = (scipy.fft.irfft if real else scipy.fft.ifft)(y, lengths[-1])
    return y[..., kept[-1]]


def fast_length(points: int) -> int:
    """The shortest transform of at least so many points that is fast."""
    return cast(Any, scipy.fft.next_fast_len)(points, real=True)


def tiled(x: np.ndarray, counts, lengths, hops) -> np.ndarray:
    """(N, G, C, *S) -> (N, G, C, *counts, *lengths): tiles of x, each `hops` further than the one before."""
    steps = [h * s for h, s in zip(hops, x.strides[3:], strict=True)]
    strides = (*x.strides[:3], *steps, *x.strides[3:])
    return np.ndarray((*x.shape[:3], *counts, *lengths), x.dtype, x, 0, strides)


def multiply(x_hat: np.ndarray, k_hat: np.ndarray, plain: bool) -> np.ndarray:
    """Spectra (N, G, C, ...) of the image times (G, O, C, ...) of the kernel, summed over C."""
    if plain:
        x_hat *= k_hat[0, 0, 0]
        return x_hat
    return np.einsum("ngc...,goc...->ngo...", x_hat, k_hat)
