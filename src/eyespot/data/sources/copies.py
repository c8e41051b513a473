"""Folders that `eyespot augment` wrote: copies of one original belong together, as the table beside them says."""

import csv
from dataclasses import replace
from pathlib import Path

from eyespot.data.guesses import Guess
from eyespot.data.sources.samples import Sample, Source
from eyespot.errors import UserError

TABLE = "augmented.csv"
"""The table in the folder of an enlarged data set."""
Row = dict[str, str]
COLUMNS = ("path", "group", "source", "transform", "parameters", "seed")
"""Columns that it has at least; the path is that of a file in the folder."""
MADE = ("source", "transform", "parameters", "seed")
"""Columns that say how a file was made."""
FIRST = "original"
"""The column of the file that all changes began with: another than the source for a copy of a copy."""


def with_originals(root: Path, source: Source) -> Source:
    """The samples of a folder, those of one original as a group, where such a table lists them; else as they are.

    The table may lie in the folder, above it or in one below: what was written may have been moved or divided since.
    """
    tables = _Tables(root)
    samples = tuple(_with_original(sample, tables) for sample in source.samples)
    if samples == source.samples:
        return source
    guess = Guess(
        "groups",
        "copies stay on one side of the split with their original",
        f"{TABLE} lists them",
        "--duplicates keep --group '.+' to take them as independent",
    )
    others = {
        missing: kept
        for missing, paths in source.without.items()
        if (kept := tuple(p for p in paths if p.name != TABLE))
    }
    return replace(source, samples=samples, without=others, guesses=(*source.guesses, guess))


def _with_original(sample: Sample, tables: "_Tables") -> Sample:
    row = tables.row_of(sample.path)
    if not row:
        return sample
    return replace(
        sample,
        group=row["group"] or sample.group,
        original=row.get(FIRST) or row["source"],
        made=tuple(row[name] or "" for name in MADE),
    )


class _Tables:
    """The tables of folders, each read once."""

    def __init__(self, root: Path):
        self.highest = root.absolute().parent
        self.known: dict[Path, dict[str, Row]] = {}

    def row_of(self, path: Path) -> Row:
        """The row of a file in the nearest table above it that lists it; empty where none does"""
        whole = path.absolute()
        for folder in whole.parents:
            if folder not in self.known:
                self.known[folder] = _rows(folder)
            if row := self.known[folder].get(whole.relative_to(folder).as_posix()):
                return row
            if folder == self.highest:
                break
        return {}


def _rows(folder: Path) -> dict[str, Row]:
    """The row of each file, by its path in the folder; empty where it has no such table."""
    path = folder / TABLE
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            table = csv.DictReader(file)
            if not set(COLUMNS) <= set(table.fieldnames or ()):
                return {}
            return {row["path"]: row for row in table}
    except (OSError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read: {error}; it says which files are copies of one original"
        ) from error
