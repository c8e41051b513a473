"""Runs without training: a network with random weights and moved statistics, in a model file with a card."""

from pathlib import Path
from typing import Any

import torch

from eyespot.models import create
from eyespot.weights.card import NAME, Card, write_model


def preprocessing(dim: int = 2, channels: int = 3, **changes: Any) -> dict[str, Any]:
    """Of a card."""
    values = {
        "size": 16,
        "fit": "pad",
        "channels": channels,
        "accepts": [channels],
        "depth": "uint8",
        "dim": dim,
        "spacing": None,
        "unit": "",
        "view": "samples",
        "scaling": "none",
        "stored": ["uint8"],
        "mean": [110.0 + 10 * c for c in range(channels)],
        "std": [60.0 + 5 * c for c in range(channels)],
        "precision": "float32",
        "tta_flip": False,
        "tta_shift": False,
    }
    values = {**values, **changes}
    return {"side": values["size"], **values}


def masks(**changes: Any) -> dict[str, Any]:
    """Of a card of a network for masks of two classes."""
    mapping = {"values": ["0", "255"], "classes": ["background", "object"], "void": None, "objects": False}
    return {"fit": "own", "size": 1, "side": 32, "mapping": mapping, "split_touching": False, **changes}


def write_run(
    folder: Path,
    preset: str,
    content: dict[str, Any],
    classes: tuple[str, ...] = ("cat", "dog", "owl"),
    **changes: Any,
) -> Path:
    """A run folder with nothing but a model file."""
    torch.manual_seed(0)
    dim = content["dim"]
    network = create(preset, classes=len(classes), channels=content["channels"], dim=dim, **changes)
    side = max(16, network.smallest, network.max_collapsing_size + 1, network.total_stride)
    with torch.no_grad():
        network.train()(torch.randn(4, content["channels"], *[side] * dim) + 0.3)
    task = "segmentation" if "mapping" in content else "classification"
    scores = {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 100}}
    card = Card(preset, changes, list(classes), content, task=task, temperature=1.5, scores=scores)
    folder.mkdir(parents=True)
    write_model(folder / NAME, network.state_dict(), card)
    return folder
