"""Quicker gradients of convolutions on a processor; the forward pass stays torch's own.

oneDNN's take up to eight times as long as its forward pass, where two times would be the arithmetic's due: in float32,
channels last on a processor without AVX-512, where maps are large; in bfloat16 where they are small. Results differ from
torch's by rounding. Shapes: B images, C channels in, K out.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from eyespot.fast import winograd

CONVOLVE = {F.conv2d, F.conv3d}
"""Not of signals: on one axis Winograd's filtering leaves half of the products, and torch is quicker."""
UP = {F.conv_transpose2d, F.conv_transpose3d}
OWN = {own.__name__: own for own in CONVOLVE | UP}
LEAST, FEWEST = 30, 64
"""C * K / (C + K), and tiles, from which the products saved outweigh the transforms of maps and of filters."""
WIDE, LARGE, SPREAD = 64, 60**2, 28**2
"""Channels in, and positions of a map, from which a transposed convolution's are quicker as products of matrices; and
positions from which another's from many channels to half as many or fewer are, as products with windows."""
AT_ONCE = 2**22
"""Bytes of windows"""
PEAK, ROW, MORE = 24, 130, 2
"""With K channels out, products with the maps' windows are quicker in bfloat16 where a row of the result is shorter than
PEAK * K / (K + ROW); so many times the windows' bytes at once."""
Each = int | Sequence[int]


class Gradients:
    """Inside, convolutions that learn, in float32 or (half) in bfloat16, have their gradients made so where that is quicker.

    Stands in for torch's functions by their names: a torch.overrides.TorchFunctionMode would hear each access to a tensor
    too, thousands in a dense block, and takes a sixth of DenseNet's time.
    """

    def __init__(self, half: bool = False):
        self.half = half

    def __enter__(self) -> None:
        for name, own in OWN.items():
            setattr(F, name, partial(self.call, own))

    def __exit__(self, *_) -> None:
        for name, own in OWN.items():
            setattr(F, name, own)

    def call(self, own: Callable, *args: Any, **kwargs: Any) -> Tensor:
        if kwargs or (self.half and not torch.is_autocast_enabled("cpu")):  # as for another thread's network
            return own(*args, **kwargs)
        if own in CONVOLVE and (way := way_of(self.half, *args)):
            x = args[0].to(torch.bfloat16) if self.half else args[0]
            return Convolved.apply(own, way, x, *args[1:5], *(None, 1, 0)[len(args) - 2 :])
        if own in UP and not self.half and tiled(*args):
            return Convolved.apply(own, upward, *args[:4], *(None, 1)[len(args) - 2 :], 0)
        return own(*args)


def learns(x: Tensor, weight: Tensor, half: bool = False) -> bool:
    """Whether these filters learn, on a processor and in float32, or by products in bfloat16."""
    kinds = {x.dtype, weight.dtype} <= {torch.float32, torch.bfloat16 if half else torch.float32}
    here = {x.device.type, weight.device.type} == {"cpu"} and x.dim() == weight.dim()
    return kinds and here and weight.requires_grad


def way_of(
    half: bool,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Each = 1,
    padding: Each | str = 0,
    dilation: Each = 1,
    groups: int = 1,
) -> Callable | None:
    """Of the arguments of F.conv2d or F.conv3d: the way to the gradients that is expected to be quicker than torch's."""
    k, c, *taps = weight.shape
    if not learns(x, weight, half) or isinstance(padding, str) or {*_each(dilation), groups} != {1}:
        return None
    if half:
        steps, before = ([n] * len(taps) if isinstance(n, int) else [*n] for n in (stride, padding))
        row = (x.shape[-1] + 2 * before[-1] - taps[-1]) // steps[-1] + 1
        return partial(by_columns, steps) if row * (k + ROW) < PEAK * k else None
    if {*_each(stride)} != {1}:
        return None
    tiles = len(x) * prod(size / winograd.OUT for size in x.shape[2:])
    if {*taps} == {winograd.TAPS} and c * k >= LEAST * (c + k) and tiles >= FEWEST:
        return winograd.gradients_of
    narrows = c >= max(WIDE, 2 * k) and x[0, 0].numel() >= SPREAD
    return by_windows if narrows and prod(taps) > 1 else None


def tiled(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Each = 1,
    padding: Each = 0,
    output_padding: Each = 0,
    groups: int = 1,
    dilation: Each = 1,
) -> bool:
    """Whether the arguments of F.conv_transpose2d or 3d are of windows beside each other, on large maps."""
    beside = {*_each(stride)} == {*weight.shape[2:]} and {*_each(padding), *_each(output_padding)} == {0}
    large = weight.shape[0] >= WIDE and x[0, 0].numel() >= LARGE
    return learns(x, weight) and beside and large and {*_each(dilation), groups} == {1}


