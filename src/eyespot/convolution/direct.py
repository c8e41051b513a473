"""Convolution as sums of products: tap by tap, or as products with small Toeplitz matrices."""

from collections.abc import Iterator
from itertools import product
from math import prod

import numpy as np

from eyespot.convolution.edges import extend
from eyespot.convolution.windows import Windows

CHUNK = 1 << 16  # numbers handled at a time, so that they stay in a core's cache


def sum_of_taps(x, kernel, w: Windows):
    """x (N, G, C, *padded), kernel (G, O, C, *K) -> (N, G, O, *out): one shifted copy of x per tap; NumPy or torch."""
    y = None
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


def taps(x: np.ndarray, kernel: np.ndarray, w: Windows, _=None) -> np.ndarray:
    """x (N, G, C, *S), kernel (G, O, C, *K) -> (N, G, O, *out), tap by tap."""
    return sum_of_taps(extend(x, w.before, w.after, w.boundary), kernel, w)


def line(x: np.ndarray, kernel: np.ndarray, w: Windows, _=None) -> np.ndarray:
    """The one-dimensional case without channels, stride or dilation, by NumPy's own loop."""
    x = extend(x, w.before, w.after, w.boundary)
    conj = kernel.conj() if kernel.dtype.kind == "c" else kernel
    return np.correlate(x.reshape(-1), conj.reshape(-1), "valid")


def spread(kernel: np.ndarray, w: Windows) -> np.ndarray:
    """(G, O, C, *K) -> (G, O, C, *(reach + 1)): the taps moved apart by the dilation, zeros between."""
    if max(w.dilation) == 1:
        return kernel
    y = np.zeros((*kernel.shape[:3], *[r + 1 for r in w.reach]), kernel.dtype)
    y[(..., *[slice(None, None, d) for d in w.dilation])] = kernel
    return y


def toeplitz(kernel: np.ndarray, block: int) -> np.ndarray:
    """(O, C, *K, h, k) -> (prod K, h C (block + k - 1), O block): what `block` neighbouring outputs are of their inputs.

    Entry [., (r, c, j + b), (o, b)] is kernel[o, c, ., r, j].
    """
    o, c, *lead, h, k = kernel.shape
    wide, size = block + k - 1, kernel.itemsize
    t = np.zeros((prod(lead), h, c, wide, o, block), kernel.dtype)
    column, row = o * block * size, size + o * block * size
    diagonals = np.ndarray(
        (prod(lead), h, c, o, block, k), t.dtype, t, 0, (*t.strides[:3], block * size, row, column)
    )
    diagonals[...] = kernel.reshape(o, c, -1, h, 1, k).transpose(2, 3, 1, 0, 4, 5)
    return t.reshape(prod(lead), h * c * wide, o * block)


