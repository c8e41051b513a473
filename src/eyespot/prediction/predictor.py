"""A model file made ready to predict: preprocessing, engine and the output of its task behind one class."""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.devices import choose_device
from eyespot.errors import UserError
from eyespot.models import PRESETS, create
from eyespot.parallel import in_order
from eyespot.prediction.class_output import ClassOutput
from eyespot.prediction.engine import TorchEngine
from eyespot.prediction.inputs import read_input
from eyespot.prediction.mask_output import MaskOutput
from eyespot.prediction.output import WriteRequest
from eyespot.weights.card import NAME, Card, load_strict, read_card, read_tensors

OUTPUTS: dict[str, Any] = {"classify": ClassOutput, "segment": MaskOutput}
"""The prediction half of each task, by the card's name of it."""


class Predictor:
    """Predictions for images. Made by `load`.

    card            what the model file says of itself
    preprocessing   from a file to the network's input
    engine          computes logits
    output          turns logits into predictions: classes, or label maps
    """

    def __init__(self, card: Card, network: torch.nn.Module, device: str = "cpu"):
        self.card = card
        self.classes = card.classes
        self.device = device
        self.preprocessing = Preprocessing.from_dict(card.preprocessing)
        self.engine = TorchEngine(card, network, device)
        self.output = OUTPUTS[card.task](card, self.engine)

    @property
    def network(self) -> torch.nn.Module:
        """The network, in evaluation mode."""
        return self.engine.network

    def logits(self, images: Array) -> NDArray[np.float32]:
        """(N, *S, C) preprocessed images -> (N, classes), or (N, classes, *S) of masks, in float32"""
        return self.engine.logits(images)

    def __call__(self, images: Any) -> Any:
        """Predictions for one or several images: paths, Pillow images, or arrays (*S), (*S, C) or (C, *S).

        Classes come as `Predictions`, a list that shows itself as a table; masks as a list of `MaskPrediction`.
        """
        return self.output.collect(self.stream(images if isinstance(images, list | tuple) else [images]))

    def stream(self, images: Iterable[Any]) -> Iterator[Any]:
        """Predictions one by one, in order, in constant memory; for an image that cannot be read, the reason."""
        read = partial(read_input, preprocessing=self.preprocessing)
        return self.output.stream(in_order(read, images))

    def write(self, files: Iterable[Path], request: WriteRequest) -> tuple[dict[str, str], int]:
        """Predict files and write what is predicted; the reason for each unreadable file, and how many were written."""
        return self.output.write(self, files, request)

    def __repr__(self) -> str:
        card = self.card
        key, name = self.output.metric
        value = card.scores.get(key)
        metric = f", {name} {100 * value['value']:.1f}% (n = {value['n']:,})" if value else ""
        return f"Predictor({card.preset}, {len(card.classes)} classes{metric})"


def load(run: str | os.PathLike, *, device: str = "cpu") -> Predictor:
    """A predictor from a run folder or a model file. Raises UserError for an unknown device or a damaged file."""
    card, network = load_network(run)
    return Predictor(card, network, choose_device(device))


def model_file(run: str | os.PathLike) -> Path:
    """The model file of a run folder, or the file itself."""
    path = Path(run)
    if path.is_dir() and not (path / NAME).exists():
        raise UserError(f"{path} holds no {NAME}: give the folder of a run that was trained")
    return path / NAME if path.is_dir() else path


def load_network(run: str | os.PathLike) -> tuple[Card, torch.nn.Module]:
    """The card and the network of a run folder or a model file. Raises UserError where it is damaged, newer or not ours."""
    path = model_file(run)
    card = read_card(path)
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
