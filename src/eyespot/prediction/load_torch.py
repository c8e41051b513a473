"""From a model file to a predictor that computes with torch."""

import os
from pathlib import Path
from typing import Any

import torch

from eyespot.devices import choose_device
from eyespot.errors import UserError
from eyespot.models import PRESETS, create
from eyespot.prediction.ensemble import EnsembleEngine
from eyespot.prediction.model_file import make_predictor, model_file
from eyespot.prediction.predictor import Predictor
from eyespot.prediction.torch_engine import TorchEngine
from eyespot.tasks.registry import task_of_card
from eyespot.weights.card import Card, load_strict, read_card, read_tensors
from eyespot.weights.ensemble_file import fold_folder, is_ensemble, read_ensemble


def load_run(run: str | os.PathLike, device: str | None) -> Predictor:
    """A predictor from a run folder or a model file; of a cross-validation, with all its networks."""
    if is_ensemble(run):
        return _load_ensemble(Path(run), choose_device(device))
    card, network = load_network(run)
    return torch_predictor(card, network, choose_device(device))


def _load_ensemble(run: Path, device: str) -> Predictor:
    card, folds = read_ensemble(run)
    members = [load_run(fold_folder(run, fold), device) for fold in folds]
    return make_predictor(card, EnsembleEngine([m.engine for m in members], [m.card for m in members]))


def torch_predictor(card: Card, network: torch.nn.Module, device: str = "cpu") -> Predictor:
    """A predictor that computes with a network in PyTorch."""
    of_positions = task_of_card(card).output.of_positions
    return make_predictor(card, TorchEngine(card, network, device, of_positions=of_positions))


def load_network(run: str | os.PathLike) -> tuple[Card, torch.nn.Module]:
    """The card and the network of a run folder or a model file. Raises UserError where it is damaged, newer or not ours."""
    path = model_file(run)
    card = read_card(path)
    task_of_card(card, path)
    if card.preset not in PRESETS:
        raise UserError(
            f"{path} was trained with the network {card.preset!r}, which is not registered: call "
            f"eyespot.register({card.preset!r}, ...) first"
        )
    changes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in card.changes.items()}
    dim = card.preprocessing.get("dim", 2)
    network = create(
        card.preset, classes=len(card.classes), channels=card.preprocessing["channels"], dim=dim, **changes
    )
    load_strict(network, read_tensors(path), path)
    return card, network
