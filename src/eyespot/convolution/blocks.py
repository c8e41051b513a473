"""Direct convolution as products with small Toeplitz matrices, which BLAS does many times faster than a loop over taps."""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from eyespot.convolution.edges import extend
from eyespot.convolution.pieces import each, pieces
from eyespot.convolution.windows import Windows

CHUNK = 1 << 16  # numbers handled at a time, so that they stay in a core's cache
PRODUCT = 1 << 17  # multiplications in a matrix product: OpenBLAS does small ones without packing or threads


@dataclass(frozen=True, eq=False)
class Blocking:
    """How one axis is cut: block q takes outputs q block to (q + 1) block - 1 from `wide` inputs.

    The spatial axes are taken in `order`: the cut one last, before it the one whose taps make one matrix with it.
    """

    block: int
    order: tuple[int, ...]
    count: int
    wide: int
    height: int  # taps along the axis before the last
    grid: tuple[int, ...]  # padded samples along every axis but the last
    starts: tuple[int, ...]  # of the taps along the axes before these two: their offset in rows
    tail: tuple[int, ...]  # zeros added, in the image's own order
    pieces: list[tuple[slice, ...]]  # of the batch and the blocks


@lru_cache(maxsize=512)
def blocking(w: Windows, cut: int, block: int) -> Blocking:
    """The axis `cut` is cut into blocks; of the others, the one with the most taps is next to it."""
    count = -(-w.dense[cut] // block)
    tail = tuple((count * block - w.dense[cut]) * (axis == cut) for axis in range(w.dim))
    order = (*sorted((a for a in range(w.dim) if a != cut), key=lambda a: w.reach[a]), cut)
    one = (1,) * (w.dim == 1)
    taps = one + tuple(w.reach[a] + 1 for a in order)
    grid = one + tuple(w.dense[a] + w.reach[a] for a in order[:-1])
    wide, lead = block + taps[-1] - 1, grid[:-1]
    starts = [grid[-1] * int(np.ravel_multi_index(t, lead)) if lead else 0 for t in np.ndindex(*taps[:-2])]
    cells = CHUNK // (prod(grid) * wide * w.kernel_shape[2])
    cuts = list(pieces((w.x_shape[0], count), cells))
    return Blocking(block, order, count, wide, taps[-2], grid, tuple(starts), tail, cuts)


def blocks(x: np.ndarray, kernel: np.ndarray, w: Windows, setting: tuple[int, int]) -> np.ndarray:
    """x (N, G, C, *S), kernel (G, O, C, *(reach + 1)) -> (N, G, O, *dense), the cut axis longer by less than a block.

    setting  the axis that is cut, and the outputs in a block
    """
    b = blocking(w, *setting)
    x = np.ascontiguousarray(extend(x, w.before, w.after, w.boundary, b.tail))
    size = [n + t for n, t in zip(w.dense, b.tail, strict=True)]
    y = np.empty((x.shape[0], *kernel.shape[:2], *size), x.dtype)
    reads, writes, kernel = ordered(x, b), ordered(y, b), kernel.transpose(0, 1, 2, *[3 + a for a in b.order])
    kernel, one = (kernel[..., None, :], (1,)) if w.dim == 1 else (kernel, ())
    blocked = (*y.shape[:3], *one, *[size[a] for a in b.order[:-1]], b.count, b.block)
    target = np.ndarray(blocked, y.dtype, y, 0, (*writes[:-1], b.block * writes[-1], writes[-1]))
    for g in range(kernel.shape[0]):
        matrices = toeplitz(kernel[g], b.block)

        def work(piece, g=g, matrices=matrices) -> None:
            scatter(multiply(gather(x, reads, g, piece, b), matrices, b), target, g, piece, b)

        each(work, b.pieces)
    return y


def ordered(x: np.ndarray, b: Blocking) -> tuple[int, ...]:
    """The strides of x (N, G, C, *S), the spatial ones in the blocking's order; a lone axis gets one before it."""
    s = x.strides
    return (*s[:3], *(0,) * (len(b.order) == 1), *[s[3 + a] for a in b.order])


def toeplitz(kernel: np.ndarray, block: int) -> np.ndarray:
    """(O, C, *K, h, k) -> (prod K, h C (block + k - 1), O block): what `block` neighbouring outputs are of their inputs.

    Entry [., (r, c, j + b), (o, b)] is kernel[o, c, ., r, j].
    """
    o, c, *lead, h, k = kernel.shape
    wide, size, line = block + k - 1, kernel.itemsize, o * block * kernel.itemsize
    t = np.zeros((prod(lead), h, c, wide, o, block), kernel.dtype)
    strides = (*t.strides[:3], block * size, line + size, line)
    diagonals = np.ndarray((prod(lead), h, c, o, block, k), t.dtype, t, 0, strides)
    diagonals[...] = kernel.reshape(o, c, -1, h, 1, k).transpose(2, 3, 1, 0, 4, 5)
    return t.reshape(prod(lead), h * c * wide, o * block)


def gather(
    x: np.ndarray, strides: tuple[int, ...], group: int, piece: tuple[slice, ...], b: Blocking
) -> np.ndarray:
    """x (N, G, C, *S), contiguous -> a view (n, nb, *grid, C, wide): overlapping blocks of some of the batch."""
    batch, blocks = piece
    n, g, c, *grid, step = strides
    start = batch.start * n + group * g + blocks.start * b.block * step
    shape = (batch.stop - batch.start, blocks.stop - blocks.start, *b.grid, x.shape[2], b.wide)
    return np.ndarray(shape, x.dtype, x, start, (n, b.block * step, *grid, c, step))


def multiply(rows: np.ndarray, matrices: np.ndarray, b: Blocking) -> np.ndarray:
    """rows (n, nb, *grid, C, wide) = R rows of c, matrices (L, h c, k) -> (R, k).

    Row i is sum_l rows[i + start_l :][:h] @ matrix_l, as far as there are so many rows. h successive rows lie side by
    side in memory, so that every h-th window makes a matrix without a copy.
    """
    total, h = prod(rows.shape[:-2]), b.height
    c, (_, depth, k) = prod(rows.shape[-2:]), matrices.shape
    windows = -(-(total - b.starts[-1]) // h)
    batches = -(-windows // max(16, PRODUCT // (depth * k)))
    m = -(-windows // batches)
    buffer = np.empty((b.starts[-1] + batches * m * h + h - 1, c), rows.dtype)
    buffer[:total].reshape(rows.shape)[...] = rows
    line, size = buffer.strides
    y = other = np.empty((max(total, batches * m * h), k), rows.dtype)
    for matrix, start in zip(matrices, b.starts, strict=True):
        strides = (line, m * h * line, h * line, size)
        a = np.ndarray((h, batches, m, depth), rows.dtype, buffer, start * line, strides)
        strides = (k * size, m * h * k * size, h * k * size, size)
        np.matmul(a, matrix, out=np.ndarray((h, batches, m, k), rows.dtype, other, 0, strides))
        if other is not y:
            y += other
        elif len(b.starts) > 1:
            other = np.empty_like(y)
    return y[:total]


def scatter(z: np.ndarray, y: np.ndarray, group: int, piece: tuple[slice, ...], b: Blocking) -> None:
    """Write rows z (n nb prod(grid), O block), as gathered, into y (N, G, O, *out, count, block)."""
    batch, blocks = piece
    z = z.reshape(batch.stop - batch.start, blocks.stop - blocks.start, *b.grid, y.shape[2], b.block)
    z = z[(slice(None), slice(None), *[slice(o) for o in y.shape[3:-2]])]
    z = z.transpose(0, z.ndim - 2, *range(2, z.ndim - 2), 1, z.ndim - 1)
    y[batch, group, ..., blocks, :] = z
