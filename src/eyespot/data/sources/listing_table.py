"""A table in a folder that lists the folder's files: it may say the classes."""

import csv
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path, PureWindowsPath

from eyespot.data.sources.copies import TABLE as COPIES
from eyespot.data.sources.stems import stem_of

MOST_TABLES = 50
ROWS = 20
"""Rows that are read of a table."""
ENOUGH = 0.8
"""The share of these rows that name a file."""
FEWEST = 3
COVERED = 0.5
"""The share of the files for which it must have rows."""


def listing_table(tables: Iterable[Path], files: Sequence[Path]) -> Path | None:
    """The first table with a column that names files, and another column, and enough rows for half of the files."""
    names = {name for path in files for name in (path.name, stem_of(path))}
    others = (path for path in tables if path.name != COPIES)
    chosen = (path for path in islice(others, MOST_TABLES) if _lists(path, names))
    return next((path for path in chosen if _lines(path) >= COVERED * len(files)), None)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") + 1


def _lists(path: Path, names: set[str]) -> bool:
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            head = file.readline()
            delimiter = max(",;\t", key=head.count)
            rows = list(islice(csv.reader(file, delimiter=delimiter), ROWS))
    except (OSError, csv.Error):
        return False
    rows = [row for row in rows if len(row) > 1]
    if len(rows) < FEWEST:
        return False
    columns = zip(*rows, strict=False)
    return any(sum(_name(cell) in names for cell in column) >= ENOUGH * len(rows) for column in columns)


def _name(cell: str) -> str:
    """The name of a file without its folders, which may be written as on Windows."""
    return PureWindowsPath(cell.strip()).name
