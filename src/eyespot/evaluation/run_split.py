"""Which images a run trained on, and which it did not: its split.csv."""

import csv
import tomllib
from pathlib import Path

from eyespot.data.sources.find import find_samples
from eyespot.data.sources.samples import Source
from eyespot.errors import UserError

SPLIT = "split.csv"


def trained_content(run: Path) -> set[str]:
    """The digests of the files that a run trained on, as far as its split.csv lists them."""
    rows = split_rows(run) if (run / SPLIT).exists() else []
    return {row["content"] for row in rows if row["split"] == "train"}


def trained_before(start_from: str) -> set[str]:
    """The digests of the files that the weights of a run, and those that it started from itself, were trained on."""
    content: set[str] = set()
    visited: set[Path] = set()
    path = Path(start_from)
    while True:
        folder = (path if path.is_dir() else path.parent).resolve()
        if folder in visited or not (folder / SPLIT).exists():
            return content
        visited.add(folder)
        content |= trained_content(folder)
        earlier = _start_of(folder)
        if not earlier:
            return content
        path = Path(earlier)


def _start_of(folder: Path) -> str:
    """What a run started from, by its plan; empty where that is not known."""
    try:
        return str(tomllib.loads((folder / "plan.toml").read_text(encoding="utf-8")).get("start_from", ""))
    except (OSError, ValueError):
        return ""


def split_rows(run: Path) -> list[dict[str, str]]:
    """The rows of a run's split.csv."""
    try:
        with (run / SPLIT).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(
            f"{run / SPLIT} cannot be read ({error.strerror}), so the images of the validation set are not known: name a data set to evaluate on"
        ) from error


def untrained(run: Path) -> Source:
    """The images that a run did not train on: its test set, or its validation set."""
    source = find_samples(run / SPLIT) if (run / SPLIT).exists() else None
    if source is None:
        raise UserError(
            f"{run} has no {SPLIT}, so the images of the validation set are not known: name a data set to evaluate on"
        )
    return in_splits(source, "test", "val")


def in_splits(source: Source, *splits: str) -> Source:
    """The images of the first of these splits that there is; all of them, if there is none."""
    wanted = next((split for split in splits if split in source.splits), None)
    return source.only([i for i, s in enumerate(source.samples) if wanted in (None, s.split)])
