"""The network in PyTorch: whole images as the mean over views, masks at their own size."""

from functools import cached_property
from hashlib import blake2b
from math import log
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eyespot.augment.geometry import Shift
from eyespot.data.header import Array
from eyespot.devices import arithmetic, prediction_precision
from eyespot.fast import return_freed
from eyespot.kit import MEMORY
from eyespot.models.network import run_whole
from eyespot.prediction.network_facts import network_facts
from eyespot.prediction.tiles import NetworkFacts
from eyespot.tasks.batches import Normal, resized, views
from eyespot.weights.card import Card, versions


class TorchEngine:
    """The network in PyTorch.

    Whole images are predicted at the size and in the precision of training, as the mean over views (test-time
    augmentation); masks at their own size in float32, so that tiles give the same as the whole.

    of_positions   whether the network has logits of each position, for masks
    """

    def __init__(self, card: Card, network: torch.nn.Module, device: str = "cpu", *, of_positions: bool):
        p = card.preprocessing
        self.card = card
        self.device = device
        self.dim = p.get("dim", 2)
        self.side = p["side"]
        self.of_positions = of_positions
        self.normal = Normal(tuple(p["mean"]), tuple(p["std"]))
        self.views = views(
            p.get("tta_flip", p.get("mirror", False)), p.get("tta_shift", p.get("moved", False))
        )
        self.precision = prediction_precision(p.get("precision"), device)
        self.network: Any = network.eval().to(device, memory_format=MEMORY[self.dim])  # type: ignore[call-overload]

    @property
    def facts(self) -> NetworkFacts:
        """From the card, or measured on the network where the file is older than the facts."""
        return self._facts

    @cached_property
    def _facts(self) -> NetworkFacts:
        if self.card.network_facts:
            return NetworkFacts.from_dict(self.card.network_facts)
        return network_facts(self.network)

    def with_network(self, network: torch.nn.Module) -> "TorchEngine":
        """The same engine around another network of the same shape."""
        return TorchEngine(self.card, network, self.device, of_positions=self.of_positions)

    def fingerprint(self) -> str:
        """A digest of the card, the weights, the software and the device."""
        content = blake2b(repr((self.card, versions(), self.device)).encode(), digest_size=16)
        for name, tensor in self.network.state_dict().items():
            content.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return content.hexdigest()

    def return_memory(self) -> None:
        """See `Engine`."""
        return_freed()

    @torch.inference_mode()
    def logits(self, batch: Array) -> NDArray[np.float32]:
        """See `Engine`."""
        if self.of_positions:
            return self._map_logits(batch).cpu().numpy()
        whole = self.normal(batch, self.device)
        logits = torch.stack([self._view(whole, flipped, pixels) for flipped, pixels in self.views])
        if len(logits) == 1:
            return logits[0].cpu().numpy()
        return logits.log_softmax(-1).logsumexp(0).sub(log(len(logits))).cpu().numpy()

    def normalised(self, batch: Array) -> torch.Tensor:
        """(B, *S, C) as preprocessing gives them -> (B, C, *S) of mean 0 and standard deviation 1 on the device"""
        return self.normal(batch, self.device).contiguous(memory_format=MEMORY[self.dim])

    def differentiable(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, *S) normalised images -> (B, classes) or (B, classes, *S) logits in float32, for explanations.

        Of whole images, the mean of the logits over the same views as `logits`, in the order of `self.views`.
        """
        if self.of_positions:
            return run_whole(self.network, x)
        return torch.stack([self.network(self.view(x, *view)) for view in self.views]).mean(0)

    def view(self, x: torch.Tensor, flipped: bool, pixels: int) -> torch.Tensor:
        """(B, C, *S) images as the network gets them in a view: moved, at the size of training, mirrored"""
        x = Shift().apply(x, torch.full((len(x), self.dim), pixels)) if pixels else x
        x = resized(x, self.side)
        return x.flip(-1) if flipped else x

    def _view(self, whole: torch.Tensor, flipped: bool, pixels: int) -> torch.Tensor:
        x = self.view(whole, flipped, pixels)
        with arithmetic(self.device, self.precision):
            return self.network(x).float()

    def _map_logits(self, batch: Array) -> torch.Tensor:
        """An image that is too small for the network is padded, and the logits cut back"""
        x = self.normal(batch, self.device).contiguous(memory_format=MEMORY[self.dim])
        return run_whole(self.network, x).float()
