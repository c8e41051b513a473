"""An exported file in ONNX Runtime: needs no torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.damage import is_ours
from eyespot.data.header import Array
from eyespot.errors import UserError
from eyespot.missing import extra
from eyespot.prediction.exported_engine import ExportedEngine, as_pixels
from eyespot.weights.card import Card

TYPES = {"tensor(uint8)": "uint8", "tensor(uint16)": "uint16", "tensor(float)": "float32"}
NO_RUNTIME = "onnxruntime is needed for an exported file, and is not installed"


class OnnxEngine(ExportedEngine):
    """The graph in ONNX Runtime.

    content      the bytes of the file, so that what was checked is what is computed
    as_written   whether each node is computed as it is written, so that int8 is computed in float32 from whole numbers
    """

    takes_any_size = True

    def __init__(self, card: Card, content: bytes, name: str = "", *, as_written: bool = False):
        super().__init__(card, name)
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(f"{NO_RUNTIME}: {extra('predict')}") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Its threads would else wait for work in a loop, and so take the cores from those that read the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if as_written:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.engine = f"onnxruntime {onnxruntime.__version__}"
        try:
            self.session: Any = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # it has classes of its own for what it does not take
            if is_ours(error):
                raise
            reason = " ".join(str(error).split())[:100]
            raise UserError(
                f"{self.engine} cannot compute this {card.preset} ({reason}): update onnxruntime"
            ) from error
        self.depth = TYPES[self.session.get_inputs()[0].type]

    def logits(self, batch: Array) -> NDArray[np.float32]:
        """(B, *S, C) pixels, as preprocessing gives them or of any size -> see `Engine`"""
        return self.session.run(["logits"], {"pixels": as_pixels(batch, self.depth)})[0]
