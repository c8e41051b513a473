"""Weights as programs save them: a safetensors file, or a .pth that holds tensors and no code."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eyespot.errors import UserError
from eyespot.weights.card import read_tensors

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Entries under which training programs keep the weights, beside the optimiser's state and the like."""


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name. Raises UserError for one that is damaged, holds code, or holds no weights."""
    if path.suffix == ".safetensors":
        return read_tensors(path)
    content = unwrapped(_load(path))
    entries = content if isinstance(content, Mapping) else {type(content).__name__: None}
    tensors = {str(name): entry for name, entry in entries.items() if isinstance(entry, Tensor)}
    if not tensors:
        raise UserError(
            f"{path} holds no weights by name (it holds {', '.join(map(str, [*entries][:5])) or 'nothing'}); "
            "save the network's state_dict() and give that"
        )
    return tensors


def unwrapped(content: Any) -> Any:
    """What lies under the entries of WRAPPERS, however deep."""
    while isinstance(content, Mapping):
        inner = [content[w] for w in WRAPPERS if isinstance(content.get(w), Mapping)]
        if not inner:
            break
        content = inner[0]
    return content


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported global" not in str(error) and "Unsupported class" not in str(error):
            raise UserError(_damaged(path, "no torch.save wrote it")) from error
        raise UserError(
            f"{path} holds objects that could run code, so it is not opened; save the network's state_dict() alone, "
            "where the file was made, and give that"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise UserError(_damaged(path, reason)) from error


def _damaged(path: Path, reason: str) -> str:
    return f"{path} is damaged or not a file of weights ({reason}); give a .safetensors or .pth file"
