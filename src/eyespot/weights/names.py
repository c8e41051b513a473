"""torchvision's names for the weights of other programs."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from eyespot.errors import UserError

RENAMES = (
    # ResNets for CIFAR as published by others
    (r"^linear\.", "fc."),
    (r"\.shortcut\.", ".downsample."),
    # timm's VGG: its dense layers are convolutions over the whole grid
    (r"^pre_logits\.fc1\.", "classifier.0."),
    (r"^pre_logits\.fc2\.", "classifier.3."),
    (r"^head\.fc\.", "classifier.6."),
    # DenseNet as torchvision published it, before names could have no dots
    (r"(denselayer\d+\.(?:norm|conv))\.(\d)\.", r"\1\2."),
)
"""A pattern in a name, and what torchvision writes there. timm's ResNet and DenseNet have torchvision's names."""


def torchvision_names(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names that a network has (`own`), where they have others; a new dict."""
    renamed_tensors = {}
    for name, tensor in without_prefix(tensors, own).items():
        name = renamed(name, own)
        dense = name in own and own[name].dim() == 2 < tensor.dim()
        renamed_tensors[name] = tensor.flatten(1) if dense else tensor
    return renamed_tensors


def renamed(name: str, own: Iterable[str]) -> str:
    """torchvision's name, if the network has it."""
    for pattern, replacement in RENAMES:
        new = re.sub(pattern, replacement, name)
        if new != name and name not in own and new in own:
            return new
    return name


def without_prefix(tensors: Mapping[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """The tensors without a prefix that all names share and the network does not have, such as "module."."""
    roots = {root(name) for name in own}
    tensors = dict(tensors)
    while len(shared := {root(name) for name in tensors}) == 1 and not shared & roots:
        if not all("." in name for name in tensors):
            break
        tensors = {name.split(".", 1)[1]: tensor for name, tensor in tensors.items()}
    return tensors


def root(name: str) -> str:
    """The name before the first dot."""
    return name.split(".", 1)[0]


def refuse_other_shortcut(network: Any, tensors: Mapping[str, Tensor], preset: str, source: str) -> None:
    """Raise UserError for a ResNet without shortcut weights whose new channels lie elsewhere than in the file.

    Such shortcuts have no weights, so that any file of the right depth fits. Its names tell it: a head called "linear"
    is that of pytorch_resnet_cifar10, which puts new channels on both sides.
    """
    kind = getattr(network, "shortcut", "projection")
    learned = any(re.search(r"\.(shortcut|downsample)\.", name) for name in tensors)
    if kind != "projection" and learned:
        raise UserError(
            f"{source} has weights of shortcuts, and those of {preset} have none: "
            f"create({preset!r}, shortcut='projection', weights=...) takes them"
        )
    if kind == "identity" and any(re.search(r"(^|\.)linear\.", name) for name in tensors):
        raise UserError(
            f"{source} has the names of pytorch_resnet_cifar10 (linear.), whose new channels lie in the middle: take "
            f"{preset}_centred, or create({preset!r}, shortcut='identity', weights=...) if yours are at the end"
        )
