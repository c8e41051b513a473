"""How large the gradient is at each depth of a network, with and without its skip connections and norms.

A residual block passes the gradient on by two paths, through its layers and past them, so that n blocks make 2^n paths
(He et al. 2015; Veit et al. 2016, "Residual networks behave like ensembles of relatively shallow networks").
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.nn.modules.conv import _ConvNd as Conv

from eyespot.anatomy.table import layer_table
from eyespot.anatomy.taps import taps
from eyespot.models.initial import initialise
from eyespot.notebook import html
from eyespot.plurals import count
from eyespot.wrapping import output_width

NORMS = (BatchNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.LayerNorm)
SKIP = "downsample"
"""What a residual block calls its shortcut."""
BATCH = 16
ROWS = 12
"""Layers in the printed table, evenly spread."""
TRAINED = "trained"
NEW = "new weights"
NO_SKIPS = "without skips"
NO_NORMS = "without norms"
NEITHER = "without both"


@dataclass
class GradientNorms:
    """Norms of the gradient of the loss with respect to the outputs of convolutions. Prints itself as a table.

    layers  the convolutions, in the order of the calls
    norms   by network, a norm for each layer: as it is and, with new weights, without skips, norms, or both
    blocks  residual blocks
    shape   of the batch
    """

    name: str
    layers: list[str]
    norms: dict[str, list[float]]
    blocks: int
    shape: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "shape": list(self.shape),
            "blocks": self.blocks,
            "layers": self.layers,
            "gradient_norms": self.norms,
        }

    def ratio(self, variant: str) -> float:
        """The norm at the first convolution over that at the last."""
        values = self.norms[variant]
        return values[0] / values[-1] if values[-1] else float("nan")

    def table(self, width: int | None = None) -> str:
        """At most a dozen of the layers."""
        chosen = np.unique(np.linspace(0, len(self.layers) - 1, ROWS).round().astype(int)).tolist()
        rows = [
            (str(k + 1), self.layers[k], *(f"{values[k]:.3g}" for values in self.norms.values()))
            for k in chosen
        ]
        columns = output_width() if width is None else width
        return layer_table(("", "layer", *self.norms), rows, (), columns)

    def summary(self) -> str:
        """What the table shows, in sentences."""
        lines = [
            f"{self.name}: norm of the gradient of the cross-entropy with respect to the output of each convolution, "
            f"for {self.shape[0]} random images of {' x '.join(map(str, self.shape[1:]))}"
        ]
        for variant in self.norms:
            ratio = self.ratio(variant)
            lines.append(f"{variant}: at the first convolution {ratio:.3g} times that at the last")
        if self.blocks:
            lines.append(
                f"{count(self.blocks, 'residual block')} make {2**self.blocks:,} paths, through each block or past it"
            )
        elif NEW in self.norms:
            lines.append(
                "no residual blocks: skip connections that concatenate, as in a DenseNet or U-Net, are not left out"
            )
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{self.summary()}\n\n{self.table()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html.result(html.text(str(self)))


class Nothing(nn.Module):
    """The skip connection that is not there: zeros of the shape that it would have"""

    def __init__(self, skip: nn.Module):
        super().__init__()
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(self.skip(x))


def measure_gradients(network: nn.Module, shape: tuple[int, ...], name: str, trained: bool) -> GradientNorms:
    """The gradient's norm at each convolution, in training mode, for random images and labels of seed 0.

    network  (B, channels, *S) -> logits; it is not changed
    shape    (channels, *S) of an image
    trained  whether its weights are trained; else they are new
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((BATCH, *shape), generator=generator)
    new = renewed(network) if trained else network
    blocks = [m for m in network.modules() if isinstance(getattr(m, SKIP, None), nn.Module)]
    has_norms = any(isinstance(m, NORMS) for m in network.modules())
    variants = ({TRAINED: network} if trained else {}) | {NEW: new}
    if blocks:
        variants[NO_SKIPS] = without_skips(new)
    if has_norms:
        variants[NO_NORMS] = without_norms(new)
    if blocks and has_norms:
        variants[NEITHER] = without_norms(without_skips(new))
    norms = {variant: gradient_norms(changed, x) for variant, changed in variants.items()}
    layers = list(norms[NEW])
    values = {variant: [measured.get(layer, 0.0) for layer in layers] for variant, measured in norms.items()}
    return GradientNorms(name, layers, values, len(blocks), tuple(x.shape))


def gradient_norms(network: nn.Module, x: Tensor) -> dict[str, float]:
    """By the name of each convolution but those of skip connections, in the order of the calls"""
    network = copy.deepcopy(network).train()
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    names = [n for n, m in network.named_modules() if isinstance(m, Conv) and f".{SKIP}." not in f".{n}."]
    with (
        torch.enable_grad(),
        torch.random.fork_rng(devices=[]),
        taps(network, names, gradients=True) as record,
    ):
        torch.manual_seed(0)  # dropout
        logits = network(x)
        labels = torch.randint(
            logits.shape[1], logits[:, 0].shape, generator=torch.Generator().manual_seed(0)
        )
        F.cross_entropy(logits, labels).backward()
        return {name: float(record.gradient(name).norm()) for name in names if record.calls[name]}


def renewed(network: nn.Module) -> nn.Module:
    """A copy with new weights, as before training."""
    network = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for module in network.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
        kit = getattr(network, "kit", None)
        if kit is not None:
            initialise(network, kit.init)
    return network


def without_skips(network: nn.Module) -> nn.Module:
    """A copy whose residual blocks have no skip connection: a plain network of the same layers."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        skip = getattr(module, SKIP, None)
        if isinstance(skip, nn.Module):
            setattr(module, SKIP, Nothing(skip))
    return network


def without_norms(network: nn.Module) -> nn.Module:
    """A copy without norms."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, NORMS):
                setattr(module, name, nn.Identity())
    return network
