"""The history of a run for other programs: a JSON line per validation, or what TensorBoard reads."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from eyespot.errors import UserError
from eyespot.files import remove_folder, write_file
from eyespot.training.state import Row

JSON_LINES = "history.jsonl"
"""The file in the run folder."""
TENSORBOARD = "tensorboard"
"""The folder in the run folder that has TensorBoard's files."""


class Log(Protocol):
    """Where the history goes beside history.csv."""

    def write(self, history: Sequence[Row]) -> None:
        """The history so far; rows that were written before are not written twice."""
        ...


class NoLog:
    """history.csv is written in any case."""

    def write(self, history: Sequence[Row]) -> None:
        pass


class JsonLines:
    """history.jsonl: an object for each validation, with the columns of history.csv."""

    def __init__(self, folder: Path):
        self.path = folder / JSON_LINES

    def write(self, history: Sequence[Row]) -> None:
        write_file(self.path, "".join(json.dumps(asdict(row)) + "\n" for row in history))


class TensorBoard:
    """TensorBoard's scalars, by samples seen. What a run wrote before it was resumed is written again, and once."""

    def __init__(self, folder: Path, per_epoch: int):
        remove_folder(folder / TENSORBOARD)
        self.folder = folder / TENSORBOARD
        self.per_epoch = per_epoch
        self.writer: Any = None
        self.written = 0

    def write(self, history: Sequence[Row]) -> None:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(self.folder))
        for row in history[self.written :]:
            values = asdict(row)
            step = round(values.pop("epoch") * self.per_epoch)
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)
        self.written = len(history)
        self.writer.flush()


def check_log(kind: str | None) -> None:
    """Raise UserError where a package is needed that is not installed."""
    if kind == "tensorboard" and find_spec("tensorboard") is None:
        raise UserError(
            "--log tensorboard needs the package tensorboard: pip install 'eyespot[tensorboard]', or give --log jsonl"
        )


def new_log(kind: str | None, folder: Path, per_epoch: int) -> Log:
    """The log of this kind in a run folder, for epochs of so many samples."""
    if kind == "jsonl":
        return JsonLines(folder)
    return TensorBoard(folder, per_epoch) if kind == "tensorboard" else NoLog()
