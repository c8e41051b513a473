"""An exported file in OpenVINO: needs no torch."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.errors import UserError
from eyespot.prediction.onnx_engine import as_pixels
from eyespot.prediction.tiles import NetworkFacts
from eyespot.weights.card import Card

NO_OPENVINO = "openvino is needed for --engine openvino, and is not installed: pip install 'eyespot[fast]'"


class OpenVinoEngine:
    """The graph of an exported file, on the processor. Float32 is asked for: without that, OpenVINO takes bfloat16.

    Images have to be at the network's size: it computes the file's resizing in float32, a grey level off here and there.
    """

    device = "cpu"
    precision = "float32"
    takes_any_size = False

    def __init__(self, card: Card, content: bytes, name: str = ""):
        try:
            import openvino
        except ImportError as error:
            raise UserError(NO_OPENVINO) from error
        self.card = card
        self.name = name
        self.engine = f"openvino {openvino.__version__.split('-')[0]}"
        core = openvino.Core()
        model = core.read_model(BytesIO(content))  # type: ignore[arg-type]
        self.compiled: Any = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        self.depth = self.compiled.input("pixels").element_type.to_dtype().name

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
        """See `Engine`."""
        result = self.compiled({"pixels": as_pixels(batch, self.depth)})
        return np.array(result[self.compiled.output("logits")])
