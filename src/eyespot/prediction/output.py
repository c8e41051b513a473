"""What a predictor asks of the prediction half of a task."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from eyespot.data.header import Array
from eyespot.environment import positive_number
from eyespot.plurals import count
from eyespot.prediction.engine import Engine
from eyespot.weights.card import Card

MEMORY_MB = max(1, int(positive_number("EYESPOT_MEMORY_MB", 1200)))
"""Megabytes that predicting one image may take; larger images are cut into tiles."""

NOT_FINITE = "the network's result is not finite: its values are far from those trained on"
"""Why an image has no prediction: the likeliest of classes that are not a number would be the first one."""


@dataclass(frozen=True)
class WriteRequest:
    """Where and how predictions are written.

    run             as the user named it, for messages
    out             a file or a folder; None for standard output
    format          table, csv or jsonl; None for what fits `out`
    common          the folder that all inputs are in, whose own folders are kept
    instances       a number for each object in place of classes; None for what the training masks had
    probabilities   of every class as well
    force           whether files that exist are overwritten
    """

    run: str
    out: Path | None = None
    format: str | None = None
    common: Path | None = None
    instances: bool | None = None
    probabilities: bool = False
    force: bool = False


class Written(NamedTuple):
    """What became of the files: the reason for each unreadable one, the predictions, and files that were in the way."""

    unread: dict[str, str]
    count: int
    existing: tuple[Path, ...] = ()

    def and_also(self, other: "Written") -> "Written":
        """Of both together."""
        return Written(
            self.unread | other.unread, self.count + other.count, (*self.existing, *other.existing)
        )


class Source(Protocol):
    """Where predictions of files come from: this process, or others."""

    def stream(self, images: Iterable[Any]) -> Iterator[Any]:
        """Predictions one by one, in order; for an image that cannot be read, the reason."""
        ...

    def write_masks(self, files: Iterable[Path], request: WriteRequest) -> Iterator[Written]:
        """Write the masks of files, some at a time."""
        ...


def existing_sentence(existing: Sequence[Path]) -> str:
    """That files were in the way, and the remedy."""
    exist, them = ("exists", "it") if len(existing) == 1 else ("exist", "them")
    files = count(len(existing), "mask file")
    return f"{files} already {exist}, such as {existing[0]}: name another folder, or overwrite {them} with --force"


class Output(Protocol):
    """From the engine's logits to predictions, and to files of them."""

    metric: tuple[str, str]
    """The main metric: its key in the card, and what it is called."""
    of_positions: bool
    """Whether it takes logits of each position, (B, classes, *S), or of whole images, (B, classes)."""
    ahead: int
    """Images that are decoded while the engine computes; 0 for a few."""

    def __init__(self, card: Card, engine: Engine): ...

    def stream(self, images: Iterable[tuple[str, Array | str]]) -> Iterator[Any]:
        """Predictions one by one, in order, of (name, array); the reason in place of an array is passed on."""
        ...

    def collect(self, predictions: Iterable[Any]) -> Any:
        """What `predictor(images)` returns."""
        ...

    def write(self, source: Source, files: Iterable[Path], request: WriteRequest) -> Written:
        """Write predictions of files."""
        ...
