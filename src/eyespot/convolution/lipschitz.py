"""An upper bound on how much a chain of torch layers can stretch a difference between two inputs, in the 2-norm."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod, sqrt

import numpy as np
import torch
from torch import nn

from eyespot.convolution.padding import source_indices
from eyespot.convolution.spectrum import spectral_norm
from eyespot.errors import UserError

SLOPES = {
    "Identity": 1,
    "Flatten": 1,
    "Dropout": 1,
    "ReLU": 1,
    "ReLU6": 1,
    "Tanh": 1,
    "Sigmoid": 0.25,
    "Softplus": 1,
    "SiLU": 1.09984,
    "GELU": 1.12905,
    "Softmax": 1,
}


@dataclass(frozen=True)
class Lipschitz:
    """|f(x) - f(y)| <= bound |x - y| in the 2-norm, and the factor that each layer contributes, by name."""

    bound: float
    layers: dict[str, float]


def lipschitz_bound(model: nn.Module, shape: tuple[int, ...]) -> Lipschitz:
    """The product of the layers' norms, for one input of `shape` (C, *S) to a model in evaluation mode.

    It covers nn.Sequential, nested too, of convolutions (any padding), transposed ones (zero padding), linear layers,
    batch norms with running statistics, max and average pooling, and pointwise activations; a UserError names any
    other layer. A convolution padded with zeros is bounded by the circular one on the padded grid (Sedghi et al. 2019),
    whose matrix contains its own; another padding adds the square root of how often one sample is repeated.
    """
    factors: dict[str, float] = {}
    size = (1, *shape)
    for name, layer in leaves(model, ""):
        kind = type(layer).__name__.rstrip("123d") if type(layer).__module__.startswith("torch.nn.") else ""
        if kind not in RULES and kind not in SLOPES:
            raise UserError(
                f"no bound is known for layer {name}, a {type(layer).__name__}: lipschitz_bound covers nn.Sequential "
                "chains of convolutions, linear layers, batch norms, pooling and activations"
            )
        out = size_after(layer, name, size)
        factors[name] = float(RULES[kind](layer, size[2:], out[2:]) if kind in RULES else SLOPES[kind])
        size = out
    return Lipschitz(prod(factors.values()), factors)


def leaves(model: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a chain in order, with their dotted names."""
    if not isinstance(model, nn.Sequential):
        yield name or type(model).__name__, model
        return
    for child, layer in model.named_children():
        yield from leaves(layer, f"{name}.{child}" if name else child)


def size_after(layer: nn.Module, name: str, size: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a layer makes of a batch of shape `size`, without computing it."""
    if isinstance(layer, (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)):
        return size
    weights = {key: value.to("meta") for key, value in layer.state_dict().items()}
    try:
        return tuple(torch.func.functional_call(layer, weights, (torch.empty(size, device="meta"),)).shape)
    except RuntimeError as error:
        raise UserError(f"layer {name} does not take an input of shape {size[1:]}: {error}") from error


def convolution(layer, size: tuple[int, ...], out: tuple[int, ...]) -> float:
    """The norm of the circular convolution on a grid that holds the padded image, times that of the padding."""
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    ends = [(r // 2, r - r // 2) for r in reach]  # padding="same"
    if layer.padding != "same":
        ends = [(0, 0)] * len(size) if layer.padding == "valid" else [(p, p) for p in layer.padding]
    grid = [n + sum(e) for n, e in zip(size, ends, strict=True)]
    copies = 1.0
    axes = list(zip(grid, size, reach, layer.stride, strict=True))
    if layer.padding_mode == "circular" and all(g == n + r and n % s == 0 for g, n, r, s in axes):
        grid = list(size)
    elif layer.padding_mode != "zeros":
        sources = [source_indices(n, *e, layer.padding_mode) for n, e in zip(size, ends, strict=True)]
        copies = prod(np.bincount(source).max() for source in sources)
    return norm_on(grid, layer) * sqrt(copies)


def transposed(layer, size: tuple[int, ...], out: tuple[int, ...]) -> float:
    """The norm of the convolution that it is the transpose of, from its padded output to its input."""
    axes = zip(size, layer.stride, layer.dilation, layer.kernel_size, strict=True)
    return norm_on([(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in axes], layer)


def norm_on(grid: list[int], layer) -> float:
    """The norm on a circle of at least so many samples; one that the stride does not divide is rounded up."""
    circle = [ceil(n / s) * s for n, s in zip(grid, layer.stride, strict=True)]
    return spectral_norm(
        layer.weight, circle, stride=layer.stride, dilation=layer.dilation, groups=layer.groups
    )


def batch_norm(layer, *_) -> float:
    """The largest scale of a channel."""
    if layer.running_var is None:
        raise UserError(
            "a batch norm without running statistics has no bound: its scale follows from the batch"
        )
    scale = (layer.running_var.detach() + layer.eps).rsqrt()
    return float((scale if layer.weight is None else scale * layer.weight.detach().abs()).max())


def max_pool(layer, size: tuple[int, ...], _) -> float:
    """The square root of the number of windows that one sample may win."""
    axes = [for_axes(v, len(size)) for v in (layer.kernel_size, layer.stride, layer.dilation)]
    return sqrt(prod(ceil(k / s) if d == 1 else k for k, s, d in zip(*axes, strict=True)))


def mean_pool(layer, size: tuple[int, ...], _) -> float:
    """The square root of the largest column sum; every row sums to at most 1 (Schur's test)."""
    if layer.ceil_mode or getattr(layer, "divisor_override", None):
        raise UserError("average pooling with ceil_mode or divisor_override has no bound here")
    axes = [for_axes(v, len(size)) for v in (layer.kernel_size, layer.stride, layer.padding)]
    excluded = 0 if layer.count_include_pad else 1
    return sqrt(prod(ceil(k / s) / (k - excluded * p) for k, s, p in zip(*axes, strict=True)))


def adaptive_pool(layer, size: tuple[int, ...], out: tuple[int, ...]) -> float:
    """The norm of means over equal, disjoint windows."""
    if any(n % m for n, m in zip(size, out, strict=True)):
        raise UserError(f"adaptive pooling of {size} to {out} has no bound here: its windows differ in size")
    return sqrt(prod(out) / prod(size))


def for_axes(value: int | tuple[int, ...], dim: int) -> tuple[int, ...]:
    """One number per axis."""
    return value if isinstance(value, tuple) else (value,) * dim


RULES = {
    "Conv": convolution,
    "ConvTranspose": transposed,
    "Linear": lambda layer, *_: torch.linalg.matrix_norm(layer.weight.detach().double(), 2),
    "BatchNorm": batch_norm,
    "MaxPool": max_pool,
    "AvgPool": mean_pool,
    "AdaptiveAvgPool": adaptive_pool,
    "LeakyReLU": lambda layer, *_: max(1.0, abs(layer.negative_slope)),
    "ELU": lambda layer, *_: max(1.0, abs(layer.alpha)),
    "PReLU": lambda layer, *_: max(1.0, float(layer.weight.detach().abs().max())),
}
