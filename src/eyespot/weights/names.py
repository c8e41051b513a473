"""torchvision's names for the weights of other programs."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

RENAMES = (
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
