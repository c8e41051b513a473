"""Batch norm and ReLU in training, fused: what a network's layers call, and torch's own where they cannot be."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from eyespot.fast.compiled import Passes, passes

POOLS = (nn.MaxPool2d, nn.MaxPool3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def heard(module: nn.Module) -> bool:
    """Whether somebody listens to what a layer makes."""
    return any(getattr(module, hooks) for hooks in HOOKS)


def norm_gelu(norm: nn.Module, x: Tensor) -> Tensor:
    """GELU(norm(x)): maps (B, C, *S) -> the same shape"""
    compiled = passes_for(norm, x, "gelu")
    return F.gelu(norm(x)) if compiled is None else normed(norm, x, None, compiled)


def gelu(x: Tensor) -> Tensor:
    """GELU of maps (B, C, *S)"""
    compiled = None if x.requires_grad and torch.is_grad_enabled() else passes_where(None, x, "gelu")
    if compiled is None:
        return F.gelu(x)
    known = torch.zeros(5, x.shape[1])
    known[3] = 1
    y = torch.empty_like(x)
    compiled.apply(rows(x), known, rows(y))
    return y


def norm_relu(norm: nn.Module, x: Tensor, more: Tensor | None = None) -> Tensor:
    """ReLU(norm(x)), or ReLU(norm(x) + more): maps (B, C, *S) -> the same shape. Neither x nor `more` is changed."""
    compiled = passes_for(norm, x)
    if compiled is None or not (more is None or more.dtype == x.dtype):
        y = norm(x)
        return (y if more is None else y.add_(more)).relu_()
    if more is not None:
        more = more.contiguous(memory_format=LAYOUTS[x.dim()])
    return normed(norm, x, more, compiled)


def normed(norm: Any, x: Tensor, more: Tensor | None, compiled: Passes) -> Tensor:
    return NormAct.apply(x, norm.weight, norm.bias, more, norm, compiled)


def max_pool(pool: Any, x: Tensor) -> Tensor:
    """What the layer `pool` makes of maps (B, C, *S), quicker where its windows lie beside each other, 2 wide"""
    plain = type(pool) in POOLS and {pool.kernel_size, pool.stride} == {2} and not pool.padding
    compiled = passes_where(pool, x) if plain and pool.dilation == 1 and not pool.ceil_mode else None
    return pool(x) if compiled is None or min(x.shape[2:]) < 2 else Pool.apply(x, compiled)


def passes_where(layer: nn.Module | None, x: Tensor, act: str = "relu") -> Passes | None:
    """The compiled passes, if they may stand for a layer: in training, on a processor, channels last, heard by nobody."""
    layout = LAYOUTS.get(x.dim())
    if x.device.type != "cpu" or layout is None or (layer and (heard(layer) or not layer.training)):
        return None
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return None
    return passes(x.dtype, act) if x.is_contiguous(memory_format=layout) else None


def passes_for(norm: Any, x: Tensor, act: str = "relu") -> Passes | None:
    """The compiled passes, where they can stand for this norm."""
    compiled = passes_where(norm, x, act) if type(norm) in NORMS else None
    if compiled is None:
        return None
    several = x.numel() > x.shape[1]  # one value per map has no variance, which the norm says best
    plain = norm.affine and norm.weight.dtype == torch.float32 and norm.running_mean is not None
    return compiled if several and plain else None


class Chain(nn.Sequential):
    """Layers after each other; a norm and the ReLU behind it are taken at once, and pools, where they can be."""

    def forward(self, x: Tensor) -> Tensor:
        layers = list(self)
        while layers:
            layer, *layers = layers
            then = layers[0] if layers else None
            fusing = passes_for(layer, x) if type(then) is nn.ReLU and not heard(then) else None
            if fusing is not None:
                x, layers = normed(layer, x, None, fusing), layers[1:]
            else:
                x = max_pool(layer, x) if type(layer) in POOLS else layer(x)
        return x


def rows(maps: Tensor) -> Tensor:
    """(B, C, *S), channels last -> (B * S, C), the same values"""
    return maps.movedim(1, -1).view(-1, maps.shape[1])


class NormAct(torch.autograd.Function):
    """Of maps, scale, shift, what is added or None, the norm and the passes: act of the norm and what is added"""

    @staticmethod
    def forward(
        ctx, x: Tensor, scale: Tensor, shift: Tensor, more: Tensor | None, norm: Any, compiled: Passes
    ):
        flat, y = rows(x), torch.empty_like(x)
        known = compiled.known(flat)
        compiled.count(norm, known[0], known[1], len(flat))
        compiled.prepare(known, scale, shift, norm.eps)
        compiled.apply(flat, known, rows(y), None if more is None else rows(more))
        ctx.compiled = compiled
        ctx.save_for_backward(x, known, *(() if more is None else (y,)))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients: Tensor) -> Any:
        x, known, *y = ctx.saved_tensors
        dy = gradients[0].contiguous(memory_format=LAYOUTS[x.dim()])
        dx, dz, flat = torch.empty_like(x), dy, rows(x)
        if y:
            dz = torch.empty_like(dy)
            found = ctx.compiled.sums_added(rows(dy), flat, rows(y[0]), known, rows(dz))
        else:
            found = ctx.compiled.sums(rows(dy), flat, known)
        ctx.compiled.through(rows(dz), flat, known, found, bool(y), rows(dx))
        return dx, found[1], found[0], dz if y else None, None, None


class Pool(torch.autograd.Function):
    """Of maps (B, C, *S) and the passes: the largest of windows 2 wide"""

    @staticmethod
    def forward(ctx, x: Tensor, compiled: Passes):
        y = x.new_empty(len(x), *(n // 2 for n in x.shape[2:]), x.shape[1]).movedim(-1, 1)
        compiled.pool(*boxes(x), boxes(y)[0])
        ctx.compiled = compiled
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients: Tensor) -> Any:
        x, y = ctx.saved_tensors
        dy, dx = gradients[0].contiguous(memory_format=LAYOUTS[x.dim()]), torch.empty_like(x)
        maps, window = boxes(x)
        ctx.compiled.pool_back(boxes(dy)[0], maps, boxes(y)[0], window, boxes(dx)[0])
        return dx, None


def boxes(maps: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """(B, C, *S) -> (B, D, H, W, C), and the window of 2 along each axis that there is"""
    last = maps.movedim(1, -1)
    return (last, (2, 2, 2)) if maps.dim() == 5 else (last.unsqueeze(1), (1, 2, 2))
