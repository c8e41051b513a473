"""Gradients of 3-wide convolutions with fewer products: Winograd's minimal filtering F(4, 3) (Lavin & Gray 2016).

Along an axis, four outputs take 6 products of transformed samples where a sum over the filter takes 12, and so do their
gradients: on two axes a quarter of the products, on three an eighth. The transforms are small matrix products, and a
block of tiles stays in the processor's cache from the first to the last. Results differ from torch's by rounding, about
1e-5 of the largest. Shapes: B images, C channels in, K out, S spatial axes; channels are last but in `gradients_of`.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from math import prod

import torch
from torch import Tensor

OUT = 4
"""Outputs of a tile along each axis"""
TAPS = 3
"""Taps of the filter"""
IN = 6
"""Samples that a tile sees"""
SAMPLES = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
FILTER = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))
"""Times 24"""
RESULT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
"""Of samples, of a filter, and of their products back, by the points 0, 1, -1, 2, -2 and infinity."""
TILES = 256
"""In a block, about: enough for matrix products at full speed, few enough for the cache."""
Padding = int | Sequence[int]


def gradients_of(
    x: Tensor, weight: Tensor, padding: Padding, gradient: Tensor, need_x: bool = True
) -> tuple[Tensor | None, Tensor]:
    """Those of x, where needed, and of the weight (K, C, 3, ...), from that of the result (B, K, *)."""
    tiling = Tiling(x, padding)
    k, c = weight.shape[:2]
    filters = filters_of(weight)
    samples, _, back = transforms(x.dtype)
    one, two, three = (Workspace(x, IN**tiling.axes * tiling.most * max(c, k)) for _ in range(3))
    padded = tiling.zeros(x, c, IN - OUT)
    dpadded = tiling.zeros(x, c, IN - OUT)
    dresult = tiling.zeros(x, k)
    x = x.movedim(1, -1)
    gradient = gradient.movedim(1, -1)
    dx = torch.empty_like(x) if need_x else None
    sums = x.new_zeros(IN**tiling.axes, k, c)
    for images in tiling.groups():
        n = images.stop - images.start
        tiling.inside(padded[:n]).copy_(x[images])
        tiling.result(dresult[:n]).copy_(gradient[images])
        dpadded.zero_()
        for rows in tiling.row_blocks():
            tiles = tiling.tiled(padded[:n], IN, rows)
            v, here, free = transformed(samples, one.of(tiles.shape).copy_(tiles), one, two)
            tiles = tiling.tiled(dresult[:n], OUT, rows)
            g, _, free = transformed(back.T, free.of(tiles.shape).copy_(tiles), free, three)
            sums.baddbmm_(flat(g).transpose(1, 2), flat(v))
            if need_x:
                d = torch.bmm(flat(g), filters, out=here.of(flat(v).shape)).view(v.shape)
                d = transformed(samples.T, d, here, free)[0]
                add(tiling.tiled(dpadded[:n], IN, rows), d, tiling.axes)
        if dx is not None:
            dx[images] = tiling.inside(dpadded[:n])
    return (None if dx is None else dx.movedim(-1, 1)), taps_of(sums, tiling.axes)


class Tiling:
    """How maps (B, *S, C) lie in tiles: a few images at a time, and of a large image a few rows of tiles."""

    def __init__(self, x: Tensor, padding: Padding):
        self.size = x.shape[2:]
        self.axes = x.dim() - 2
        self.number = len(x)
        self.before = (padding,) * self.axes if isinstance(padding, int) else tuple(padding)
        self.out = [s + 2 * p - TAPS + 1 for s, p in zip(self.size, self.before, strict=True)]
        self.tiles = [-(-n // OUT) for n in self.out]
        whole = prod(self.tiles)
        self.images = min(self.number, max(1, round(TILES / whole)))
        self.rows = -(-self.tiles[0] // max(1, round(whole / TILES)))
        self.most = self.images * self.rows * prod(self.tiles[1:])

    def groups(self) -> Iterator[slice]:
        """Images at once"""
        return (slice(i, min(i + self.images, self.number)) for i in range(0, self.number, self.images))

    def row_blocks(self) -> Iterator[range]:
        """Rows of tiles at once"""
        return (range(i, min(i + self.rows, self.tiles[0])) for i in range(0, self.tiles[0], self.rows))

    def zeros(self, like: Tensor, channels: int, more: int = 0) -> Tensor:
        """(images, *, channels) for whole tiles, and `more` samples beyond the last on each axis"""
        return like.new_zeros(self.images, *(OUT * n + more for n in self.tiles), channels)

    def inside(self, maps: Tensor) -> Tensor:
        """What is not padding: (n, *S, C)"""
        return maps[:, *(slice(p, p + s) for p, s in zip(self.before, self.size, strict=True))]

    def result(self, maps: Tensor) -> Tensor:
        """The outputs of whole tiles that there are: (n, *out, K)"""
        return maps[:, *(slice(n) for n in self.out)]

    def tiled(self, maps: Tensor, width: int, rows: range) -> Tensor:
        """(width, ..., n, rows, ..., C): for each place within a tile, what all tiles have there; a view of the maps"""
        image, *steps, channel = maps.stride()
        shape = (*[width] * self.axes, len(maps), len(rows), *self.tiles[1:], maps.shape[-1])
        strides = (*steps, image, *(OUT * step for step in steps), channel)
        return maps.as_strided(shape, strides, OUT * rows.start * steps[0])


class Workspace:
    """Memory made once, for what blocks hold in turn: so it stays in the cache."""

    def __init__(self, like: Tensor, values: int):
        self.values = like.new_empty(values)

    def of(self, shape: Sequence[int]) -> Tensor:
        return self.values[: prod(shape)].view(*shape)


@cache
def transforms(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Of the samples along an axis (6, 6), of a filter (6, 3) and back (4, 6)"""
    samples, taps, back = (torch.tensor(matrix).double() for matrix in (SAMPLES, FILTER, RESULT))
    return samples.to(dtype), (taps / 24).to(dtype), back.to(dtype)


