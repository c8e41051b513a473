"""The steps of a dense block's layers, norm, ReLU and convolution, each with a backward pass that makes the activations again.

Maps are (B, C, *S), channels last. Steps that see many maps work on a few at a time, which stay in the processor's cache.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from eyespot.fast.compiled import share

AT_ONCE = 2**22
"""Bytes of maps worked on at once, image by image, which a processor's cache holds"""
NEAR = 2**20
"""The same where they may be cut anywhere: what lies nearer to the cores"""


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

    def load_strict(self, start: int, values: Tensor) -> None:
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

    def whole(self, maps: "Maps") -> Tensor:
        """Of these gradients: that of the maps (B, C, *S), their own and what comes by way of their mean and variance"""
        level, slope = self.mean / maps.count, self.var * (2 / maps.count)
        known = (maps.mean, torch.ones_like(slope), False, 0.0, 0.0)
        return torch.native_batch_norm(packed(maps.values), slope, level, *known)[0].add_(self.values)


def packed(maps: Tensor) -> Tensor:
    """Channels last and without gaps, where torch's norms are quickest"""
    return maps.contiguous(memory_format=torch.channels_last if maps.dim() == 4 else torch.channels_last_3d)


def empty(like: Tensor, channels: int) -> Maps:
    """(B, channels, *S) in which the channels of one position are neighbours, yet to be filled"""
    values = like.new_empty(len(like), *like.shape[2:], channels).movedim(-1, 1)
    return Maps(values, *torch.zeros(2, channels, dtype=torch.promote_types(like.dtype, torch.float32)))


class Conv:
    """A convolution's parameters in the type of maps x, and how it reaches past the edges"""

    def __init__(self, conv: Any, x: Tensor, weight: Tensor, bias: Tensor | None):
        self.padding = [0] * (x.dim() - 2 - len(conv.padding)) + list(conv.padding)
        self.weight, self.bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        self.mode, one, zero = conv.padding_mode, [1] * len(self.padding), [0] * len(self.padding)
        own = self.padding if self.mode == "zeros" else zero
        # stride, padding, dilation, transposed, its padding, groups
        self.how = (one, own, one, False, zero, 1)

    def beyond(self, a: Tensor) -> Tensor:
        """Continued past the edges, where the convolution does not do it"""
        edge = [n for p in reversed(self.padding) for n in (p, p)]
        return a if self.mode == "zeros" else F.pad(a, edge, self.mode)

    def forward(self, a: Tensor) -> Tensor:
        return torch.convolution(self.beyond(a), self.weight, self.bias, *self.how)

    def backward(self, dy: Tensor, a: Tensor) -> tuple[Tensor, ...]:
        """Gradients of a, of the weight and of the bias"""
        with torch.enable_grad():
            inside = a.detach().requires_grad_()
            seen = self.beyond(inside)
        wanted, sizes = [True, True, self.bias is not None], [len(self.weight)]
        back = torch.ops.aten.convolution_backward
        da, dweight, dbias = back(dy, seen.detach(), self.weight, sizes, *self.how, wanted)
        if self.mode != "zeros":
            (da,) = torch.autograd.grad(seen, inside, da)
        return packed(da), dweight, dbias


def masked(da: Tensor, a: Tensor) -> Tensor:
    """In place: da where a is above 0, as ReLU passes on"""
    return torch.ops.aten.threshold_backward.grad_input(da, a, 0, grad_input=da)


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
        self.count(norm)
        self.fill(y)

    def count(self, norm: Any) -> None:
        mean, var, n, moved = self.maps.mean, self.maps.var, self.maps.count, share(norm)
        norm.running_mean.lerp_(mean, moved)
        norm.running_var.lerp_(var * (n / (n - 1)), moved)

    def fill(self, y: Tensor) -> None:
        for part in self.parts():
            y[part] = self.conv.forward(self.activation(part)[1])

    def backward(self, dy: Tensor, gradient: Maps) -> list[Tensor | None]:
        """Gradients of scale, shift, weight and bias; those of the maps are added to `gradient`."""
        total, known = [], (self.maps.mean, self.maps.var, None, None, False, self.eps, [True] * 3)
        zero = torch.zeros((), dtype=self.scale.dtype)
        for part in self.parts():
            x, a = self.activation(part)
            da, *rest = self.conv.backward(dy[part], a)
            dx, *sums = torch.ops.aten.native_batch_norm_backward(masked(da, a), x, self.scale, *known)
            gradient.values[part] += dx
            total.append([*sums, *rest])
        dscale, dshift, *rest = [None if t[0] is None else sum(t, zero) for t in zip(*total, strict=True)]
        self.through(dscale, dshift, gradient)
        return [dscale, dshift, *rest]

    def through(self, dscale: Any, dshift: Any, gradient: Maps) -> None:
        """Add the gradients of the maps' mean and variance."""
        rate = (self.maps.var + self.eps).rsqrt()
        gradient.mean.sub_(self.scale * rate * dshift)
        gradient.var.sub_(self.scale * rate**2 * dscale / 2)


