"""What computes logits: PyTorch today, other engines behind the same protocol later."""

from math import log
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from eyespot.augment.geometry import Shift
from eyespot.data.header import Array
from eyespot.devices import arithmetic, prediction_precision
from eyespot.kit import MEMORY
from eyespot.models.network import run_whole
from eyespot.tasks.batches import Normal, resized, views
from eyespot.weights.card import Card


class Engine(Protocol):
    """Logits of preprocessed images."""

    def logits(self, batch: Array) -> NDArray[np.float32]:
        """(B, *S, C) as preprocessing gives them -> (B, classes), or (B, classes, *S) of masks, in float32"""
        ...


class TorchEngine:
    """The network in PyTorch.

    Whole images are predicted at the size and in the precision of training, as the mean over views (test-time
    augmentation); masks at their own size in float32, so that tiles give the same as the whole.
    """

    def __init__(self, card: Card, network: torch.nn.Module, device: str = "cpu"):
        p = card.preprocessing
        self.device = device
        self.dim = p.get("dim", 2)
        self.side = p["side"]
        self.of_positions = card.task == "segment"
        self.normal = Normal(tuple(p["mean"]), tuple(p["std"]))
        self.views = views(
            p.get("tta_flip", p.get("mirror", False)), p.get("tta_shift", p.get("moved", False))
        )
        self.precision = prediction_precision(p.get("precision"), device)
        self.network: Any = network.eval().to(device, memory_format=MEMORY[self.dim])  # type: ignore[call-overload]

    @torch.inference_mode()
    def logits(self, batch: Array) -> NDArray[np.float32]:
        """See `Engine`."""
        if self.of_positions:
            return self.map_logits(batch).cpu().numpy()
        whole = self.normal(batch, self.device)
        logits = torch.stack([self._view(whole, flipped, pixels) for flipped, pixels in self.views])
        if len(logits) == 1:
            return logits[0].cpu().numpy()
        return logits.log_softmax(-1).logsumexp(0).sub(log(len(logits))).cpu().numpy()

    def _view(self, whole: torch.Tensor, flipped: bool, pixels: int) -> torch.Tensor:
        x = Shift().apply(whole, torch.full((len(whole), self.dim), pixels)) if pixels else whole
        x = resized(x, self.side)
        with arithmetic(self.device, self.precision):
            return self.network(x.flip(-1) if flipped else x).float()

    @torch.inference_mode()
    def map_logits(self, batch: Array) -> torch.Tensor:
        """(B, *S, C) -> (B, classes, *S) on the device: an image that is too small for the network is filled up"""
        x = self.normal(batch, self.device).contiguous(memory_format=MEMORY[self.dim])
        return run_whole(self.network, x).float()
