"""What a predictor asks of the prediction half of a task."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eyespot.data.header import Array
from eyespot.prediction.engine import Engine
from eyespot.weights.card import Card


@dataclass(frozen=True)
class WriteRequest:
    """Where and how predictions are written.

    run             as the user named it, for messages
    out             a file or a folder; None for standard output
    format          table, csv or jsonl; None for what fits `out`
    common          the folder that all inputs are in, whose own folders are kept
    instances       a number for each object in place of classes; None for what the training masks had
    probabilities   of every class as well
    """

    run: str
    out: Path | None = None
    format: str | None = None
    common: Path | None = None
    instances: bool | None = None
    probabilities: bool = False


class Output(Protocol):
    """From the engine's logits to predictions, and to files of them."""

    metric: tuple[str, str]
    """The main metric: its key in the card, and what it is called."""
    of_positions: bool
    """Whether it takes logits of each position, (B, classes, *S), or of whole images, (B, classes)."""

    def __init__(self, card: Card, engine: Engine): ...

    def stream(self, images: Iterable[tuple[str, Array | str]]) -> Iterator[Any]:
        """Predictions one by one, in order, of (name, array); the reason in place of an array is passed on."""
        ...

    def collect(self, predictions: Iterable[Any]) -> Any:
        """What `predictor(images)` returns."""
        ...

    def write(
        self, predictor: Any, files: Iterable[Path], request: WriteRequest
    ) -> tuple[dict[str, str], int]:
        """Write predictions; the reason for each unreadable file, and how many were written."""
        ...
