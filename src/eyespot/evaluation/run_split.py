"""Which images a run trained on, and which it did not: its split.csv."""

import csv
from dataclasses import replace
from pathlib import Path

from eyespot.data.groups import CLUSTER, share_of_groups
from eyespot.data.sources.find import find_samples
from eyespot.data.sources.samples import Source
from eyespot.errors import UserError

SPLIT = "split.csv"
VALIDATION = "validation"
"""What users call the split that split.csv calls val."""
NAMES = {"val": VALIDATION, "test": "test"}
"""What users call the sets that are not trained on."""
SEEN = "were trained on"
"""In the warning about images that the network has seen."""


def run_of(weights: str | Path) -> Path:
    """The run folder that weights are of: the folder itself, or that of a model file."""
    path = Path(weights)
    return path if path.is_dir() else path.parent


def split_rows(run: Path) -> list[dict[str, str]]:
    """The rows of a run's split.csv."""
    try:
        with (run / SPLIT).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(
            f"{run / SPLIT} cannot be read ({error.strerror}), so the images of the validation set are not known: name a data set to evaluate on"
        ) from error


def untrained(run: Path, split: str | None = None) -> Source:
    """The images that a run did not train on: its test set, or its validation set; or the one of them that is asked for."""
    if split is not None:
        return only_split(_listed(run), split, str(run))
    return in_splits(_listed(run), "test", "val")


def of_split(run: Path, split: str) -> Source:
    """The images of one split of a run."""
    return in_splits(_listed(run), split)


def only_split(source: Source, split: str, name: str) -> Source:
    """The images of one split that was asked for. name   of the run or data set, for the message

    Raises UserError for another word, and where there is no such split: other images would stand for it.
    """
    side = {VALIDATION: "val"}.get(split, split)
    if side not in ("val", "test"):
        raise UserError(f"the split is {split!r}: give {VALIDATION} or test")
    if side not in source.splits:
        there = ", ".join(VALIDATION if s == "val" else s for s in source.splits if s) or "none"
        raise UserError(
            f"{name} has no {VALIDATION if side == 'val' else side} set (its sets: {there}): leave out --split, or name another data set"
        )
    return in_splits(source, side)


def _listed(run: Path) -> Source:
    """The images of a run's split.csv, with the names of those that stay together."""
    source = find_samples(run / SPLIT) if (run / SPLIT).exists() else None
    if source is None:
        raise UserError(
            f"{run} has no {SPLIT}, so the images of the validation set are not known: name a data set to evaluate on"
        )
    names = [row.get(CLUSTER) or row.get("group") or "" for row in split_rows(run)]
    samples = zip(source.samples, names, strict=True)
    return replace(source, samples=tuple(replace(sample, group=name) for sample, name in samples))


def share_held_out(run: Path, split: str | None = None) -> str:
    """How many of a run's groups measure its result; empty where no groups were asked for."""
    rows = split_rows(run)
    names = [row.get("group") or "" for row in rows]
    sides = [row["split"] for row in rows]
    side = "test" if "test" in sides and split in (None, "test") else "val"
    return share_of_groups(names, sides, side) if all(names) else ""


def in_splits(source: Source, *splits: str) -> Source:
    """The images of the first of these splits that there is; all of them, if there is none."""
    wanted = next((split for split in splits if split in source.splits), None)
    return source.only([i for i, s in enumerate(source.samples) if wanted in (None, s.split)])
