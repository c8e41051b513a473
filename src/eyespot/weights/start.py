"""Weights that a network starts from: located, read, renamed as in torchvision, and adapted.

They come from a file (safetensors, or a .pth of tensors), a run folder, a state dict, or, by the name "imagenet", from
where torchvision's are published. Those were trained on RGB between 0 and 1, each channel brought to mean 0 and standard
deviation 1 by ImageNet's numbers; `eyespot train` does the same by the numbers of its own images.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from eyespot.errors import UserError
from eyespot.weights.adapt import LoadedWeights, fit
from eyespot.weights.card import NAME
from eyespot.weights.load import read
from eyespot.weights.names import refuse_other_shortcut
from eyespot.weights.published import IMAGENET, fetch_published

Weights = str | os.PathLike | Mapping[str, Any]
"""A file, a run folder, "imagenet", or tensors by name."""


def start(network: Any, weights: Weights, preset: str, changes: Collection[str] = ()) -> LoadedWeights:
    """Load weights into a network, adapted to its channels and classes, and report what became of each.

    changes   the names of the settings that the user gave for the network
    """
    source = "the state dict" if isinstance(weights, Mapping) else str(find(weights, preset))
    tensors = weights if isinstance(weights, Mapping) else read(Path(source))
    if "shortcut" not in changes:
        refuse_other_shortcut(network, tensors, preset, source)
    return fit(network, tensors, source)


def find(weights: str | os.PathLike, preset: str) -> Path:
    """The file that is meant, fetched where it is a published one: "imagenet" always is; "./imagenet" never."""
    if weights == IMAGENET:
        return fetch_published(preset)
    path = Path(weights)
    path = path / NAME if path.is_dir() else path
    if not path.exists():
        raise UserError(
            f"there are no weights {str(weights)!r}; give a .safetensors or .pth file, a run folder, or {IMAGENET}"
        )
    return path
