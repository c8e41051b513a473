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


def packed(maps: Tensor) -> Tensor:
    """(B, C, *S) -> (1, C, B * S, 1), channels last without gaps: the form for which torch's norms are quickest"""
    rows = maps.movedim(1, -1).reshape(1, -1, 1, maps.shape[1])
    return rows.movedim(-1, 1).contiguous(memory_format=torch.channels_last)


def spread(rows: Tensor, like: Tensor) -> Tensor:
    """Undo `packed`: (1, C, B * S, 1) -> (B, C, *S)"""
    return rows.movedim(1, -1).view(len(like), *like.shape[2:], -1).movedim(-1, 1)


def measured(values: Tensor) -> Maps:
    """With torch's own statistics"""
    kept = torch.zeros(2, values.shape[1], dtype=finer(values))  # makes the answer as fine as they are
    return Maps(values, *torch.batch_norm_update_stats(packed(values), *kept, 0.0))


def through_statistics(gradient: Maps, maps: Maps) -> Tensor:
    """The gradient of maps (B, C, *S): their own, and what comes by way of their mean and variance."""
    level, slope = gradient.mean / maps.count, gradient.var * (2 / maps.count)
    one, x = torch.ones_like(slope), packed(maps.values)
    extra = torch.native_batch_norm(x, slope, level, maps.mean, one, False, 0.0, 0.0)[0]
    return spread(extra, maps.values).add_(gradient.values)


def follow(norm: nn.Module, maps: Maps) -> None:
    """Move a norm's running statistics towards those of the maps, as its own forward would."""
    norm.num_batches_tracked += 1
    share = 1 / norm.num_batches_tracked.item() if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(maps.mean, share)
    norm.running_var.lerp_(maps.var * (maps.count / (maps.count - 1)), share)


class Step:
    """Norm, ReLU and convolution, a few images at a time: (B, cin, *S) -> (B, cout, *S)"""

    def __init__(self, maps: Maps, norm: nn.Module, conv: nn.Module, tensors: Sequence[Tensor]):
        self.scale, self.shift, weight, bias = tensors
        x = maps.values
        self.maps, self.eps = maps, norm.eps
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
        """Some of the maps, and these normalised and cut at 0, both packed"""
        x, known = packed(self.maps.values[part]), (self.maps.mean, self.maps.var)
        return x, torch.native_batch_norm(x, self.scale, self.shift, *known, False, 0.0, self.eps)[0].relu_()

    def beyond(self, a: Tensor) -> Tensor:
        """Continued past the edges, where the convolution does not do it"""
        return a if self.mode == "zeros" else F.pad(a, self.edge, self.mode)

    def forward(self) -> Tensor:
        y = channels_last(self.maps.values, len(self.weight))
        for part in self.parts():
            a = self.beyond(spread(self.activation(part)[1], y[part]))
            y[part] = torch.convolution(a, self.weight, self.bias, *self.how)
        return y

    def backward(self, dy: Tensor, gradient: Maps) -> list[Tensor | None]:
        """Gradients of scale, shift, weight and bias; those of the maps are added to `gradient`."""
        total, known = [], (self.maps.mean, self.maps.var, None, None, False, self.eps, [True] * 3)
        for part in self.parts():
            x, a = self.activation(part)
            da, *rest = self.through_convolution(dy[part], spread(a, dy[part]))
            da = torch.ops.aten.threshold_backward(packed(da), a, 0)
            dx, *sums = torch.ops.aten.native_batch_norm_backward(da, x, self.scale, *known)
            gradient.values[part] += spread(dx, dy[part])
            total.append([*sums, *rest])
        dscale, dshift, dweight, dbias = (None if t[0] is None else sum(t) for t in zip(*total, strict=True))
        rate = (self.maps.var + self.eps).rsqrt()
        gradient.mean.sub_(self.scale * rate * dshift)
        gradient.var.sub_(self.scale * rate**2 * dscale / 2)
        return [dscale, dshift, dweight, dbias]

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
