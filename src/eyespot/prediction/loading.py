"""The predictor that a model file asks for."""

import os

from eyespot.devices import choose_device
from eyespot.prediction.masks import MaskPredictor
from eyespot.prediction.predictor import Predictor, load_network


def load(run: str | os.PathLike, *, device: str = "cpu") -> Predictor | MaskPredictor:
    """A predictor from a run folder or a model file: of classes, or of masks. Raises UserError for an unknown device."""
    card, network = load_network(run)
    kind = MaskPredictor if card.task == "segment" else Predictor
    return kind(card, network, choose_device(device))