def pieces(counts: tuple[int, ...], limit: int) -> Iterator[tuple[slice, ...]]:
    """Cut a grid of `counts` cells into boxes of at most `limit` cells, or of one."""
    inner = prod(counts[1:])
    if len(counts) == 1 or inner <= limit:
        step = max(1, limit // inner)
        rest = tuple(slice(0, n) for n in counts[1:])
        for i in range(0, counts[0], step):
            yield (slice(i, min(i + step, counts[0])), *rest)
        return
    for i in range(counts[0]):
        for rest in pieces(counts[1:], limit):
            yield (slice(i, i + 1), *rest)


def gather(x: np.ndarray, group: int, piece: tuple[slice, slice], block: int, wide: int, spare: int) -> np.ndarray:
    """x (N, G, C, *lead, H, W) -> (n nb prod(lead) H + spare, C wide): rows of overlapping blocks, then zeros.

    The piece names which of the batch and which blocks of the last axis; block q begins at q * block.
    """
    c, *lead, rows, _ = x.shape[2:]
    n, nb = piece[0].stop - piece[0].start, piece[1].stop - piece[1].start
    s = x.strides
    start = piece[0].start * s[0] + group * s[1] + piece[1].start * block * s[-1]
    total = n * nb * prod(lead) * rows
    y = np.empty((total + spare, c * wide), x.dtype)
    y[total:] = 0
    shape, strides = (n, nb, *lead, rows, c, wide), (s[0], block * s[-1], *s[3:-1], s[2], s[-1])
    y[:total].reshape(shape)[...] = np.ndarray(shape, x.dtype, x, start, strides)
    return y


def windows_times(rows: np.ndarray, matrices: np.ndarray, starts: list[int], h: int) -> np.ndarray:
    """rows (R + spare, c), matrices (L, h c, k) -> (>= R - max(starts), k): row i is sum_t rows[i + t : i + t + h] @ m_t.

    The h successive rows lie side by side in memory, so that every h-th window makes a matrix without a copy.
    """
    line, k, size = rows.strides[0], matrices.shape[2], rows.itemsize
    m = (len(rows) - 2 * h - starts[-1]) // h + 1
    y = other = np.empty((m * h, k), rows.dtype)
    for matrix, start in zip(matrices, starts, strict=True):
        a = np.ndarray((h, m, matrices.shape[1]), rows.dtype, rows, start * line, (line, h * line, size))
        out = np.ndarray((h, m, k), rows.dtype, other, 0, (k * size, h * k * size, size))
        np.matmul(a, matrix, out=out)
        if other is not y:
            y += other
        elif len(starts) > 1:
            other = np.empty_like(y)
    return y


def blocks(x: np.ndarray, kernel: np.ndarray, w: Windows, block: int) -> np.ndarray:
    """x (N, G, C, *S), kernel (G, O, C, *K) -> (N, G, O, *out): `block` outputs of the last axis at a time.

    With stride 1 a window and its Toeplitz matrix are one matrix product (BLAS); a larger stride is taken afterwards.
    """
    dense, kernel = w.dense, spread(kernel, w)
    count = -(-dense[-1] // block)
    tail = (0,) * (w.dim - 1) + (count * block - dense[-1],)
    x = np.ascontiguousarray(extend(x, w.before, w.after, w.boundary, tail))
    y = np.empty((x.shape[0], *kernel.shape[:2], *dense), x.dtype)
    if w.dim == 1:
        x, kernel, dense = x[..., None, :], kernel[..., None, :], (1, *dense)
    full = y.reshape(*y.shape[:3], *dense)
    *lead, rows, _ = x.shape[3:]
    h, wide = kernel.shape[-2], block + kernel.shape[-1] - 1
    starts = [rows * int(np.ravel_multi_index(t, lead)) if lead else 0 for t in np.ndindex(*kernel.shape[3:-2])]
    cells = prod(lead) * rows
    for g in range(kernel.shape[0]):
        matrices = toeplitz(kernel[g], block)
        for piece in pieces((x.shape[0], count), max(1, CHUNK // (cells * wide * x.shape[2]))):
            z = windows_times(gather(x, g, piece, block, wide, 2 * h), matrices, starts, h)
            scatter(z, full, g, piece, block, (*lead, rows))
    return full.reshape(y.shape)[(..., *[slice(None, None, s) for s in w.stride])] if max(w.stride) > 1 else y


def scatter(z: np.ndarray, y: np.ndarray, group: int, piece: tuple[slice, slice], block: int, grid) -> None:
    """Write rows z of blocks, laid out as gather's, into y (N, G, O, *lead, H, W), without those beyond its edges."""
    n, nb = piece[0].stop - piece[0].start, piece[1].stop - piece[1].start
    cells, out = prod(grid), y.shape[3:]
    if len(z) < n * nb * cells:
        z = np.concatenate([z, np.empty((n * nb * cells - len(z), z.shape[1]), z.dtype)])
    z = z[: n * nb * cells].reshape(n, nb, *grid, y.shape[2], block)
    z = z[(slice(None), slice(None), *[slice(o) for o in out[:-1]])]
    axes = (0, z.ndim - 2, *range(2, z.ndim - 2), 1, z.ndim - 1)
    z = z.transpose(axes).reshape(n, y.shape[2], *out[:-1], nb * block)
    first = piece[1].start * block
    y[piece[0], group, ..., first : first + nb * block] = z[..., : out[-1] - first]
