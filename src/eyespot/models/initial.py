"""The weights before training: He by default, so that a signal keeps its variance however deep the network."""

from math import prod, sqrt

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd as Conv  # of any rank, transposed ones included
from torch.nn.modules.conv import _ConvTransposeNd as Up

from eyespot.errors import UserError


@torch.no_grad()
def initialise(model: nn.Module, how: str) -> None:
    """Set every convolution and dense layer, in place.

    "he"         normal, variance 2 / (values summed), which a ReLU halves again (He et al. 2015); no 2 where no
                 ReLU follows: the last layer, and transposed convolutions
    "dirac"      the same, then each convolution passes its input on to its first outputs (Zagoruyko 2017)
    "zero_last"  the same, and each residual block starts as its shortcut (Goyal et al. 2017)
    """
    layers = [m for m in model.modules() if isinstance(m, (Conv, nn.Linear))]
    for layer in layers:
        linear = layer is layers[-1] or isinstance(layer, Up)
        nn.init.normal_(layer.weight, std=sqrt((1 if linear else 2) / summed(layer)))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        if how == "dirac" and isinstance(layer, Conv) and not linear:
            nn.init.dirac_(layer.weight[: layer.weight.shape[1]])
    if how == "zero_last":
        for scale in last_scales(model):
            nn.init.zeros_(scale)


def summed(layer: Conv | nn.Linear) -> float:
    """How many products are added to make one output value (the fan-in)."""
    if isinstance(layer, Up):  # (cin, cout, *size): each output meets one kernel value in stride
        return layer.weight.shape[0] * prod(layer.kernel_size) / prod(layer.stride)
    return prod(layer.weight.shape[1:])


def last_scales(model: nn.Module) -> list[Tensor]:
    """The scale of the norm that ends each residual block; a block names that norm in its attribute `last_norm`."""
    norms = [getattr(block, str(block.last_norm)) for block in model.modules() if hasattr(block, "last_norm")]
    scales = [getattr(norm, "weight", None) for norm in norms]
    present = [scale for scale in scales if scale is not None]
    if not scales or len(present) < len(scales):
        raise UserError(
            f"init 'zero_last' needs residual blocks that end in a norm with a scale; this {type(model).__name__} "
            "has none (init 'he' and 'dirac' need neither)"
        )
    return present
