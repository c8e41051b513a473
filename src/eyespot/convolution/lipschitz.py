"""An upper bound on how much a chain of torch layers can stretch a difference between two inputs, in the 2-norm."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, prod, sqrt
from typing import Any

import numpy as np
import torch
from torch import nn

from eyespot.convolution.edges import sources
from eyespot.convolution.spectrum import spectral_norm
from eyespot.errors import UserError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
MEAN_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
GLOBAL_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
SLOPES = {  # the steepest slope of each activation
    nn.Identity: 1, nn.Flatten: 1, nn.Dropout: 1, nn.Dropout2d: 1, nn.Dropout3d: 1, nn.ReLU: 1, nn.ReLU6: 1,
    nn.Tanh: 1, nn.Sigmoid: 0.25, nn.Softplus: 1, nn.SiLU: 1.09984, nn.GELU: 1.12905, nn.Softmax: 1, nn.LogSoftmax: 2,
}  # fmt: skip


@dataclass(frozen=True)
class Lipschitz:
    """|f(x) - f(y)| <= bound |x - y| in the 2-norm, and the factor that each layer contributes, by name."""

    bound: float
    layers: dict[str, float]


def lipschitz_bound(model: nn.Module, shape: tuple[int, ...]) -> Lipschitz:
    """The product of the layers' norms, for one input of `shape` (C, *S) to a model in evaluation mode.

    It covers nn.Sequential, nested too, of convolutions (any padding), transposed ones (zero padding), linear layers,
    batch norms with running statistics, max and average pooling, and activations without parameters; all else is
    refused. A convolution padded with zeros is bounded by the circular one on the padded grid (Sedghi et al. 2019),
    of which it is a part; another padding adds the square root of how often one sample is repeated.
    """
    factors: dict[str, float] = {}
    size = (1, *shape)
    for name, layer in leaves(model, ""):
        rule, before = rule_of(layer, name), size
        size = size_after(layer, name, size)
        factors[name] = float(rule(layer, before[2:], size[2:]))
    return Lipschitz(prod(factors.values()), factors)


def leaves(model: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a chain in order, with their dotted names."""
    if not isinstance(model, nn.Sequential):
        yield name or type(model).__name__, model
        return
    for child, layer in model.named_children():
        yield from leaves(layer, f"{name}.{child}" if name else child)


def rule_of(layer: nn.Module, name: str) -> Callable[[Any, tuple[int, ...], tuple[int, ...]], float]:
    """The function of a layer and its spatial axes before and after that bounds its norm."""
    if type(layer) in SLOPES:
        return lambda *_: SLOPES[type(layer)]
    for kinds, rule in RULES:
        if type(layer) in kinds:
            return rule
    raise UserError(
        f"no bound is known for layer {name}, a {type(layer).__name__}: lipschitz_bound covers nn.Sequential chains of "
        "convolutions, linear layers, batch norms, pooling and activations"
    )


def size_after(layer: nn.Module, name: str, size: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a layer makes of a batch of shape `size`, without computing it."""
    if isinstance(layer, (*NORMS, nn.Dropout)):
        return size
    weights = {key: value.to("meta") for key, value in layer.state_dict().items()}
    try:
        return tuple(torch.func.functional_call(layer, weights, (torch.empty(size, device="meta"),)).shape)
    except RuntimeError as error:
        raise UserError(f"layer {name} does not take an input of shape {size[1:]}: {error}") from error


def convolution(layer, size: tuple[int, ...], out: tuple[int, ...]) -> float:
    """The norm of the circular convolution on a grid that holds the padded image, times that of the padding."""
    ends = [
        (r // 2, r - r // 2)
        for r in (d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
    ]
    if not isinstance(layer.padding, str):
        ends = [(p, p) for p in layer.padding]
    elif layer.padding == "valid":
        ends = [(0, 0)] * len(size)
    grid = [ceil((n + sum(e)) / s) * s for n, e, s in zip(size, ends, layer.stride, strict=True)]
    repeated = 1.0
    if layer.padding_mode != "zeros":
        circles = zip(size, out, layer.stride, ends, layer.dilation, layer.kernel_size, strict=True)
        if layer.padding_mode == "circular" and all(
            o * s == n and sum(e) == d * (k - 1) for n, o, s, e, d, k in circles
        ):
            grid = list(size)
        else:
            copies = [sources(n, *e, layer.padding_mode) for n, e in zip(size, ends, strict=True)]
            repeated = prod(np.bincount(c).max() for c in copies)
    how = {"stride": tuple(layer.stride), "dilation": tuple(layer.dilation), "groups": layer.groups}
    return spectral_norm(layer.weight, grid, **how) * sqrt(repeated)


def transposed(layer, size: tuple[int, ...], out: tuple[int, ...]) -> float:
    """The norm of the convolution that it is the transpose of, from its padded output to its input."""
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    grid = [ceil(((n - 1) * s + r + 1) / s) * s for n, s, r in zip(size, layer.stride, reach, strict=True)]
    how = {"stride": tuple(layer.stride), "dilation": tuple(layer.dilation), "groups": layer.groups}
    return spectral_norm(layer.weight, grid, **how)


def linear(layer: nn.Linear, *_) -> float:
    return float(torch.linalg.matrix_norm(layer.weight.detach().double(), 2))


def batch_norm(layer, *_) -> float:
    if layer.running_var is None:
        raise UserError(
            "a batch norm without running statistics has no bound: its scale follows from the batch"
        )
    scale = (layer.running_var.detach() + layer.eps).rsqrt()
    return float((scale if layer.weight is None else scale * layer.weight.detach().abs()).max())


def max_pool(layer, size: tuple[int, ...], _) -> float:
    """The square root of the number of windows that one sample may win."""
    kernel, stride, dilation = (
        spread(v, len(size)) for v in (layer.kernel_size, layer.stride, layer.dilation)
    )
    return sqrt(prod(ceil(k / s) if d == 1 else k for k, s, d in zip(kernel, stride, dilation, strict=True)))


def mean_pool(layer, size: tuple[int, ...], _) -> float:
    """The square root of the largest column sum; every row sums to at most 1 (Schur's test)."""
    if layer.ceil_mode or getattr(layer, "divisor_override", None):
        raise UserError("average pooling with ceil_mode or divisor_override has no bound here")
    kernel, stride, padding = (spread(v, len(size)) for v in (layer.kernel_size, layer.stride, layer.padding))
    edge = 0 if layer.count_include_pad else 1
    return sqrt(prod(ceil(k / s) / (k - edge * p) for k, s, p in zip(kernel, stride, padding, strict=True)))


def global_pool(layer, size: tuple[int, ...], out: tuple[int, ...]) -> float:
    if any(n % m for n, m in zip(size, out, strict=True)):
        raise UserError(f"adaptive pooling of {size} to {out} has no bound here: its windows differ in size")
    return sqrt(prod(out) / prod(size))


def leaky(layer, *_) -> float:
    return max(1.0, abs(layer.negative_slope if isinstance(layer, nn.LeakyReLU) else layer.alpha))


def prelu(layer: nn.PReLU, *_) -> float:
    return max(1.0, float(layer.weight.detach().abs().max()))


def spread(value: int | tuple[int, ...], dim: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * dim


RULES = (
    (CONVOLUTIONS, convolution), (TRANSPOSED, transposed), ((nn.Linear,), linear), (NORMS, batch_norm),
    (MAX_POOLS, max_pool), (MEAN_POOLS, mean_pool), (GLOBAL_POOLS, global_pool), ((nn.LeakyReLU, nn.ELU), leaky),
    ((nn.PReLU,), prelu),
)  # fmt: skip
