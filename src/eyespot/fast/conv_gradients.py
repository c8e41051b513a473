"""Faster gradients of convolutions on a CPU; the forward pass stays PyTorch's own.

oneDNN's gradients take up to eight times as long as its forward pass, where the arithmetic would take two times: in
float32, channels last, on a CPU without AVX-512, where maps are large; in bfloat16 where they are small. Results differ
from PyTorch's by rounding. Shapes: B images, C channels in, K out.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from eyespot.fast import winograd
from eyespot.fast.switch import enabled

CONVOLVE = {F.conv2d, F.conv3d}
"""Not of signals: on one axis Winograd's filtering leaves half of the products, and PyTorch is faster."""
TRANSPOSED = {F.conv_transpose2d, F.conv_transpose3d}
FUNCTIONS = {function.__name__: function for function in CONVOLVE | TRANSPOSED}
LEAST = 30
"""C * K / (C + K) from which Winograd's saved products outweigh the transforms of maps and of filters."""
FEWEST = 64
"""Tiles from which they do."""
WIDE = 64
"""Channels in from which products with windows, and those of a transposed convolution, are faster."""
LARGE = 60**2
"""Positions of a map from which a transposed convolution's gradients are faster as products of matrices."""
SPREAD = 28**2
"""Positions from which those of a convolution to half as many channels or fewer are faster as products with windows."""
WINDOW_BYTES = 2**22
"""Bytes of windows laid out at once"""
PEAK = 24
ROW = 130
"""In bfloat16 products with the maps' windows are faster where a row of the result is shorter than PEAK * K / (K + ROW);"""
MORE = 2
"""so many times WINDOW_BYTES at once."""
PerAxis = int | Sequence[int]
Backward = Callable[..., tuple[Tensor | None, Tensor]]
"""(x, weight, padding, gradient, need_x) -> the gradients of x, if needed, and of the weight"""


class ConvGradients:
    """Inside, convolutions that learn, in float32 or (half) in bfloat16, have faster gradients where there are some.

    It replaces PyTorch's functions by their names: a torch.overrides.TorchFunctionMode would hear each access to a
    tensor too, thousands in a dense block, and takes a sixth of DenseNet's time.
    """

    def __init__(self, half: bool = False):
        self.half = half

    def __enter__(self) -> None:
        self.before = {name: getattr(F, name) for name in FUNCTIONS}
        for name, function in FUNCTIONS.items():
            setattr(F, name, partial(self.call, function))

    def __exit__(self, *_) -> None:
        for name, function in self.before.items():
            setattr(F, name, function)

    def call(self, function: Callable, *args: Any, **kwargs: Any) -> Tensor:
        """function(*args, **kwargs), with other gradients where they are faster."""
        other_network = self.half and not torch.is_autocast_enabled("cpu")  # of another thread
        if kwargs or other_network or not enabled():
            return function(*args, **kwargs)
        if function in CONVOLVE and (backward := faster_backward(self.half, *args)):
            x = args[0].to(torch.bfloat16) if self.half else args[0]
            return Convolved.apply(function, backward, x, *args[1:5], *(None, 1, 0)[len(args) - 2 :])
        if function in TRANSPOSED and not self.half and suits_transposed(*args):
            return Convolved.apply(function, transposed_backward, *args[:4], *(None, 1)[len(args) - 2 :], 0)
        return function(*args)


def same_gradients() -> AbstractContextManager:
    """The present context of gradients once more, for a forward pass that is repeated later."""
    active = getattr(getattr(F.conv2d, "func", None), "__self__", None)
    return ConvGradients(active.half) if isinstance(active, ConvGradients) else nullcontext()


def learns(x: Tensor, weight: Tensor, half: bool = False) -> bool:
    """Whether these filters learn, on a CPU, in float32 or (half) by products in bfloat16."""
    types = {x.dtype, weight.dtype} <= {torch.float32, torch.bfloat16 if half else torch.float32}
    on_cpu = {x.device.type, weight.device.type} == {"cpu"} and x.dim() == weight.dim()
    return types and on_cpu and weight.requires_grad


