"""What the engines of exported files share."""

from typing import Any

import numpy as np

from eyespot.data.header import Array
from eyespot.errors import UserError
from eyespot.prediction.tiles import NetworkFacts
from eyespot.weights.card import Card


class ExportedEngine:
    """The graph of an exported file, on the processor, in float32.

    name             a name for exactly the bytes of the file
    engine           the library and its version
    takes_any_size   whether images of any size may be given, which the file then brings to its own
    """

    device = "cpu"
    precision = "float32"
    takes_any_size = False
    engine = ""

    def __init__(self, card: Card, name: str):
        self.card = card
        self.name = name

    @property
    def facts(self) -> NetworkFacts:
        """From the card."""
        return NetworkFacts.from_dict(self.card.network_facts)

    @property
    def network(self) -> Any:
        """Raises UserError: a graph has no layers to look into."""
        raise UserError("this is an exported file, which has no layers to look into: give the run folder")

    def fingerprint(self) -> str:
        """A digest of the file and the engine."""
        return f"{self.name} {self.engine}"

    def return_memory(self) -> None:
        """See `Engine`. There is nothing to give back."""


def as_pixels(batch: Array, depth: str) -> Array:
    """The same values in the type of the file's input. Raises ValueError where it cannot have them."""
    changed = np.ascontiguousarray(batch, depth)
    if batch.dtype != changed.dtype and not (changed == batch).all():
        raise ValueError(f"the exported file takes {depth}, and these values are {batch.dtype}")
    return changed
