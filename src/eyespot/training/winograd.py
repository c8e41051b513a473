"""Gradients of 3-wide convolutions with fewer products: Winograd's minimal filtering F(4, 3) (Lavin & Gray 2016).

Along an axis, four outputs take 6 products of transformed samples where a sum over the filter takes 12, and so do their
gradients: on two axes a quarter of the products, on three an eighth. The transforms are small matrix products, and a
block of tiles stays in the processor's cache from the first to the last. The forward pass is torch's own; gradients
differ from torch's by rounding, about 1e-5 of the largest.

Shapes: B images, C channels in, K out, S spatial axes; channels last in all that follows the entry.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

OUT, TAPS, IN = 4, 3, 6
"""Along each axis: outputs of a tile, taps of the filter, samples that a tile sees."""
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
TILES = 160
"""In a block, about: enough for matrix products at full speed, few enough for the cache."""
LEAST, FEWEST = 30, 64
"""C * K / (C + K), and tiles, from which the products saved outweigh the transforms of maps and filters."""
CONVOLVE = {F.conv2d, F.conv3d}
"""Not of signals, where half of the products remain, and torch is quicker."""
Padding = int | Sequence[int]


class Winograd(TorchFunctionMode):
    """Inside, convolutions that learn have their gradients made so where it suits them."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in CONVOLVE and not kwargs and suits(*args):
            return Filtered.apply(func, *(*args, None, 1, 0)[:5])
        return func(*args, **(kwargs or {}))


def suits(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: Padding | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> bool:
    """Whether F.conv2d's arguments, or F.conv3d's, are of a convolution whose gradients are expected to be quicker so."""
    k, c, *taps = weight.shape
    return (
        torch.is_grad_enabled()
        and weight.requires_grad
        and {*taps} == {TAPS}
        and {*_each(stride, 1), *_each(dilation, 1), groups} == {1}
        and c * k >= LEAST * (c + k)
        and len(x) * prod(size / OUT for size in x.shape[2:]) >= FEWEST
        and not isinstance(padding, str)
        and x.dim() == weight.dim()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
    )


def _each(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


class Filtered(torch.autograd.Function):
    """torch's convolution `func` with other gradients: (B, C, *S) -> (B, K, *(S + 2 padding - 2))"""

    @staticmethod
    def forward(
        ctx, func, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return func(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients: Tensor):
        (gradient,), (x, weight), (_, need_x, _, need_bias, *_) = (
            gradients,
            ctx.saved_tensors,
            ctx.needs_input_grad,
        )
        dx, dw = gradients_of(x, weight, ctx.padding, gradient, need_x)
        db = gradient.sum((0, *range(2, gradient.dim()))) if need_bias else None
        return None, dx, dw, db, None, None


def gradients_of(
    x: Tensor, weight: Tensor, padding: Padding, gradient: Tensor, need_x: bool = True
) -> tuple[Tensor | None, Tensor]:
    """Those of x, where needed, and of the weight (K, C, 3, ...), from that of the result (B, K, *)."""
    grid, (k, c) = Grid(x, padding), weight.shape[:2]
    filters, (samples, _, back) = filters_of(weight).transpose(1, 2), transforms(x.dtype)
    one, two, three = (Room(x, IN**grid.axes * grid.most * max(c, k)) for _ in range(3))
    seen, spread, made = grid.zeros(x, c, IN - OUT), grid.zeros(x, c, IN - OUT), grid.zeros(x, k)
    x, gradient = x.movedim(1, -1), gradient.movedim(1, -1)
    dx, sums = torch.empty_like(x) if need_x else None, x.new_zeros(IN**grid.axes, c, k)
    for images in grid.groups():
        n = images.stop - images.start
        grid.inside(seen[:n]).copy_(x[images])
        grid.result(made[:n]).copy_(gradient[images])
        spread.zero_()
        for rows in grid.parts():
            tiles = grid.tiled(seen[:n], IN, rows)
            v, here, free = transformed(samples, one.of(tiles.shape).copy_(tiles), one, two)
            tiles = grid.tiled(made[:n], OUT, rows)
            g, _, free = transformed(back.T, free.of(tiles.shape).copy_(tiles), free, three)
            sums.baddbmm_(flat(v).transpose(1, 2), flat(g))
            if need_x:
                d = torch.bmm(flat(g), filters, out=here.of(flat(v).shape)).view(v.shape)
                d = transformed(samples.T, d, here, free)[0]
                add(grid.tiled(spread[:n], IN, rows), d, grid.axes)
        if dx is not None:
            dx[images] = grid.inside(spread[:n])
    return (None if dx is None else dx.movedim(-1, 1)), taps_of(sums, grid.axes)


class Grid:
    """How maps (B, *S, C) lie in tiles: a few images at a time, and of a large image a few rows of tiles."""

    def __init__(self, x: Tensor, padding: Padding):
        self.size, self.axes, self.number = x.shape[2:], x.dim() - 2, len(x)
        self.before = _each(padding, self.axes)
        self.out = [s + 2 * p - TAPS + 1 for s, p in zip(self.size, self.before, strict=True)]
        self.tiles = [-(-n // OUT) for n in self.out]
        whole = prod(self.tiles)
        self.images = min(self.number, max(1, round(TILES / whole)))
        self.rows = -(-self.tiles[0] // max(1, round(whole / TILES)))
        self.most = self.images * self.rows * prod(self.tiles[1:])

    def groups(self) -> Iterator[slice]:
        """Images at once"""
        return (slice(i, min(i + self.images, self.number)) for i in range(0, self.number, self.images))

    def parts(self) -> Iterator[range]:
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
        n, channels, (each, *steps, one) = len(maps), maps.shape[-1], maps.stride()
        shape = (*[width] * self.axes, n, len(rows), *self.tiles[1:], channels)
        strides = (*steps, each, *(OUT * step for step in steps), one)
        return maps.as_strided(shape, strides, OUT * rows.start * steps[0])


class Room:
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


def transformed(matrix: Tensor, x: Tensor, here: Room, there: Room) -> tuple[Tensor, Room, Room]:
    """(from, ..., n, *T, C) -> (to, ..., n, *T, C) by a matrix (to, from) per axis; then its room and the free one.

    x lies in `here`.
    """
    (to, width), axes = matrix.shape, (x.dim() - 2) // 2
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
    """(K, C, 3, ...) -> (6 ** axes, C, K)"""
    taps, axes = transforms(weight.dtype)[1], weight.dim() - 2
    x = weight.movedim((0, 1), (-1, -2))
    for axis in range(axes):
        x = torch.matmul(taps, x.reshape(IN**axis, TAPS, -1))
    return x.view(IN**axes, *weight.shape[1::-1])


def taps_of(sums: Tensor, axes: int) -> Tensor:
    """(6 ** axes, C, K) -> (K, C, 3, ...): the transpose of filters_of"""
    taps, shape = transforms(sums.dtype)[1], sums.shape[1:]
    for axis in range(axes):
        sums = torch.matmul(taps.T, sums.reshape(TAPS**axis, IN, -1))
    return sums.view(*[TAPS] * axes, *shape).movedim((-1, -2), (0, 1))


def add(place: Tensor, tiles: Tensor, axes: int) -> None:
    """Add tiles, which overlap by two samples, to their place, in parts that do not."""
    for part in product((slice(OUT), slice(OUT, IN)), repeat=axes):
        place[part].add_(tiles[part])