def faster_backward(
    half: bool,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: PerAxis | str = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Backward | None:
    """Of the arguments of F.conv2d or F.conv3d: the backward pass that is expected to be faster than PyTorch's."""
    plain = {*as_sequence(dilation), groups} == {1} and not isinstance(padding, str)
    if not plain or not learns(x, weight, half):
        return None
    axes = weight.dim() - 2
    if half:
        steps = per_axis(stride, axes)
        row = (x.shape[-1] + 2 * per_axis(padding, axes)[-1] - weight.shape[-1]) // steps[-1] + 1
        short = row * (len(weight) + ROW) < PEAK * len(weight)
        return partial(by_columns, steps) if short else None
    return faster_float32(x, weight) if {*as_sequence(stride)} == {1} else None


def faster_float32(x: Tensor, weight: Tensor) -> Backward | None:
    """The same of a convolution with stride 1 in float32."""
    k, c, *taps = weight.shape
    tiles = len(x) * prod(size / winograd.OUT for size in x.shape[2:])
    if {*taps} == {winograd.TAPS} and c * k >= LEAST * (c + k) and tiles >= FEWEST:
        return winograd.gradients_of
    narrows = c >= max(WIDE, 2 * k) and x[0, 0].numel() >= SPREAD
    return by_windows if narrows and prod(taps) > 1 else None


def suits_transposed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> bool:
    """Whether the arguments of F.conv_transpose2d or 3d are of windows that do not overlap, on large maps."""
    unpadded = {*as_sequence(padding), *as_sequence(output_padding)} == {0}
    adjacent = {*as_sequence(stride)} == {*weight.shape[2:]} and unpadded
    large = weight.shape[0] >= WIDE and x[0, 0].numel() >= LARGE
    return learns(x, weight) and adjacent and large and {*as_sequence(dilation), groups} == {1}


def as_sequence(value: PerAxis) -> Sequence[int]:
    return (value,) if isinstance(value, int) else value


def per_axis(value: Any, axes: int) -> list[int]:
    return [value] * axes if isinstance(value, int) else list(value)


class Convolved(torch.autograd.Function):
    """function(x, weight, bias, stride, padding), with gradients by backward(x, weight, padding, gradient, need_x)"""

    @staticmethod
    def forward(
        ctx,
        function,
        backward,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: PerAxis,
        padding: PerAxis,
    ):
        ctx.save_for_backward(x, weight)
        ctx.make_gradients = backward
        ctx.padding = padding
        return function(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        need_x, _, need_bias = ctx.needs_input_grad[2:5]
        dx, dw = ctx.make_gradients(x, weight, ctx.padding, gradient, need_x)
        db = gradient.sum((0, *range(2, gradient.dim())), dtype=weight.dtype) if need_bias else None
        return None, None, dx, dw, db, None, None


def by_columns(
    stride: Sequence[int], x: Tensor, weight: Tensor, padding: PerAxis, gradient: Tensor, need_x: bool = True
) -> tuple[Tensor | None, Tensor]:
    """PyTorch's of x; the weight's as a product of the gradient and the windows of x, side by side (im2col)"""
    k, c, *taps = weight.shape
    before = per_axis(padding, len(taps))
    edge = [n for p in before[::-1] for n in (p, p)]
    sums = weight.new_zeros(k, prod(taps) * c)
    images = max(MORE * WINDOW_BYTES // (gradient[0, 0].numel() * prod(taps) * c * x.itemsize), 1)
    for maps, dy in zip(x.split(images), gradient.split(images), strict=True):
        sums += dy.movedim(1, -1).reshape(-1, k).T @ windows_of(maps, edge, taps, stride)
    dw = sums.view(k, *taps, c).movedim(-1, 1)
    return input_gradient(x, weight, stride, before, gradient) if need_x else None, dw


def windows_of(maps: Tensor, edge: list[int], taps: Sequence[int], stride: Sequence[int]) -> Tensor:
    """(B, C, *S), with so many zeros before and after each axis, the last first, to (B * windows, taps * C)"""
    windows = F.pad(maps, edge) if any(edge) else maps
    for axis, (tap, step) in enumerate(zip(taps, stride, strict=True), start=2):
        windows = windows.unfold(axis, tap, step)
    return windows.movedim(1, -1).reshape(-1, prod(taps) * maps.shape[1])


def input_gradient(
    x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dy: Tensor
) -> Tensor:
    """PyTorch's gradient of x, of that of the result"""
    one = [1] * len(padding)
    zero = [0] * len(padding)
    settings = (None, stride, padding, one, False, zero, 1, [True, False, False])
    return torch.ops.aten.convolution_backward(dy, x, weight.to(x.dtype), *settings)[0]


def by_windows(
    x: Tensor, weight: Tensor, padding: PerAxis, gradient: Tensor, need_x: bool = True
) -> tuple[Tensor | None, Tensor]:
    """PyTorch's of x; the weight's (K, C, *taps) as a product of x and the windows of the gradient around each value"""
    k, c, *taps = weight.shape
    axes = len(taps)
    before = per_axis(padding, axes)
    edge = [n for tap, p in zip(taps, before, strict=True) for n in (tap - 1 - p,) * 2]
    sums = x.new_zeros(prod(taps) * k, c)
    images = max(WINDOW_BYTES // (x[0, 0].numel() * len(sums) * x.itemsize), 1)
    for dy, maps in zip(gradient.split(images), x.split(images), strict=True):
        windows = windows_of(dy, edge[::-1], taps, [1] * axes)
        sums.addmm_(windows.T, maps.movedim(1, -1).reshape(-1, c))
    dw = sums.view(*taps, k, c).flip(*range(axes)).movedim((-2, -1), (0, 1))
    return input_gradient(x, weight, [1] * axes, before, gradient) if need_x else None, dw


def transposed_backward(
    x: Tensor, weight: Tensor, padding: PerAxis, gradient: Tensor, need_x: bool = True
) -> tuple[Tensor | None, Tensor]:
    """Of a transposed convolution (B, C, *S) -> (B, K, *(taps * S)), weight (C, K, *taps): products over positions"""
    c, k, *taps = weight.shape
    axes = len(taps)
    g = gradient.movedim(1, -1)
    for axis in reversed(range(axes)):
        g = g.unflatten(axis + 1, (-1, taps[axis]))  # (B, S0, taps0, S1, taps1, ..., K)
    tap_axes = range(2, 2 * axes + 1, 2)
    g = g.permute(0, *range(1, 2 * axes, 2), *tap_axes, 2 * axes + 1).reshape(-1, prod(taps) * k)
    last = x.movedim(1, -1)
    filters = weight.movedim(1, -1).reshape(c, -1)
    dx = (g @ filters.T).view(last.shape).movedim(-1, 1) if need_x else None
    return dx, (last.reshape(-1, c).T @ g).view(c, *taps, k).movedim(-1, 1)
