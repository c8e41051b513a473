"""Direct convolution as products with small Toeplitz matrices, which BLAS does many times faster than a loop over taps."""

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from eyespot.convolution.edges import cut_out, extend
from eyespot.convolution.pieces import each, pieces
from eyespot.convolution.windows import Source, Windows

CHUNK = 1 << 16  # numbers handled at a time, so that they stay in a core's cache
PRODUCT = 1 << 17  # multiplications in a matrix product: OpenBLAS does small ones without packing or threads


class Piece(NamedTuple):
    """Some of the batch and of the blocks: `rows` rows of C * wide numbers, in `products` products of m windows."""

    batch: slice
    blocks: slice
    source: Source  # what they see
    shape: tuple[int, ...]  # (n, nb, *grid, C, wide)
    rows: int
    products: int
    m: int


@dataclass(frozen=True, eq=False)
class Blocking:
    """How one axis is cut: block q takes outputs q block to (q + 1) block - 1 from `wide` inputs.

    The spatial axes are taken in `order`: the cut one last, before it the one whose taps make one matrix with it.
    """

    block: int
    order: tuple[int, ...]
    size: tuple[int, ...]  # outputs, whole blocks of them, in the image's own order
    blocked: tuple[int, ...]  # outputs in the blocking's order, the last axis as (blocks, block)
    height: int  # taps along the axis before the last
    starts: list[int]  # of the taps along the axes before these two: their offset in rows
    pieces: list[Piece]


@lru_cache(maxsize=512)
def blocking(w: Windows, cut: int, block: int) -> Blocking:
    """The axis `cut` is cut into blocks; of the others, the one with the most taps is next to it."""
    (_, o, c), one = w.kernel_shape[:3], (1,) * (w.dim == 1)
    count = -(-w.dense[cut] // block)
    size = tuple(count * block if axis == cut else n for axis, n in enumerate(w.dense))
    order = (*sorted((a for a in range(w.dim) if a != cut), key=lambda a: w.reach[a]), cut)
    taps = one + tuple(w.reach[a] + 1 for a in order)
    grid = one + tuple(w.dense[a] + w.reach[a] for a in order[:-1])
    wide, height, lead = block + taps[-1] - 1, taps[-2], grid[:-1]
    starts = [grid[-1] * int(np.ravel_multi_index(t, lead)) if lead else 0 for t in np.ndindex(*taps[:-2])]
    most = max(16, PRODUCT // (height * c * wide * o * block))
    found = []
    for batch, blocks in pieces((w.x_shape[0], count), CHUNK // (prod(grid) * c * wide)):
        shape = (batch.stop - batch.start, blocks.stop - blocks.start, *grid, c, wide)
        windows = -(-(prod(shape[:-2]) - starts[-1]) // height)
        products = -(-windows // most)
        starts_at = [blocks.start * block * (axis == cut) for axis in range(w.dim)]
        ends = [m + r for m, r in zip(w.dense, w.reach, strict=True)]
        ends[cut] = blocks.stop * block + w.reach[cut]
        seen = w.source(batch, starts_at, ends)
        found.append(Piece(batch, blocks, seen, shape, prod(shape[:-2]), products, -(-windows // products)))
    blocked = (*one, *[size[a] for a in order[:-1]], count, block)
    return Blocking(block, order, size, blocked, height, starts, found)


def blocks(x: np.ndarray, kernel: np.ndarray, w: Windows, setting: tuple[int, int]) -> np.ndarray:
    """x (N, G, C, *S), kernel (G, O, C, *(reach + 1)) -> (N, G, O, *dense), the cut axis longer by less than a block.

    setting  the axis that is cut, and the outputs in a block
    """
    b = blocking(w, *setting)
    if w.boundary != "zero":
        x = extend(x, w.before, w.after, w.boundary)
    y = np.empty(x.shape[:2] + kernel.shape[1:2] + b.size, x.dtype)
    writes, kernel = ordered(y, b), kernel.transpose(0, 1, 2, *[3 + a for a in b.order])
    if w.dim == 1:
        kernel = kernel[..., None, :]
    strides = (*writes[:-1], b.block * writes[-1], writes[-1])
    target = np.ndarray(y.shape[:3] + b.blocked, y.dtype, y, 0, strides)
    matrices = [toeplitz(group, b.block) for group in kernel]

    def work(piece: Piece) -> None:
        part = cut_out(x, piece.source)
        for g, matrix in enumerate(matrices):
            z = multiply(gather(part, g, piece, b), matrix, piece, b)
            scatter(z, target, g, piece, b)

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


def gather(part: np.ndarray, group: int, piece: Piece, b: Blocking) -> np.ndarray:
    """part (n, G, C, *S), contiguous -> a view (n, nb, *grid, C, wide): the overlapping blocks of one group."""
    n, g, c, *grid, step = ordered(part, b)
    return np.ndarray(piece.shape, part.dtype, part, group * g, (n, b.block * step, *grid, c, step))


def multiply(rows: np.ndarray, matrices: np.ndarray, piece: Piece, b: Blocking) -> np.ndarray:
    """rows (n, nb, *grid, C, wide) = R rows of c, matrices (L, h c, k) -> (R, k).

    Row i is sum_l rows[i + start_l :][:h] @ matrix_l, as far as there are so many rows. h successive rows lie side by
    side in memory, so that every h-th window makes a matrix without a copy.
    """
    h, m, (_, depth, k) = b.height, piece.m, matrices.shape
    made = piece.products * m * h
    buffer = np.empty((b.starts[-1] + made + h - 1, depth // h), rows.dtype)
    buffer[: piece.rows].reshape(piece.shape)[...] = rows
    line, size = buffer.strides
    seen, strides = (line, m * h * line, h * line, size), (k * size, m * h * k * size, h * k * size, size)
    y = other = np.empty((max(piece.rows, made), k), rows.dtype)
    for matrix, start in zip(matrices, b.starts, strict=True):
        a = np.ndarray((h, piece.products, m, depth), rows.dtype, buffer, start * line, seen)
        np.matmul(a, matrix, out=np.ndarray((h, piece.products, m, k), rows.dtype, other, 0, strides))
        if other is not y:
            y += other
        elif len(b.starts) > 1:
            other = np.empty_like(y)
    return y[: piece.rows]


def scatter(z: np.ndarray, y: np.ndarray, group: int, piece: Piece, b: Blocking) -> None:
    """Write rows z (n nb prod(grid), O block), as gathered, into y (N, G, O, *out, count, block)."""
    z = z.reshape(*piece.shape[:-2], y.shape[2], b.block)
    lead = z.ndim - 4
    z = z.transpose(0, lead + 2, *range(2, lead + 2), 1, lead + 3)
    y[piece.batch, group, ..., piece.blocks, :] = z[
        (..., *map(slice, b.blocked[:lead]), slice(None), slice(None))
    ]