def _each(value: Each) -> Sequence[int]:
    return (value,) if isinstance(value, int) else value


class Convolved(torch.autograd.Function):
    """func(x, weight, bias, stride, padding), with gradients made by way(x, weight, padding, gradient, need_x)."""

    @staticmethod
    def forward(ctx, func, way, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Each, padding: Each):
        ctx.save_for_backward(x, weight)
        ctx.way, ctx.padding = way, padding
        return func(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients: Tensor) -> Any:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        need_x, _, need_bias = ctx.needs_input_grad[2:5]
        dx, dw = ctx.way(x, weight, ctx.padding, gradient, need_x)
        db = gradient.sum((0, *range(2, gradient.dim())), dtype=weight.dtype) if need_bias else None
        return None, None, dx, dw, db, None, None


def by_columns(
    stride: Sequence[int], x: Tensor, weight: Tensor, padding: Each, gradient: Tensor, need_x: bool = True
) -> tuple[Tensor | None, Tensor]:
    """Torch's of x; the weight's as a product of the gradient and the windows of x, side by side (im2col)"""
    k, c, *taps = weight.shape
    before = [padding] * len(taps) if isinstance(padding, int) else list(padding)
    edge = [n for p in before[::-1] for n in (p, p)]
    found = weight.new_zeros(k, prod(taps) * c)
    images = max(MORE * AT_ONCE // (gradient[0, 0].numel() * prod(taps) * c * x.itemsize), 1)
    for some, part in zip(x.split(images), gradient.split(images), strict=True):
        found += part.movedim(1, -1).reshape(-1, k).T @ windows_of(some, edge, taps, stride)
    dw = found.view(k, *taps, c).movedim(-1, 1)
    return torchs(x, weight, stride, before, gradient) if need_x else None, dw


def windows_of(maps: Tensor, edge: list[int], taps: Sequence[int], stride: Sequence[int]) -> Tensor:
    """(B, C, *S), with so many zeros before and after each axis, the last first, to (B * windows, taps * C)"""
    windows = F.pad(maps, edge) if any(edge) else maps
    for axis, (tap, step) in enumerate(zip(taps, stride, strict=True), start=2):
        windows = windows.unfold(axis, tap, step)
    return windows.movedim(1, -1).reshape(-1, prod(taps) * maps.shape[1])


def torchs(x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dy: Tensor) -> Tensor:
    """Torch's gradient of x, of that of the result"""
    one, zero = [1] * len(padding), [0] * len(padding)
    how = (None, stride, padding, one, False, zero, 1, [True, False, False])
    return torch.ops.aten.convolution_backward(dy, x, weight.to(x.dtype), *how)[0]


def by_windows(
    x: Tensor, weight: Tensor, padding: Each, gradient: Tensor, need_x: bool = True
) -> tuple[Tensor | None, Tensor]:
    """Torch's of x; the weight's (K, C, *taps) as a product of x and the windows of the gradient that each value met"""
    (k, c, *taps), axes = weight.shape, x.dim() - 2
    before = [padding] * axes if isinstance(padding, int) else list(padding)
    edge = [n for tap, p in zip(taps, before, strict=True) for n in (tap - 1 - p,) * 2]
    found = x.new_zeros(prod(taps) * k, c)
    images = max(AT_ONCE // (x[0, 0].numel() * len(found) * x.itemsize), 1)
    for some, part in zip(gradient.split(images), x.split(images), strict=True):
        windows = windows_of(some, edge[::-1], taps, [1] * axes)
        found.addmm_(windows.T, part.movedim(1, -1).reshape(-1, c))
    dw = found.view(*taps, k, c).flip(*range(axes)).movedim((-2, -1), (0, 1))
    return torchs(x, weight, [1] * axes, before, gradient) if need_x else None, dw


def upward(
    x: Tensor, weight: Tensor, padding: Each, gradient: Tensor, need_x: bool = True
) -> tuple[Tensor | None, Tensor]:
    """Of a transposed convolution (B, C, *S) -> (B, K, *(taps * S)), weight (C, K, *taps): products over positions"""
    (c, k, *taps), axes = weight.shape, x.dim() - 2
    g = gradient.movedim(1, -1)
    for axis in reversed(range(axes)):
        g = g.unflatten(axis + 1, (-1, taps[axis]))  # (B, S0, taps0, S1, taps1, ..., K)
    g = g.permute(0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2), 2 * axes + 1).reshape(
        -1, prod(taps) * k
    )
    last, filters = x.movedim(1, -1), weight.movedim(1, -1).reshape(c, -1)
    dx = (g @ filters.T).view(last.shape).movedim(-1, 1) if need_x else None
    return dx, (last.reshape(-1, c).T @ g).view(c, *taps, k).movedim(-1, 1)
