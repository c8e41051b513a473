"""Weights as programs save them: a safetensors file, or a .pth that holds tensors and no code."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eyespot.errors import UserError
from eyespot.weights import read_tensors

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Entries under which training programs keep the weights, beside the optimiser's state and the like."""


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name. Raises UserError for one that is damaged, holds code, or holds no weights."""
    if path.suffix == ".safetensors":
        return read_tensors(path)
    content = _load(path)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    names = list(content) if isinstance(content, Mapping) else [type(content).__name__]
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)} if len(names) else {}
    if not tensors:
        raise UserError(
            f"{path} holds no weights by name (it holds {', '.join(map(str, names[:5])) or 'nothing'}); "
            "save the network's state_dict() and give that"
        )
    return tensors


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" not in str(error):
            raise UserError(_damaged(path, error)) from error
        raise UserError(
            f"{path} holds objects that could run code, so it is not opened; save the network's state_dict() alone, "
            "where the file was made, and give that"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(_damaged(path, error)) from error


def _damaged(path: Path, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
    return f"{path} is damaged or not a file of weights ({reason}); give a .safetensors or .pth file"
