"""The file that makes the folds of a cross-validation one model: a card of their own, and which folders they are in."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from eyespot.errors import UserError
from eyespot.files import write_file
from eyespot.weights.card import Card, card_of
from eyespot.weights.hub import local

ENSEMBLE = "ensemble.json"
FOLD = "fold-"
"""Before the number of a fold: the folder of its run."""


def fold_folder(run: Path, number: int) -> Path:
    """The run folder of a fold, counted from 1."""
    return run / f"{FOLD}{number}"


def is_ensemble(run: str | os.PathLike) -> bool:
    """Whether a folder, or a repository of the hub, is that of a cross-validation with a complete fold."""
    return (local(run) / ENSEMBLE).is_file()


def write_ensemble(run: Path, card: Card, folds: list[int]) -> None:
    """Say which folds there are, and how good their predictions are."""
    content = {"folds": folds, "card": asdict(card)}
    write_file(run / ENSEMBLE, json.dumps(content, indent=1) + "\n")


def read_ensemble(run: str | os.PathLike) -> tuple[Card, list[int]]:
    """The card, and the folds. Raises UserError for a file that is damaged or newer."""
    path = local(run) / ENSEMBLE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        folds = [int(fold) for fold in content["folds"]]
        text = json.dumps(content["card"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); copy it again from where it was made, or use one of its folds"
        ) from error
    if not folds:
        raise UserError(f"{path} names no fold; copy it again from where it was made")
    return card_of(text, path), folds
