"""A dense block in training without its waste: one buffer, statistics once per map, activations made again.

Written plainly, layer i copies the maps of every layer before it, takes their statistics again, and keeps three
tensors of that size for the backward pass. Here all maps lie in one buffer, channels last; the mean and variance of
each are taken when it is made; and the backward pass makes the activations again, a few images at a time, so that
they stay in the processor's cache. Parameters, results and running statistics are those of the plain form.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
KNOWN = {*NORMS, *CONVS, nn.ReLU, nn.Dropout}
AT_ONCE = 2**18  # values of a tensor in flight: 1 MB of float32


def saves(block: nn.Module, x: Tensor) -> bool:
    """Whether `grown` can stand for the block: it trains on a processor, and nobody listens to a layer inside."""
    tracing = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    if tracing or torch._C._are_functorch_transforms_active() or x.device.type != "cpu":
        return False
    parts = [part for layer in block.children() for part in (layer, *layer.children())]
    heard = any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks for part in parts)
    alone = x.numel() == x.shape[1]  # one value per map has no variance, which the norm says best
    return bool(parts) and not heard and not alone and all(fits(part, x) for part in parts)


def fits(part: nn.Module, x: Tensor) -> bool:
    """Whether a part trains, is as it was built, and computes in the type of the maps."""
    if next(part.children(), None) is not None:
        return part.training
    if isinstance(part, NORMS):
        kept = part.running_mean
        return part.training and type(part) in KNOWN and kept is not None and kept.dtype == finer(x)
    if isinstance(part, CONVS):
        cast = torch.is_autocast_enabled("cpu")
        return type(part) in KNOWN and x.dtype == (torch.get_autocast_dtype("cpu") if cast else part.weight.dtype)
    return type(part) in KNOWN


def finer(x: Tensor) -> torch.dtype:
    """The type of statistics: float32 for half precision, else that of x."""
    return torch.promote_types(x.dtype, torch.float32)


class Layer(NamedTuple):
    """Norm, ReLU, convolution, once or twice; then dropout"""

    norms: list
    convs: list
    dropout: nn.Module


def layers_of(block: nn.Module) -> list[Layer]:
    found = []
    for layer in block.children():
        parts = list(layer.children())
        norms, convs, dropouts = (
            [m for m in parts if isinstance(m, kind)] for kind in (NORMS, CONVS, nn.Dropout)
        )
        found.append(Layer(norms, convs, dropouts[0]))
    return found


def grown(x: Tensor, block: nn.Module) -> Tensor:
    """(B, cin, *S) -> (B, cin + new, *S): the input beside every layer's new maps"""
    layers = layers_of(block)
    tensors = []
    for norm, conv in ((n, c) for layer in layers for n, c in zip(layer.norms, layer.convs, strict=True)):
        zero = torch.zeros_like(norm.running_mean)
        scale, shift = (norm.weight, norm.bias) if norm.affine else (zero + 1, zero)
        tensors += [scale, shift, conv.weight, conv.bias]
    return Grown.apply(x, layers, *tensors)


class Maps(NamedTuple):
    """Maps (B, C, *S) with the mean and variance of each (C,); or the gradient of each of the three"""

    values: Tensor
    mean: Tensor
    var: Tensor

    def channels(self, start: int, stop: int) -> "Maps":
        return Maps(self.values[:, start:stop], self.mean[start:stop], self.var[start:stop])

    def put(self, start: int, new: "Maps") -> None:
        """Write all three from channel `start`."""
        for whole, part in zip(self.channels(start, start + len(new.mean)), new, strict=True):
            whole.copy_(part)

    @property
    def count(self) -> int:
        """Values per map"""
        return self.values.numel() // self.values.shape[1]


def channels_last(like: Tensor, channels: int) -> Tensor:
    """(B, channels, *S), yet to be filled, in which the channels of one position are neighbours"""
    return like.new_empty(len(like), *like.shape[2:], channels).movedim(-1, 1)


def measured(values: Tensor) -> Maps:
    """With torch's own statistics, which are quick where the values lie without gaps."""
    kept = torch.zeros(2, values.shape[1], dtype=finer(values))  # makes the answer as fine as they are
    return Maps(values, *torch.batch_norm_update_stats(values, *kept, 0.0))


def column(per_map: Tensor, like: Tensor) -> Tensor:
    """(C,) -> (C, 1, ...), to go with maps (B, C, *S)"""
    return per_map.view(-1, *[1] * (like.dim() - 2))


def through_statistics(gradient: Maps, maps: Maps) -> Tensor:
    """The gradient of maps (B, C, *S): their own, and what comes by way of their mean and variance."""
    slope = gradient.var * (2 / maps.count)
    level = gradient.mean / maps.count - maps.mean * slope
    x = maps.values
    total = torch.addcmul(column(level, x), x, column(slope, x)).add_(gradient.values)
    return total.to(x.dtype)


def follow(norm: nn.Module, maps: Maps) -> None:
    """Move a norm's running statistics towards those of the maps, as its own forward would."""
    norm.num_batches_tracked += 1
    share = 1 / norm.num_batches_tracked.item() if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(maps.mean, share)
    norm.running_var.lerp_(maps.var * (maps.count / (maps.count - 1)), share)


