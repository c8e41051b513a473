"""From an exported file to a predictor, by an engine that needs no torch."""

from pathlib import Path

from eyespot.certificate.exported import read_exported
from eyespot.prediction.bfloat16 import is_bfloat16, open_bfloat16
from eyespot.prediction.engines import DEFAULT, open_engine
from eyespot.prediction.model_file import make_predictor
from eyespot.prediction.predictor import Predictor
from eyespot.prediction.verification import check_once
from eyespot.tasks.registry import task_of_card


def load_exported(path: Path, engine: str | None, precision: str | None = None) -> Predictor:
    """The predictor of a file. precision   f32 or bf16; f32 if not given. Raises UserError for a file that was changed, and for an engine that is not installed."""
    exported = read_exported(path)
    task_of_card(exported.card, path)
    if is_bfloat16(precision, engine, exported):
        return make_predictor(exported.card, open_bfloat16(exported))
    chosen = open_engine(exported, engine or DEFAULT)
    check_once(exported, chosen)
    return make_predictor(exported.card, chosen)
