"""An exported file in OpenVINO: needs no torch."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.errors import UserError
from eyespot.missing import extra
from eyespot.prediction.exported_engine import ExportedEngine, as_pixels
from eyespot.weights.card import Card

NO_OPENVINO = "openvino is needed for --engine openvino, and is not installed"
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
"""Without it OpenVINO computes in bfloat16 where the processor has that, and says nothing."""


class OpenVinoEngine(ExportedEngine):
    """The graph in OpenVINO.

    It gets images at the network's size: it computes the file's resizing in float32, a grey level off here and there.
    """

    def __init__(self, card: Card, content: bytes, name: str = "", settings: dict[str, str] = FLOAT32):
        super().__init__(card, name)
        try:
            import openvino
        except ImportError as error:
            raise UserError(f"{NO_OPENVINO}: {extra('fast')}") from error
        self.engine = f"openvino {openvino.__version__.split('-')[0]}"
        core = openvino.Core()
        try:
            model = core.read_model(BytesIO(content))  # type: ignore[arg-type]
            self.compiled: Any = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise UserError(
                f"{self.engine} cannot compute this {card.preset} ({_reason(error)}): use --engine onnxruntime"
            ) from error
        self.depth = self.compiled.input("pixels").element_type.to_dtype().name

    def logits(self, batch: Array) -> NDArray[np.float32]:
        """See `Engine`."""
        result = self.compiled({"pixels": as_pixels(batch, self.depth)})
        return np.array(result[self.compiled.output("logits")])


def _reason(error: RuntimeError) -> str:
    """The last line that says something."""
    lines = [line.strip(" -") for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("Exception", "Check", "FrontEnd"))]
    return (said[-1] if said else type(error).__name__)[:100]