class Step:
    """Norm, ReLU and convolution, a few images at a time: (B, cin, *S) -> (B, cout, *S)"""

    def __init__(self, maps: Maps, norm: nn.Module, conv: nn.Module, tensors: Sequence[Tensor]):
        scale, shift, weight, bias = tensors
        x = maps.values
        self.maps, self.rate = maps, (maps.var + norm.eps).rsqrt()
        self.mean, self.scale, self.shift = (column(t, x) for t in (maps.mean, scale * self.rate, shift))
        self.weight, self.bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        self.mode, self.edge = conv.padding_mode, [n for p in reversed(conv.padding) for n in (p, p)]
        ones, zeros = [1] * len(conv.padding), [0] * len(conv.padding)
        own = list(conv.padding) if self.mode == "zeros" else zeros
        self.how = (ones, own, ones, False, zeros, 1)  # stride, padding, dilation, transposed, its padding, groups

    def parts(self) -> Iterator[slice]:
        """A few images each"""
        n = max(1, AT_ONCE // prod(self.maps.values.shape[1:]))
        return (slice(i, i + n) for i in range(0, len(self.maps.values), n))

    def activation(self, part: slice) -> tuple[Tensor, Tensor]:
        """The maps less their mean, and normalised, scaled, shifted and cut at 0."""
        centred = self.maps.values[part] - self.mean
        return centred, torch.addcmul(self.shift, centred, self.scale).relu_()

    def beyond(self, a: Tensor) -> Tensor:
        """Continued past the edges, where the convolution does not do it"""
        return a if self.mode == "zeros" else F.pad(a, self.edge, self.mode)

    def forward(self) -> Tensor:
        y = channels_last(self.maps.values, len(self.weight))
        for part in self.parts():
            a = self.beyond(self.activation(part)[1].to(y.dtype))
            y[part] = torch.convolution(a, self.weight, self.bias, *self.how)
        return y

    def backward(self, dy: Tensor, gradient: Maps) -> list[Tensor | None]:
        """Gradients of scale, shift, weight and bias; those of the maps are added to `gradient`."""
        total = []
        for part in self.parts():
            centred, a = self.activation(part)
            da, *rest = self.through_convolution(dy[part], a.to(dy.dtype))
            da = torch.ops.aten.threshold_backward(da.to(a.dtype), a, 0)
            gradient.values[part].addcmul_(da, self.scale)
            axes = [0, *range(2, a.dim())]
            total.append([centred.mul_(da).sum(axes), da.sum(axes), *rest])
        dscale, dshift, dweight, dbias = (None if t[0] is None else sum(t) for t in zip(*total, strict=True))
        scale = self.scale.flatten()
        gradient.mean.sub_(scale * dshift)
        gradient.var.sub_(scale * self.rate**2 * dscale / 2)
        return [dscale * self.rate, dshift, dweight, dbias]

    def through_convolution(self, dy: Tensor, a: Tensor) -> tuple[Tensor, ...]:
        """Gradients of the activation, the weight and the bias."""
        with torch.enable_grad():
            seen = self.beyond(a.requires_grad_(self.mode != "zeros"))
        wanted = [True, True, self.bias is not None]
        sizes = None if self.bias is None else [len(self.bias)]
        back = torch.ops.aten.convolution_backward
        da, dweight, dbias = back(dy, seen.detach(), self.weight, sizes, *self.how, wanted)
        if seen is not a:
            (da,) = torch.autograd.grad(seen, a, da)
        return da, dweight, dbias


class Grown(torch.autograd.Function):
    """Of x, the layers, and scale, shift, weight and bias of each step: all maps (B, cin + new, *S)"""

    @staticmethod
    def forward(ctx, x: Tensor, layers: list[Layer], *tensors: Tensor) -> Tensor:
        at, new = x.shape[1], sum(layer.convs[-1].out_channels for layer in layers)
        maps = Maps(channels_last(x, at + new), *torch.empty(2, at + new, dtype=finer(x)))
        maps.put(0, measured(x))
        kept, given = [], iter(zip(*[iter(tensors)] * 4, strict=True))
        for layer in layers:
            seen = maps.channels(0, at)
            for norm, conv in zip(layer.norms, layer.convs, strict=True):
                parameters = next(given)
                kept += [*seen, *parameters]
                follow(norm, seen)
                y = Step(seen, norm, conv, parameters).forward()
                if conv is layer.convs[-1] and layer.dropout.p:
                    kept.append(layer.dropout(torch.ones(y.shape, dtype=y.dtype)))
                    y *= kept[-1]
                seen = measured(y)
            maps.put(at, seen)
            at += y.shape[1]
        ctx.layers = layers
        ctx.save_for_backward(*kept, *maps)
        return maps.values

    @staticmethod
    @once_differentiable
    def backward(ctx, *dy: Tensor) -> tuple[Tensor | None, ...]:
        kept = list(ctx.saved_tensors)
        maps, at = Maps(*pop(kept, 3)), dy[0].shape[1]
        gradient = Maps(channels_last(dy[0], at).copy_(dy[0]), *torch.zeros(2, at, dtype=finer(dy[0])))
        found: list[Tensor | None] = []
        for layer in reversed(ctx.layers):
            start = at - layer.convs[-1].out_channels
            d = through_statistics(gradient.channels(start, at), maps.channels(start, at))
            at = start
            if layer.dropout.p:
                d *= kept.pop()
            for i, (norm, conv) in reversed(list(enumerate(zip(layer.norms, layer.convs, strict=True)))):
                *seen, scale, shift, weight, bias = pop(kept, 7)
                seen = Maps(*seen)
                own = Maps(*map(torch.zeros_like, seen)) if i else gradient.channels(0, at)
                found[:0] = Step(seen, norm, conv, (scale, shift, weight, bias)).backward(d, own)
                d = through_statistics(own, seen) if i else d
        return through_statistics(gradient.channels(0, at), maps.channels(0, at)), None, *found


def pop(stack: list, n: int) -> list:
    """The last n, which leave the stack, so that their memory can be used again"""
    last = stack[-n:]
    del stack[-n:]
    return last
