"""What computes logits: a protocol, so that engines other than PyTorch can stand behind a predictor."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.prediction.tiles import NetworkFacts


class Engine(Protocol):
    """Logits of preprocessed images, and the facts that plans of tiles need."""

    device: str

    @property
    def facts(self) -> NetworkFacts:
        """Receptive field and memory. Raises UserError for a network that does not predict every position."""
        ...

    def fingerprint(self) -> str:
        """A digest of all that the logits depend on, beside the image."""
        ...

    def return_memory(self) -> None:
        """Give freed memory back to the system from now on, so that a memory budget holds."""
        ...

    def logits(self, batch: Array) -> NDArray[np.float32]:
        """(B, *S, C) as preprocessing gives them -> (B, classes), or (B, classes, *S) of masks, in float32"""
        ...
