"""The engines of exported files, by name."""

from typing import Any

from eyespot.certificate.exported import Exported
from eyespot.errors import UserError, nearest
from eyespot.tasks.registry import imported

TORCH = "torch"
ENGINES = {
    "onnxruntime": "eyespot.prediction.onnx_engine:OnnxEngine",
    "openvino": "eyespot.prediction.openvino_engine:OpenVinoEngine",
}
"""Those of exported files, imported when they are needed; the first if none is named."""
DEFAULT = next(iter(ENGINES))


def check_engine(name: str) -> str:
    """The name. Raises UserError for an unknown one."""
    if name not in ENGINES:
        raise UserError(f"engine is {name!r}; {nearest(name, list(ENGINES))}")
    return name


def open_engine(exported: Exported, engine: str) -> Any:
    """The engine of a file. Raises UserError where it is not installed."""
    opened = imported(ENGINES[check_engine(engine)])(exported.card, exported.content, exported.digest)
    opened.precision = exported.certificate.precision
    return opened
