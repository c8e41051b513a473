"""The model file of a run, and the predictor that an engine makes of its card."""

import os
from pathlib import Path

from eyespot.errors import UserError
from eyespot.prediction.engine import Engine
from eyespot.prediction.predictor import Predictor
from eyespot.tasks.registry import task_of_card
from eyespot.weights.card import NAME, Card
from eyespot.weights.ensemble_file import ENSEMBLE, fold_folder, is_ensemble, read_ensemble
from eyespot.weights.hub import local
from eyespot.wrapping import quoted


def make_predictor(card: Card, engine: Engine) -> Predictor:
    """A predictor that computes with any engine. Raises UserError for a task that this version does not have."""
    return Predictor(card, engine, task_of_card(card).output(card, engine))


def model_file(run: str | os.PathLike) -> Path:
    """The model file of a run folder, or the file itself."""
    path = local(run)
    if path.is_dir() and not (path / NAME).exists():
        if is_ensemble(path):
            raise UserError(
                f"{path} holds several networks: give the folder of one of them, such as {fold_folder(path, read_ensemble(path)[1][0])}"
            )
        if fold_folder(path, 1).is_dir():
            raise UserError(
                f"{path} has no complete fold yet: continue with eyespot train --resume {quoted(path)}"
            )
        raise UserError(f"{path} holds no {NAME}: give the folder of a run that was trained")
    return path / NAME if path.is_dir() else path


def model_files(run: str | os.PathLike) -> dict[str, bytes]:
    """The content of the files that `load` reads, by their names in the run folder. Raises UserError where there are none."""
    path = local(run)
    if not is_ensemble(path):
        file = model_file(path)
        return {file.name: file.read_bytes()}
    files = [path / ENSEMBLE, *(model_file(fold_folder(path, fold)) for fold in read_ensemble(path)[1])]
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
