"""Folders that `eyespot augment` wrote: copies of one original belong together, as the table beside them says."""

import csv
from dataclasses import replace
from pathlib import Path

from eyespot.data.guesses import Guess
from eyespot.data.sources.samples import Source
from eyespot.errors import UserError

TABLE = "augmented.csv"
"""The table in the folder of an enlarged data set."""
COLUMNS = ("path", "group", "source", "transform", "parameters", "seed")
"""Columns that it has at least; the path is that of a file in the folder."""


def with_originals(root: Path, source: Source) -> Source:
    """The samples of a folder, those of one original as a group, where the folder has such a table; else as they are."""
    groups = _groups(root)
    if not groups:
        return source
    samples = tuple(
        replace(sample, group=groups.get(_inside(sample.path, root), sample.group))
        for sample in source.samples
    )
    guess = Guess(
        "groups",
        "copies stay on one side of the split with their original",
        f"{TABLE} lists them",
        "--group '.+' for no groups",
    )
    others = {
        missing: kept
        for missing, paths in source.without.items()
        if (kept := tuple(p for p in paths if p != root / TABLE))
    }
    return replace(source, samples=samples, without=others, guesses=(*source.guesses, guess))


def _inside(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _groups(root: Path) -> dict[str, str]:
    """The group of each file, by its path in the folder; empty where there is no such table."""
    path = root / TABLE
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            table = csv.DictReader(file)
            if not set(COLUMNS) <= set(table.fieldnames or ()):
                return {}
            return {row["path"]: row["group"] or row["path"] for row in table}
    except (OSError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read: {error}; it says which files are copies of one original"
        ) from error
