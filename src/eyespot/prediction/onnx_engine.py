"""An exported file in ONNX Runtime: needs no torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.errors import UserError
from eyespot.prediction.tiles import NetworkFacts
from eyespot.weights.card import Card

TYPES = {"tensor(uint8)": "uint8", "tensor(uint16)": "uint16", "tensor(float)": "float32"}
NO_RUNTIME = (
    "onnxruntime is needed for an exported file, and is not installed: pip install 'eyespot[predict]'"
)


class OnnxEngine:
    """The graph of an exported file, in float32 on the processor.

    content   the bytes of the file, so that what was checked is what is computed
    name      a name for exactly these bytes
    """

    device = "cpu"
    precision = "float32"
    takes_any_size = True

    def __init__(self, card: Card, content: bytes, name: str = ""):
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(NO_RUNTIME) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.card = card
        self.name = name
        self.engine = f"onnxruntime {onnxruntime.__version__}"
        self.session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.depth = TYPES[self.session.get_inputs()[0].type]

    @property
    def facts(self) -> NetworkFacts:
        """From the card."""
        return NetworkFacts.from_dict(self.card.network_facts)

    def fingerprint(self) -> str:
        """A digest of the file and the engine."""
        return f"{self.name} {self.engine}"

    def return_memory(self) -> None:
        """See `Engine`. There is nothing to give back."""

    def logits(self, batch: Array) -> NDArray[np.float32]:
        """(B, *S, C) pixels, as preprocessing gives them or of any size -> see `Engine`"""
        return self.session.run(["logits"], {"pixels": as_pixels(batch, self.depth)})[0]


def as_pixels(batch: Array, depth: str) -> Array:
    """The same values in the type of the file's input. Raises ValueError where it cannot have them."""
    changed = np.ascontiguousarray(batch, depth)
    if batch.dtype != changed.dtype and not (changed == batch).all():
        raise ValueError(f"the exported file takes {depth}, and these values are {batch.dtype}")
    return changed
