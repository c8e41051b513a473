"""A dense block in training without its waste: one buffer, statistics once per map, activations made again.

Written plainly, layer i copies the maps of every layer before it, takes their statistics again, and keeps three
tensors of that size for the backward pass. Here all maps lie in one buffer, channels last; the mean and variance of
each are taken when it is made; and the backward pass makes the activations again, a few images at a time, so that
they stay in the processor's cache. Parameters, results and running statistics are those of the plain form.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from eyespot.heap import physical_memory

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
KNOWN = {*NORMS, *CONVS, nn.ReLU, nn.Dropout}
AT_ONCE = 2**22  # bytes of maps worked on at once, which a processor's cache holds


class Saver(nn.Module):
    """Trains in the saving form where its plain form would keep more than `room` bytes for the backward pass."""

    room = 0


def give_room(network: nn.Module, size: int | None = None) -> None:
    """Let dense blocks keep so many bytes each, or a sixteenth of the machine's: with freed memory kept, 10-25% quicker."""
    size = physical_memory() // 16 if size is None else size
    for part in network.modules():
        if isinstance(part, Saver):
            part.room = size


def saves(block: Iterable[nn.Module], x: Tensor, room: int) -> bool:
    """Whether `grown` or `again` are to stand for these, and can: they train on a processor, nobody listens inside."""
    traced = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    if traced or torch._C._are_functorch_transforms_active() or x.device.type != "cpu":
        return False
    parts = [part for layer in block for part in (layer, *layer.children())]
    heard = any(any(getattr(part, hooks) for hooks in HOOKS) for part in parts)
    alone = x.numel() == x.shape[1]  # one value per map has no variance, which the norm says best
    if not parts or heard or alone or not all(fits(part, x) for part in parts):
        return False
    normed = sum(part.num_features for part in parts if isinstance(part, NORMS))
    return (
        2 * normed * (x.numel() // x.shape[1]) * x.element_size() > room
    )  # what a norm sees, and what ReLU leaves


def fits(part: Any, x: Tensor) -> bool:
    """Whether a part trains, is what the kit makes, and computes in the type of the maps."""
    if next(part.children(), None) is not None:
        return part.training
    if isinstance(part, NORMS):
        kept, finer = part.running_mean, torch.promote_types(x.dtype, torch.float32)
        return part.training and type(part) in KNOWN and kept is not None and kept.dtype == finer
    if isinstance(part, CONVS):
        cast = torch.is_autocast_enabled("cpu")
        simple = {*part.stride, *part.dilation, part.groups} == {1} and type(part) in KNOWN
        return simple and x.dtype == (torch.get_autocast_dtype("cpu") if cast else part.weight.dtype)
    return type(part) in KNOWN


class Layer:
    """Norm, ReLU, convolution, once or twice; then dropout"""

    def __init__(self, layer: nn.Module):
        parts = list(layer.children())
        self.norms: list[Any] = [m for m in parts if isinstance(m, NORMS)]
        self.convs: list[Any] = [m for m in parts if isinstance(m, CONVS)]
        self.dropout: Any = parts[-1]


def grown(x: Tensor, block: nn.Module) -> Tensor:
    """(B, cin, *S) -> (B, cin + new, *S): the input beside every layer's new maps"""
    if x.dim() == 3:  # torch has no channels-last layout for one axis: (B, C, 1, L)
        return grown(x.unsqueeze(2), block).squeeze(2)
    layers = [Layer(layer) for layer in block.children()]
    steps = [step for layer in layers for step in zip(layer.norms, layer.convs, strict=True)]
    return Grown.apply(x, layers, *(t for norm, conv in steps for t in tensors(norm, conv, x.dim())))


def again(x: Tensor, norm: nn.Module, conv: nn.Module) -> Tensor:
    """Norm, ReLU, convolution: (B, cin, *S) -> (B, cout, *S); only x is kept for the backward pass."""
    if x.dim() == 3:
        return again(x.unsqueeze(2), norm, conv).squeeze(2)
    return Again.apply(packed(x), norm, conv, *tensors(norm, conv, x.dim()))


def tensors(norm: Any, conv: Any, axes: int) -> list[Tensor | None]:
    """Scale, shift, weight and bias for maps of so many axes"""
    zero = torch.zeros_like(norm.running_mean)
    weight = conv.weight if conv.weight.dim() == axes else conv.weight.unsqueeze(2)
    return [*((norm.weight, norm.bias) if norm.affine else (zero + 1, zero)), weight, conv.bias]


def room_for(maps: Tensor) -> Tensor:
    """Two rows to work in, each for one image at least: made once, since the allocator leaves holes between many"""
    return maps.new_empty(2, max(AT_ONCE // maps.element_size(), prod(maps.shape[1:])))


class Maps(NamedTuple):
    """Maps (B, C, *S) with the mean and variance of each (C,); or the gradient of each of the three"""

    values: Tensor
    mean: Tensor
    var: Tensor

    def channels(self, start: int, stop: int) -> "Maps":
        return Maps(self.values[:, start:stop], self.mean[start:stop], self.var[start:stop])

    def put(self, start: int, values: Tensor) -> None:
        """Write maps from channel `start`, and their statistics as torch takes them."""
        part = self.channels(start, start + values.shape[1])
        kept = torch.zeros_like(part.mean)  # makes the answer as fine as they are
        statistics = torch.batch_norm_update_stats(packed(values), kept, kept.clone(), 0.0)
        for whole, new in zip(part, (values, *statistics), strict=True):
            whole.copy_(new)

    @property
    def count(self) -> int:
        """Values per map"""
        return self.values.numel() // self.values.shape[1]


def packed(maps: Tensor) -> Tensor:
    """Channels last and without gaps, where torch's norms are quickest"""
    return maps.contiguous(memory_format=torch.channels_last if maps.dim() == 4 else torch.channels_last_3d)


def empty(like: Tensor, channels: int) -> Maps:
    """(B, channels, *S) in which the channels of one position are neighbours, yet to be filled"""
    values = like.new_empty(len(like), *like.shape[2:], channels).movedim(-1, 1)
    return Maps(values, *torch.zeros(2, channels, dtype=torch.promote_types(like.dtype, torch.float32)))


def through_statistics(gradient: Maps, maps: Maps) -> Tensor:
    """The gradient of maps (B, C, *S): their own, and what comes by way of their mean and variance."""
    level, slope = gradient.mean / maps.count, gradient.var * (2 / maps.count)
    known = (maps.mean, torch.ones_like(slope), False, 0.0, 0.0)
    return torch.native_batch_norm(packed(maps.values), slope, level, *known)[0].add_(gradient.values)


def share(norm: Any) -> float:
    """Count a batch, and say how far the running statistics move towards its own."""
    norm.num_batches_tracked += 1
    return 1 / norm.num_batches_tracked.item() if norm.momentum is None else norm.momentum


class Conv:
    """A convolution's parameters in the type of maps x, and how it reaches past the edges"""

    def __init__(self, conv: Any, x: Tensor, weight: Tensor, bias: Tensor | None):
        self.padding = [0] * (x.dim() - 2 - len(conv.padding)) + list(conv.padding)
        self.weight, self.bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        self.mode, one, zero = conv.padding_mode, [1] * len(self.padding), [0] * len(self.padding)
        own = self.padding if self.mode == "zeros" else zero
        self.how = (
            one,
            own,
            one,
            False,
            zero,
            1,
        )  # stride, padding, dilation, transposed, its padding, groups

    def beyond(self, a: Tensor) -> Tensor:
        """Continued past the edges, where the convolution does not do it"""
        edge = [n for p in reversed(self.padding) for n in (p, p)]
        return a if self.mode == "zeros" else F.pad(a, edge, self.mode)

    def forward(self, a: Tensor) -> Tensor:
        return torch.convolution(self.beyond(a), self.weight, self.bias, *self.how)

    def backward(self, dy: Tensor, a: Tensor) -> tuple[Tensor, ...]:
        """Gradients of a where that is above 0, as ReLU passes on; of the weight and of the bias"""
        with torch.enable_grad():
            inside = a.detach().requires_grad_()
            seen = self.beyond(inside)
        wanted, sizes = [True, True, self.bias is not None], None if self.bias is None else [len(self.bias)]
        back = torch.ops.aten.convolution_backward
        da, dweight, dbias = back(dy, seen.detach(), self.weight, sizes, *self.how, wanted)
        if self.mode != "zeros":
            (da,) = torch.autograd.grad(seen, inside, da)
        da = packed(da)
        torch.ops.aten.threshold_backward.grad_input(da, a, 0, grad_input=da)
        return da, dweight, dbias


class FirstStep:
    """Norm with known statistics, ReLU, convolution, a few images at a time: (B, cin, *S) -> (B, cout, *S)"""

    def __init__(self, maps: Maps, room: Tensor, norm: Any, conv: Any, tensors: Sequence[Tensor]):
        self.scale, self.shift, *rest = tensors
        self.maps, self.room, self.eps, self.conv = maps, room, norm.eps, Conv(conv, maps.values, *rest)

    def parts(self) -> Iterator[slice]:
        """As many images each as there is room for"""
        n = self.room.shape[1] // prod(self.maps.values.shape[1:])
        return (slice(i, i + n) for i in range(0, len(self.maps.values), n))

    def activation(self, part: slice) -> tuple[Tensor, Tensor]:
        """Some of the maps, and what the convolution sees of them, until the next part takes their room"""
        maps = self.maps.values[part].movedim(1, -1)
        x, a = (room[: maps.numel()].view(maps.shape).movedim(-1, 1) for room in self.room)
        x.copy_(maps.movedim(-1, 1))
        out = (a, *self.maps.mean.new_empty(2, 0))
        known = (self.maps.mean, self.maps.var, False, 0.0, self.eps)
        torch.native_batch_norm(x, self.scale, self.shift, *known, out=out)
        return x, a.relu_()

    def forward(self, norm: Any, y: Tensor) -> None:
        """Fill y (B, cout, *S); the norm's running statistics move as its own forward would move them."""
        mean, var, n, moved = self.maps.mean, self.maps.var, self.maps.count, share(norm)
        norm.running_mean.lerp_(mean, moved)
        norm.running_var.lerp_(var * (n / (n - 1)), moved)
        for part in self.parts():
            y[part] = self.conv.forward(self.activation(part)[1])

    def backward(self, dy: Tensor, gradient: Maps) -> list[Tensor | None]:
        """Gradients of scale, shift, weight and bias; those of the maps are added to `gradient`."""
        total, known = [], (self.maps.mean, self.maps.var, None, None, False, self.eps, [True] * 3)
        zero, rate = torch.zeros((), dtype=self.scale.dtype), (self.maps.var + self.eps).rsqrt()
        for part in self.parts():
            x, a = self.activation(part)
            da, *rest = self.conv.backward(dy[part], a)
            dx, *sums = torch.ops.aten.native_batch_norm_backward(da, x, self.scale, *known)
            gradient.values[part] += dx
            total.append([*sums, *rest])
        dscale, dshift, *rest = [None if t[0] is None else sum(t, zero) for t in zip(*total, strict=True)]
        gradient.mean.sub_(self.scale * rate * dshift)
        gradient.var.sub_(self.scale * rate**2 * dscale / 2)
        return [dscale, dshift, *rest]


class SecondStep:
    """Norm, ReLU, convolution of maps that no other layer sees: (B, cin, *S) -> (B, cout, *S)"""

    def __init__(self, x: Tensor, norm: Any, conv: Any, tensors: Sequence[Tensor]):
        self.scale, self.shift, *rest = tensors
        self.x, self.eps, self.conv = x, norm.eps, Conv(conv, x, *rest)

    def forward(self, norm: Any) -> Tensor:
        kept = (norm.running_mean, norm.running_var)
        y = torch.native_batch_norm(self.x, self.scale, self.shift, *kept, True, share(norm), self.eps)[0]
        return self.conv.forward(y.relu_())

    def backward(self, dy: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        """The gradient of the maps, and those of scale, shift, weight and bias"""
        how = (self.x, self.scale, self.shift, None, None, True, 0.0, self.eps)
        a, mean, rate = torch.native_batch_norm(*how)
        da, *rest = self.conv.backward(dy, a.relu_())
        known = (None, None, mean, rate, True, self.eps, [True] * 3)
        dx, *sums = torch.ops.aten.native_batch_norm_backward(da, self.x, self.scale, *known)
        return dx, [*sums, *rest]


class Grown(torch.autograd.Function):
    """Of x, the layers, and scale, shift, weight and bias of each step: all maps (B, cin + new, *S)"""

    @staticmethod
    def forward(ctx, x: Tensor, layers: list[Layer], *tensors: Tensor) -> Tensor:
        at, kept, given = x.shape[1], [], zip(*[iter(tensors)] * 4, strict=True)
        maps = empty(x, at + sum(layer.convs[-1].out_channels for layer in layers))
        maps.put(0, x)
        room = room_for(maps.values)
        # Made together: what stays, lying among what goes, leaves holes in the process's memory.
        inner = [empty(x, layer.convs[0].out_channels).values for layer in layers]
        for layer, y in zip(layers, inner, strict=True):
            first = FirstStep(maps.channels(0, at), room, layer.norms[0], layer.convs[0], next(given))
            first.forward(layer.norms[0], y)
            if len(layer.norms) > 1:
                kept.append(y)
                second = SecondStep(y, layer.norms[1], layer.convs[1], next(given))
                y = second.forward(layer.norms[1])
            if layer.dropout.p:
                kept.append(layer.dropout(torch.ones(y.shape, dtype=y.dtype)))
                y = y * kept[-1]
            maps.put(at, y)
            at += y.shape[1]
        ctx.layers, ctx.parameters = layers, len(tensors)
        ctx.save_for_backward(*maps, *tensors, *kept)
        return maps.values

    @staticmethod
    @once_differentiable
    def backward(ctx, *dy: Tensor) -> tuple[Tensor | None, ...]:
        values, mean, var, *rest = ctx.saved_tensors
        maps, at, found = Maps(values, mean, var), len(mean), []
        given, kept = list(zip(*[iter(rest[: ctx.parameters])] * 4, strict=True)), rest[ctx.parameters :]
        gradient, room = empty(values, at), room_for(values)
        gradient.values.copy_(dy[0])
        for layer in reversed(ctx.layers):
            stop, at = at, at - layer.convs[-1].out_channels
            d = through_statistics(gradient.channels(at, stop), maps.channels(at, stop))
            if layer.dropout.p:
                d *= kept.pop()
            if len(layer.norms) > 1:
                second = SecondStep(kept.pop(), layer.norms[1], layer.convs[1], given.pop())
                d, found[:0] = second.backward(d)
            first = FirstStep(maps.channels(0, at), room, layer.norms[0], layer.convs[0], given.pop())
            found[:0] = first.backward(d, gradient.channels(0, at))
        return through_statistics(gradient.channels(0, at), maps.channels(0, at)), None, *found


class Again(torch.autograd.Function):
    """Of x, a norm and a convolution, and scale, shift, weight and bias: the convolution of ReLU of the norm"""

    @staticmethod
    def forward(ctx, x: Tensor, norm: nn.Module, conv: nn.Module, *tensors: Tensor) -> Tensor:
        ctx.norm, ctx.conv = norm, conv
        ctx.save_for_backward(x, *tensors)
        return SecondStep(x, norm, conv, tensors).forward(norm)

    @staticmethod
    @once_differentiable
    def backward(ctx, *dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *tensors = ctx.saved_tensors
        dx, found = SecondStep(x, ctx.norm, ctx.conv, tensors).backward(packed(dy[0]))
        return dx, None, None, *found
