"""A dense block in training without its waste: one buffer, statistics once per map, activations made again.

Written plainly, layer i copies the maps of every layer before it, takes their statistics again, and keeps three
tensors of that size for the backward pass. Here all maps lie in one buffer, channels last; the mean and variance of
each are taken when it is made; and the backward pass makes the activations again (`dense_steps.py`). Parameters,
results and running statistics are those of the plain form.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from eyespot.fast.allocator import physical_memory
from eyespot.fast.norms import NORMS, heard
from eyespot.models.dense_fused import first_step, second_step
from eyespot.models.dense_steps import Maps, empty, packed, room_for

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
KNOWN = {*NORMS, *CONVS, nn.ReLU, nn.Dropout}


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
    alone = x.numel() == x.shape[1]  # one value per map has no variance, which the norm says best
    if not parts or any(map(heard, parts)) or alone or not all(fits(part, x) for part in parts):
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


class Grown(torch.autograd.Function):
    """Of x, the layers, and scale, shift, weight and bias of each step: all maps (B, cin + new, *S)"""

    @staticmethod
    def forward(ctx, x: Tensor, layers: list[Layer], *tensors: Tensor) -> Tensor:
        at, kept, given = x.shape[1], [], zip(*[iter(tensors)] * 4, strict=True)
        maps = empty(x, at + sum(layer.convs[-1].out_channels for layer in layers))
        maps.load_strict(0, x)
        room = room_for(maps.values)
        # Made together: what stays, lying among what goes, leaves holes in the process's memory.
        inner = [empty(x, layer.convs[0].out_channels).values for layer in layers]
        for layer, y in zip(layers, inner, strict=True):
            first = first_step(maps.channels(0, at), room, layer.norms[0], layer.convs[0], next(given))
            first.forward(layer.norms[0], y)
            if len(layer.norms) > 1:
                second = second_step(y, layer.norms[1], layer.convs[1], next(given))
                y, known = second.forward(layer.norms[1])
                kept += [second.x, known]
            if layer.dropout.p:
                kept.append(layer.dropout(torch.ones(y.shape, dtype=y.dtype)))
                y = y * kept[-1]
            maps.load_strict(at, y)
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
            d = gradient.channels(at, stop).whole(maps.channels(at, stop))
            if layer.dropout.p:
                d *= kept.pop()
            if len(layer.norms) > 1:
                *kept, x, known = kept
                second = second_step(x, layer.norms[1], layer.convs[1], given.pop())
                d, found[:0] = second.backward(d, known)
            first = first_step(maps.channels(0, at), room, layer.norms[0], layer.convs[0], given.pop())
            found[:0] = first.backward(d, gradient.channels(0, at))
        return gradient.channels(0, at).whole(maps.channels(0, at)), None, *found


class Again(torch.autograd.Function):
    """Of x, a norm and a convolution, and scale, shift, weight and bias: the convolution of ReLU of the norm"""

    @staticmethod
    def forward(ctx, x: Tensor, norm: nn.Module, conv: nn.Module, *tensors: Tensor) -> Tensor:
        ctx.norm, ctx.conv = norm, conv
        y, known = second_step(x, norm, conv, tensors).forward(norm)
        ctx.save_for_backward(x, known, *tensors)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, *dy: Tensor) -> tuple[Tensor | None, ...]:
        x, known, *tensors = ctx.saved_tensors
        dx, found = second_step(x, ctx.norm, ctx.conv, tensors).backward(packed(dy[0]), known)
        return dx, None, None, *found
