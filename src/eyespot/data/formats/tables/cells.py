"""What the cells of a table hold: numbers, nothing, times or text."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.tables.clock import is_time
from eyespot.data.header import Unreadable

NUMBERS = {
    decimal: re.compile(rf"[+-]?(\d+{mark}?\d*|{mark}\d+)([eE][+-]?\d+)?")
    for decimal, mark in ((".", r"\."), (",", ","))
}
"""Of the decimal marks, what a number looks like."""
NOTHING = frozenset(" nan +nan -nan na n/a #n/a null nil none - -- ? . inf +inf -inf infinity".split(" "))
"""What stands where a value is missing, in small letters; also what is not finite."""
GROUPED = re.compile(r"[+-]?\d{1,3}(?:([.,' \u00a0\u202f’_])\d{3})(?:\1\d{3})*(?:[.,]\d*)?")
"""A number with separators between thousands."""
LEAST_GROUPED = 3
"""Numbers by which separators between thousands are recognised where they could be decimal marks."""
NUMBER = "number"
MISSING = "missing"
TIME = "time"
TEXT = "text"


def kind_of(cell: str, decimal: str) -> str:
    """NUMBER, MISSING, TIME or TEXT."""
    if NUMBERS[decimal].fullmatch(cell):
        return NUMBER
    if cell.lower() in NOTHING or cell.startswith(("1.#", "-1.#")):  # as Microsoft's C library writes it
        return MISSING
    return TIME if is_time(cell) else TEXT


def numbers(
    cells: Sequence[str], lines: Sequence[int], decimal: str, column: str, gaps: bool = False
) -> NDArray[np.float64]:
    """(n,) the values of a column.

    lines    the line of each cell
    column   what the column is called in messages
    gaps     whether missing values become NaN, and are not refused

    Raises Unreadable, with the line, for what is not a finite number.
    """
    as_written = cells if decimal == "." else [cell.replace(",", ".") for cell in cells]
    try:
        values = np.array([float(cell) for cell in as_written])
    except ValueError:
        values = np.full(len(cells), np.nan)
    plain = np.isfinite(values).all() and not any("_" in cell for cell in cells)
    if plain and not (decimal == "," and any("." in cell for cell in cells)):
        _refuse_thousands(cells, lines, decimal, column)
        return values
    kinds = [kind_of(cell, decimal) for cell in cells]
    for cell, kind, line in zip(cells, kinds, lines, strict=True):
        if kind != NUMBER and not (gaps and kind == MISSING):
            raise Unreadable(f"its line {line} {_wrong(cell, kind, decimal, column)}")
    if gaps:
        pairs = zip(as_written, kinds, strict=True)
        return np.array([float(cell) if kind == NUMBER else np.nan for cell, kind in pairs])
    raise Unreadable(f"its {column} holds a number that is too large")


def _refuse_thousands(cells: Sequence[str], lines: Sequence[int], decimal: str, column: str) -> None:
    """Raise Unreadable where all the decimal marks of a column seem to separate thousands: 1,050 beside 950."""
    marked = [(cell, line) for cell, line in zip(cells, lines, strict=True) if decimal in cell]
    if len(marked) < LEAST_GROUPED or len(marked) == len(cells):
        return
    if all(GROUPED.fullmatch(cell) and cell.lstrip("+-")[0] != "0" for cell, _ in marked) and all(
        decimal in cell or (cell.lstrip("+-").isdecimal() and len(cell.lstrip("+-")) <= 3) for cell in cells
    ):
        cell, line = marked[0]
        raise Unreadable(f"its line {line} {_wrong(cell, TEXT, '', column)}")


def _wrong(cell: str, kind: str, decimal: str, column: str) -> str:
    """What is wrong with a cell that is not a number, and the remedy."""
    if kind == MISSING:
        shown = f" ({cell})" if cell else ""
        return f"has no value{shown} in {column}: fill it in, delete the line, or give --nan VALUE"
    if GROUPED.fullmatch(cell) and (not decimal or not NUMBERS[_other(decimal)].fullmatch(cell)):
        return f"has {cell} in {column}, with a separator between thousands: write it without"
    if NUMBERS[_other(decimal)].fullmatch(cell):
        mark = {".": "comma", ",": "point"}[decimal]
        return f"has {cell} in {column}, with a decimal {mark} unlike the other lines: write all alike"
    return f"has a value that is not numeric: {cell[:40]} in {column}"


def _other(decimal: str) -> str:
    return "," if decimal == "." else "."