def transformed(
    matrix: Tensor, x: Tensor, here: Workspace, there: Workspace
) -> tuple[Tensor, Workspace, Workspace]:
    """(from, ..., n, *T, C) -> (to, ..., n, *T, C) by a matrix (to, from) per axis; then its workspace and the free one.

    x lies in `here`.
    """
    to, width = matrix.shape
    axes = (x.dim() - 2) // 2
    shape = (*[to] * axes, *x.shape[axes:])
    for axis in range(axes):
        x = x.view(to**axis, width, -1)
        x = torch.matmul(matrix, x, out=there.of((to**axis, to, x.shape[2])))
        here, there = there, here
    return x.view(shape), here, there


def flat(x: Tensor) -> Tensor:
    """(width, ..., n, *T, C) -> (width ** axes, n * T, C)"""
    return x.view(prod(x.shape[: (x.dim() - 2) // 2]), -1, x.shape[-1])


def filters_of(weight: Tensor) -> Tensor:
    """(K, C, 3, ...) -> (6 ** axes, K, C)"""
    taps = transforms(weight.dtype)[1]
    axes = weight.dim() - 2
    x = weight.movedim((0, 1), (-2, -1))
    for axis in range(axes):
        x = torch.matmul(taps, x.reshape(IN**axis, TAPS, -1))
    return x.view(IN**axes, *weight.shape[:2])


def taps_of(sums: Tensor, axes: int) -> Tensor:
    """(6 ** axes, K, C) -> (K, C, 3, ...): the transpose of filters_of"""
    taps = transforms(sums.dtype)[1]
    shape = sums.shape[1:]
    for axis in range(axes):
        sums = torch.matmul(taps.T, sums.reshape(TAPS**axis, IN, -1))
    return sums.view(*[TAPS] * axes, *shape).movedim((-2, -1), (0, 1))


def add(place: Tensor, tiles: Tensor, axes: int) -> None:
    """Add tiles, which overlap by two samples, to their place, in pieces that do not."""
    for piece in product((slice(OUT), slice(OUT, IN)), repeat=axes):
        place[piece].add_(tiles[piece])
