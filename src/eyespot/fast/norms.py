"""Batch norm, activation and max-pooling in training, in few passes over memory; PyTorch's own where that cannot be.

Where a hook listens to a layer, the layer itself is called, so that the hook sees what it makes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from eyespot.fast.compiled import Passes, passes, pooling_passes

POOLS = (nn.MaxPool2d, nn.MaxPool3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def heard(module: nn.Module) -> bool:
    """Whether a hook listens to a layer."""
    return any(getattr(module, hooks) for hooks in HOOKS)


def fuses(relu: nn.Module) -> bool:
    """Whether a layer is PyTorch's ReLU and no hook listens to it, so that compiled passes may compute it."""
    return type(relu) is nn.ReLU and not heard(relu)


def norm_gelu(norm: nn.Module, x: Tensor) -> Tensor:
    """GELU(norm(x)): maps (B, C, *S) -> the same shape"""
    compiled = passes_for(norm, x, "gelu")
    return F.gelu(norm(x)) if compiled is None else norm_act(norm, x, None, compiled)


def gelu(x: Tensor) -> Tensor:
    """GELU of maps (B, C, *S)"""
    learns = x.requires_grad and torch.is_grad_enabled()
    compiled = None if learns else usable_passes(None, x, "gelu")
    if compiled is None:
        return F.gelu(x)
    identity = torch.zeros(5, x.shape[1])
    identity[3] = 1
    y = torch.empty_like(x)
    compiled.norm_act(rows(x), identity, rows(y))
    return y


def norm_relu(
    norm: nn.Module, x: Tensor, added: Tensor | None = None, relu: nn.Module | None = None
) -> Tensor:
    """ReLU(norm(x)), or ReLU(norm(x) + added): maps (B, C, *S) -> the same shape. The inputs are not changed.

    relu   the network's own layer, which is called where a hook listens to it or where it was replaced
    """
    compiled = passes_for(norm, x) if relu is None or fuses(relu) else None
    if compiled is None or not (added is None or added.dtype == x.dtype):
        y = norm(x)
        y = y if added is None else y.add_(added)
        return y.relu_() if relu is None else relu(y)
    if added is not None:
        added = added.contiguous(memory_format=LAYOUTS[x.dim()])
    return norm_act(norm, x, added, compiled)


def norm_act(norm: Any, x: Tensor, added: Tensor | None, compiled: Passes) -> Tensor:
    """act(norm(x) + added) by compiled passes"""
    return NormAct.apply(x, norm.weight, norm.bias, added, norm, compiled)


def max_pool(pool: Any, x: Tensor) -> Tensor:
    """pool(x) for maps (B, C, *S), faster where windows are 2 wide and do not overlap"""
    plain = type(pool) in POOLS and {pool.kernel_size, pool.stride} == {2} and not pool.padding
    compiled = usable_passes(pool, x, "") if plain and pool.dilation == 1 and not pool.ceil_mode else None
    return pool(x) if compiled is None or min(x.shape[2:]) < 2 else Pool.apply(x, compiled)


def usable_passes(layer: nn.Module | None, x: Tensor, act: str = "relu") -> Passes | None:
    """The compiled passes, if they may replace a layer: in training, on a CPU, channels last, without hooks.

    act   the activation; empty for passes without one
    """
    layout = LAYOUTS.get(x.dim())
    if x.device.type != "cpu" or layout is None or (layer and (heard(layer) or not layer.training)):
        return None
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return None
    if not x.is_contiguous(memory_format=layout):
        return None
    return passes(x.dtype, act) if act else pooling_passes(x.dtype)


def passes_for(norm: Any, x: Tensor, act: str = "relu") -> Passes | None:
    """The compiled passes, if they may replace this norm."""
    compiled = usable_passes(norm, x, act) if type(norm) in NORMS else None
    if compiled is None:
        return None
    several = x.numel() > x.shape[1]  # one value per map has no variance: the norm's own error says it best
    plain = norm.affine and norm.weight.dtype == torch.float32 and norm.running_mean is not None
    return compiled if several and plain else None


class Chain(nn.Sequential):
    """Layers after each other; a norm and the ReLU behind it are computed together, where they can be."""

    def forward(self, x: Tensor) -> Tensor:
        layers = list(self)
        while layers:
            layer, *layers = layers
            following = layers[0] if layers else None
            compiled = passes_for(layer, x) if following and fuses(following) else None
            if compiled is not None:
                x = norm_act(layer, x, None, compiled)
                layers = layers[1:]
            else:
                x = max_pool(layer, x) if type(layer) in POOLS else layer(x)
        return x


def rows(maps: Tensor) -> Tensor:
    """(B, C, *S), channels last -> (B * S, C), the same values"""
    return maps.movedim(1, -1).view(-1, maps.shape[1])


class NormAct(torch.autograd.Function):
    """Compute act(norm(x) + added). Inputs: maps, scale, shift, the added maps or None, the norm and the passes"""

    @staticmethod
    def forward(
        ctx, x: Tensor, scale: Tensor, shift: Tensor, added: Tensor | None, norm: Any, compiled: Passes
    ):
        flat = rows(x)
        y = torch.empty_like(x)
        known = compiled.moments(flat)
        compiled.update_running(norm, known[0], known[1], len(flat))
        compiled.coefficients(known, scale, shift, norm.eps)
        compiled.norm_act(flat, known, rows(y), None if added is None else rows(added))
        ctx.compiled = compiled
        ctx.save_for_backward(x, known, *(() if added is None else (y,)))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients: Tensor) -> Any:
        x, known, *output = ctx.saved_tensors
        dy = gradients[0].contiguous(memory_format=LAYOUTS[x.dim()])
        dx = torch.empty_like(x)
        flat = rows(x)
        if output:
            dz = torch.empty_like(dy)  # of norm(x) + added
            grads = ctx.compiled.backward_reduce_added(rows(dy), flat, rows(output[0]), known, rows(dz))
        else:
            dz = dy
            grads = ctx.compiled.backward_reduce(rows(dy), flat, known)
        ctx.compiled.backward_input(rows(dz), flat, known, grads, bool(output), rows(dx))
        dshift, dscale = grads
        return dx, dscale, dshift, dz if output else None, None, None


class Pool(torch.autograd.Function):
    """The largest of windows 2 wide; inputs: maps (B, C, *S) and the passes"""

    @staticmethod
    def forward(ctx, x: Tensor, compiled: Passes):
        y = x.new_empty(len(x), *(n // 2 for n in x.shape[2:]), x.shape[1]).movedim(-1, 1)
        maps, window = with_depth(x)
        compiled.max_pool(maps, window, with_depth(y)[0])
        ctx.compiled = compiled
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients: Tensor) -> Any:
        x, y = ctx.saved_tensors
        dy = gradients[0].contiguous(memory_format=LAYOUTS[x.dim()])
        dx = torch.empty_like(x)
        maps, window = with_depth(x)
        ctx.compiled.max_pool_backward(with_depth(dy)[0], maps, with_depth(y)[0], window, with_depth(dx)[0])
        return dx, None


def with_depth(maps: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """(B, C, *S) -> (B, D, H, W, C), and the window of 2 along each axis that there is"""
    last = maps.movedim(1, -1)
    return (last, (2, 2, 2)) if maps.dim() == 5 else (last.unsqueeze(1), (1, 2, 2))
