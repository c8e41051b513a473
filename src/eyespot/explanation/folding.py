"""Batch norms that are computed by the convolution before them: faster predictions, equal up to rounding."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def folded(network: nn.Module, x: Tensor) -> nn.Module:
    """A copy in evaluation mode, in which each batch norm that takes the output of a convolution is folded into it.

    Which do is seen from the images `x` (B, C, *S). Whoever uses the copy compares its results with the network's: that
    nothing else takes the convolution's output cannot be seen.
    """
    network = copy.deepcopy(network).eval()
    for conv, norm in _pairs(network, x):
        _fold(conv, norm)
        for module in network.modules():
            for name, child in module.named_children():
                if child is norm:
                    setattr(module, name, nn.Identity())
    return network


@torch.no_grad()
def _pairs(network: nn.Module, x: Tensor) -> list[tuple[Any, Any]]:
    """Convolutions, and the norms that take what they made; each of them called once"""
    made: dict[int, tuple[nn.Module, Tensor]] = {}
    pairs: list[tuple[Any, Any]] = []
    calls: list[nn.Module] = []

    def after_conv(module: nn.Module, _: Any, output: Tensor) -> None:
        calls.append(module)
        made[id(output)] = module, output

    def before_norm(module: Any, inputs: Any) -> None:
        calls.append(module)
        if id(inputs[0]) in made and module.running_mean is not None:
            pairs.append((made[id(inputs[0])][0], module))

    hooks = [m.register_forward_hook(after_conv) for m in network.modules() if type(m) in CONVOLUTIONS]
    hooks += [m.register_forward_pre_hook(before_norm) for m in network.modules() if type(m) in NORMS]
    try:
        network(x)
    finally:
        for hook in hooks:
            hook.remove()
    return [(conv, norm) for conv, norm in pairs if calls.count(conv) == calls.count(norm) == 1]


@torch.no_grad()
def _fold(conv: Any, norm: Any) -> None:
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = nn.Parameter(bias, requires_grad=False)
