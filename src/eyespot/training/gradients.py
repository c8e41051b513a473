"""Quicker gradients of convolutions in float32 on a processor; the forward pass stays torch's own.

oneDNN's, channels last on a processor without AVX-512, take up to eight times as long as its forward pass where maps are
large: two times would be the arithmetic's due. Results differ from torch's by rounding. Shapes: B images, C channels in,
K out.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from eyespot.training import winograd

CONVOLVE = {F.conv2d, F.conv3d}
"""Not of signals: on one axis Winograd's filtering leaves half of the products, and torch is quicker."""
UP = {F.conv_transpose2d, F.conv_transpose3d}
LEAST, FEWEST = 30, 64
"""C * K / (C + K), and tiles, from which the products saved outweigh the transforms of maps and of filters."""
WIDE, LARGE, SPREAD = 64, 60**2, 28**2
"""Channels in, and positions of a map, from which a transposed convolution's are quicker as products of matrices; and
positions from which another's from many channels to half as many or fewer are, as products with windows."""
AT_ONCE = 2**22
"""Bytes of windows"""
Each = int | Sequence[int]


class Gradients(TorchFunctionMode):
    """Inside, convolutions that learn have their gradients made so where that is expected to be quicker."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in CONVOLVE and not kwargs and (way := way_of(*args)):
            return Convolved.apply(func, way, *args[:5], *(None, 1, 0)[len(args) - 2 :])
        if func in UP and not kwargs and tiled(*args):
            return Convolved.apply(func, upward, *args[:4], *(None, 1)[len(args) - 2 :], 0)
        return func(*args, **(kwargs or {}))


def learns(x: Tensor, weight: Tensor) -> bool:
    """Whether these filters learn, on a processor and in float32."""
    kinds = {x.dtype, weight.dtype} == {torch.float32} and {x.device.type, weight.device.type} == {"cpu"}
    return kinds and weight.requires_grad and x.dim() == weight.dim()


def way_of(
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
    plain = {*_each(stride), *_each(dilation), groups} == {1} and not isinstance(padding, str)
    if not plain or not learns(x, weight):
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
        db = gradient.sum((0, *range(2, gradient.dim()))) if need_bias else None
        return None, None, dx, dw, db, None, None


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
        windows = F.pad(some, edge[::-1])
        for axis, tap in enumerate(taps, start=2):
            windows = windows.unfold(axis, tap, 1)
        windows = windows.movedim(1, -1).reshape(-1, len(found))
        found.addmm_(windows.T, part.movedim(1, -1).reshape(-1, c))
    dw = found.view(*taps, k, c).flip(*range(axes)).movedim((-2, -1), (0, 1))
    one, zero = [1] * axes, [0] * axes
    how = (None, one, before, one, False, zero, 1, [True, False, False])
    return torch.ops.aten.convolution_backward(gradient, x, weight, *how)[0] if need_x else None, dw


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
