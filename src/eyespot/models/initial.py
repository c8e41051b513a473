"""The weights before training: He by default, so that a signal keeps its variance however deep the network."""

from math import prod, sqrt

import torch
from torch import nn

from eyespot.errors import UserError

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
UPS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@torch.no_grad()
def initialise(model: nn.Module, how: str) -> None:
    """Set every convolution and dense layer, in place.

    "he"         normal, variance 2 / (values summed), which a ReLU halves again (He et al. 2015); no 2 where no
                 ReLU follows: the last layer, and transposed convolutions
    "dirac"      the same, then each convolution passes its input on to its first outputs (Zagoruyko 2017)
    "zero_last"  the same, and each residual block starts as its shortcut (Goyal et al. 2017)
    """
    layers = [m for m in model.modules() if isinstance(m, (*CONVS, *UPS, nn.Linear))]
    for layer in layers:
        linear = layer is layers[-1] or isinstance(layer, UPS)
        nn.init.normal_(layer.weight, std=sqrt((1 if linear else 2) / summed(layer)))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        if how == "dirac" and isinstance(layer, CONVS) and layer is not layers[-1]:
            nn.init.dirac_(layer.weight[: layer.weight.shape[1]])
    if how == "zero_last":
        for norm in last_norms(model):
            nn.init.zeros_(norm.weight)


def summed(layer: nn.Module) -> float:
    """How many products are added to make one output value (the fan-in)."""
    if isinstance(layer, UPS):  # (cin, cout, *size): each output meets one kernel value in stride
        return layer.weight.shape[0] * prod(layer.kernel_size) / prod(layer.stride)
    return prod(layer.weight.shape[1:])


def last_norms(model: nn.Module) -> list[nn.Module]:
    """The norm that ends each residual block; a block names it in its attribute `last`."""
    norms = [getattr(m, m.last) for m in model.modules() if hasattr(m, "last")]
    if not norms or any(getattr(norm, "weight", None) is None for norm in norms):
        raise UserError(
            f"init 'zero_last' needs residual blocks that end in a norm with a scale; this {type(model).__name__} "
            "has none (init 'he' and 'dirac' need neither)"
        )
    return norms