class PointStep(FirstStep):
    """The same for a 1-wide convolution in float32: products of matrices, some positions (N, cin) at a time"""

    def __init__(self, maps: Maps, room: Tensor, norm: Any, conv: Any, tensors: Sequence[Tensor]):
        super().__init__(maps, room, norm, conv, tensors)
        self.weight, self.rate = self.conv.weight.flatten(1), (maps.var + self.eps).rsqrt()
        self.slope = self.scale * self.rate
        self.level = self.shift - maps.mean * self.slope

    def split(self, *maps: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """The step's maps and others (B, *, *S), the same positions of each"""
        whole = [part.movedim(1, -1).flatten(0, -2) for part in (self.maps.values, *maps)]
        n = min(NEAR // whole[0].itemsize, self.room.shape[1]) // len(self.rate) or 1
        return zip(*(part.split(n) for part in whole), strict=True)

    def seen(self, x: Tensor) -> Tensor:
        """What the convolution sees of maps (N, cin), until the next are seen"""
        return torch.addcmul(self.level, x, self.slope, out=self.room[0, : x.numel()].view(x.shape)).relu_()

    def fill(self, y: Tensor) -> None:
        for x, part in self.split(y):
            torch.mm(self.seen(x), self.weight.T, out=part)

    def backward(self, dy: Tensor, gradient: Maps) -> list[Tensor | None]:
        dweight, (dscale, dshift) = torch.zeros_like(self.weight), self.maps.mean.new_zeros(2, len(self.rate))
        for x, back, dx in self.split(dy, gradient.values):
            a, da = self.seen(x), self.room[1, : x.numel()].view(x.shape)
            dweight.addmm_(back.T, a)
            torch.mm(back, self.weight, out=da)
            dx.addcmul_(masked(da, a), self.slope)
            dshift += da.sum(0)
            dscale += torch.sub(x, self.maps.mean, out=a).mul_(da).sum(0)
        dscale *= self.rate
        self.through(dscale, dshift, gradient)
        return [dscale, dshift, dweight.view(self.conv.weight.shape), None]


class SecondStep:
    """Norm, ReLU, convolution of maps that no other layer sees: (B, cin, *S) -> (B, cout, *S)"""

    def __init__(self, x: Tensor, norm: Any, conv: Any, tensors: Sequence[Tensor]):
        self.scale, self.shift, *rest = tensors
        self.x, self.eps, self.conv = x, norm.eps, Conv(conv, x, *rest)

    def forward(self, norm: Any) -> tuple[Tensor, Tensor]:
        """Also the mean of x and one over its deviation (2, cin), for the backward pass"""
        kept = (norm.running_mean, norm.running_var)
        how = (self.x, self.scale, self.shift, *kept, True, share(norm), self.eps)
        y, mean, rate = torch.native_batch_norm(*how)
        return self.conv.forward(y.relu_()), torch.stack([mean, rate])

    def backward(self, dy: Tensor, known: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        """The gradient of the maps, and those of scale, shift, weight and bias"""
        mean, rate = known
        given = (mean, rate**-2 - self.eps, False, 0.0, self.eps)
        a = torch.native_batch_norm(self.x, self.scale, self.shift, *given)[0].relu_()
        da, *rest = self.conv.backward(dy, a)
        taken = (None, None, mean, rate, True, self.eps, [True] * 3)
        dx, *sums = torch.ops.aten.native_batch_norm_backward(masked(da, a), self.x, self.scale, *taken)
        return dx, [*sums, *rest]
