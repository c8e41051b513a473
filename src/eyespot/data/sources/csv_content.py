"""What a column of a CSV is by its values: names of files, classes, or 0 and 1 for each class."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from eyespot.data.sources.csv_rows import Row
from eyespot.data.sources.samples import SPLITS

SAMPLED = 20
"""Rows by which columns of names are recognised."""
ENOUGH = 0.8
"""The share of them that name files."""
MOST_CLASSES = 0.5
"""Different values of a column of classes, as a share of the rows."""
MOST_NUMBERS = 20
"""Different numbers of a column of classes."""
BINARY = frozenset("0 1 0.0 1.0 -1 -1.0".split()) | {""}
MANY_NUMBERS = 16
"""Numbers in every row from which a row is a sample itself."""


def values(rows: Sequence[Row], column: str) -> list[str]:
    """The cells of a column without spaces around them."""
    return [(row[column] or "").strip() for row in rows]


def names_files(rows: Sequence[Row], column: str, is_file: Callable[[str], bool]) -> bool:
    """Whether nearly all cells of a column are different, and name files."""
    cells = [cell for cell in values(rows, column) if cell]
    if len(set(cells)) < 0.9 * len(rows):
        return False
    places = np.unique(np.linspace(0, len(cells) - 1, SAMPLED).astype(int)).tolist()
    return sum(is_file(cells[i]) for i in places) >= ENOUGH * len(places)


def may_be_classes(rows: Sequence[Row], column: str) -> bool:
    """Whether a column has a few values that recur, and that are no splits and no measured numbers."""
    counts = Counter(values(rows, column))
    filled = counts.total() - counts.pop("", 0)
    if len(counts) < 2 or filled < 0.9 * len(rows) or len(counts) > MOST_CLASSES * filled:
        return False
    if all(value.lower() in SPLITS for value in counts):
        return False
    return len(counts) <= MOST_NUMBERS or not all(map(is_number, counts))


def is_binary(rows: Sequence[Row], column: str) -> bool:
    """Whether a column holds 0 and 1, -1 for unclear, and nothing else; and something."""
    cells = set(values(rows, column))
    return cells <= BINARY and bool(cells - {""})


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with a point or a comma."""
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def one_to_one(rows: Sequence[Row], a: str, b: str) -> bool:
    """Whether two columns say the same in other words, as an id and a name of a class do."""
    pairs = set(zip(values(rows, a), values(rows, b), strict=True))
    return len(pairs) == len({x for x, _ in pairs}) == len({y for _, y in pairs})


def numbers_in_rows(rows: Sequence[Row]) -> int:
    """How many numbers every row has at least; the words of a cell count each."""
    cells = ([word for cell in row.values() for word in (cell or "").split()] for row in rows[:SAMPLED])
    return min(sum(map(is_number, words)) for words in cells)
