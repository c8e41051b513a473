"""The engines of exported files, by name."""

from typing import Any

from eyespot.certificate.exported import Exported
from eyespot.errors import UserError, nearest
from eyespot.prediction.onnx_engine import OnnxEngine

TORCH = "torch"
ENGINES = ("onnxruntime",)
"""Those of exported files, the first if none is named."""


def check_engine(name: str) -> str:
    """The name. Raises UserError for an unknown one."""
    if name not in ENGINES:
        raise UserError(f"engine is {name!r}; {nearest(name, list(ENGINES))}")
    return name


def open_engine(exported: Exported, engine: str) -> Any:
    """The engine of a file. Raises UserError where it is not installed."""
    return OnnxEngine(exported.card, exported.content, exported.digest)
