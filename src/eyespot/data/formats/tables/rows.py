"""The rows of a table below its header: the header, a row of units and the lines before them are told apart."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from eyespot.data.formats.tables.cells import MISSING, NUMBER, TEXT, TIME, kind_of
from eyespot.data.formats.tables.delimiter import NONE, SAMPLED, Notation, choose_notation
from eyespot.data.formats.tables.text import Line, content_lines
from eyespot.data.header import Unreadable
from eyespot.plurals import count

UNIT = re.compile(
    r"[\[(]?(|%|-|none|[kMmuµμn]?(V|A|g|Hz|Pa|N|Nm|W|T|m|Ω|ohm|volts?|amperes?)|[mµμun]?s(ec|econds?)?|min|h|hh:mm.*"
    r"|(m|cm|mm|km|rad|deg|°)/s(\^?2|²)?|m/s/s|deg|rad|° ?C|deg ?C|bpm|rpm|dB|adu|lsb|counts?|mmHg|px|a\.?u\.?)[\])]?",
    re.IGNORECASE,
)
"""What a cell of a row of units looks like."""
SHORT = 8
"""Rows below which a first row is not taken for their number."""


@dataclass(frozen=True)
class Table:
    """The rows of a table as text.

    rows       of equally many cells
    lines      the line of each row
    kinds      of each column: NUMBER, TIME or TEXT
    names      of the columns, empty where there is no header
    units      of the columns, empty where there is no row of units
    skipped    lines before the header that are no comments
    """

    notation: Notation
    rows: list[list[str]]
    lines: list[int]
    kinds: tuple[str, ...]
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    skipped: int = 0

    def column(self, i: int) -> list[str]:
        """The cells of a column."""
        return [row[i] for row in self.rows]

    def called(self, i: int) -> str:
        """What a column is called in messages: column 2 (ecg)."""
        name = self.names[i] if self.names else ""
        return f"column {i + 1} ({name})" if name else f"column {i + 1}"


def read_table(text: str, decimal: str) -> Table:
    """The rows of a text. Raises Unreadable where these are not equally long, or there is none.

    decimal   "comma" or "point" where the user said what commas are, else empty
    """
    lines, comments = content_lines(text)
    if not lines:
        raise Unreadable("it holds no row of numbers")
    notation = choose_notation([line for _, line in lines], decimal)
    rows = [notation.cells(line) for _, line in lines]
    columns, kinds = _columns(rows, notation)
    start = _first_row(rows, kinds, notation)
    if start:
        _check_header(rows[start - 1], kinds, notation, lines[start - 1][0])
    names, units = _header(rows[:start], columns, comments, notation, lines[start][0])
    header = bool(names) + bool(units)
    numbers = [number for number, _ in lines[start:]]
    below = rows[start:]
    if notation.delimiter == NONE and _is_count(below):
        below = below[1:]
        numbers = numbers[1:]
        start += 1
    if notation.delimiter == NONE:
        below, numbers = _with_empty_lines(below, numbers, {number for number, _ in comments})
    _check_lengths(below, numbers, columns)
    if (notation.delimiter, notation.decimal) == (",", ".") and not decimal:
        _refuse_leading_zeros(below, numbers)
    table = Table(notation, below, numbers, kinds, names, units, max(0, start - header))
    return _without_empty_end(table)


def _columns(rows: list[list[str]], notation: Notation) -> tuple[int, tuple[str, ...]]:
    """How many columns the rows have, and what most cells of each hold."""
    step = max(1, len(rows) // SAMPLED)
    with_kinds = [(row, [kind_of(cell, notation.decimal) for cell in row]) for row in rows[::-1][::step]]
    of_numbers = [kinds for _, kinds in with_kinds if NUMBER in kinds]
    lengths = Counter(map(len, of_numbers))
    columns = max(lengths, key=lambda n: (lengths[n], n))
    cells = zip(*(kinds for kinds in of_numbers if len(kinds) == columns), strict=True)
    return columns, tuple(map(_common_kind, cells))


def _common_kind(kinds: Sequence[str]) -> str:
    counts = Counter(kinds)
    filled = max((NUMBER, TIME, TEXT), key=lambda kind: counts[kind])
    return filled if counts[filled] else MISSING


def _first_row(rows: list[list[str]], kinds: tuple[str, ...], notation: Notation) -> int:
    """The first row whose numbers stand where those of most rows do."""
    for i, row in enumerate(rows):
        have = [kind_of(cell, notation.decimal) for cell in row]
        fits = len(have) == len(kinds) and NUMBER in have
        if fits and all(a == b or MISSING in (a, b) or b == TEXT for a, b in zip(have, kinds, strict=True)):
            return i + _is_numbered_header(rows[i : i + 3], notation.decimal)
    raise Unreadable("it holds no row of numbers")


def _is_numbered_header(rows: list[list[str]], decimal: str) -> bool:
    """Whether the first row is 0, 1, 2, ... as pandas names columns, and the next ones are other numbers."""
    cells = rows[0][rows[0][0] == "" :]
    counted = cells == [str(k) for k in range(len(cells))]
    return (
        counted
        and len(rows) > 1
        and (
            rows[0][0] == "" or (len(cells) > 1 and all(decimal in cell for row in rows[1:] for cell in row))
        )
    )


def _check_header(row: list[str], kinds: tuple[str, ...], notation: Notation, line: int) -> None:
    """Raise Unreadable where the line above the first row is a row too, with text where a number should be."""
    have = [kind_of(cell, notation.decimal) for cell in row]
    is_header = have[0] != NUMBER
    worded = any(character.isalpha() for cell in row for character in cell)
    if len(row) == len(kinds) and TEXT in have and (not worded or (NUMBER in have and not is_header)):
        wrong = next(cell for cell, kind in zip(row, have, strict=True) if kind == TEXT)
        raise Unreadable(f"its line {line} has a value that is not numeric: {wrong[:40]}")


def _is_metadata(row: list[str], notation: Notation) -> bool:
    """Whether a row says something, as "rate,360" does: text and numbers that do not count the columns."""
    numbers = [cell for cell in row if kind_of(cell, notation.decimal) == NUMBER]
    counted = [[str(start + k) for k in range(len(numbers))] for start in (0, 1)]
    return bool(numbers) and numbers not in counted


def _header(
    above: list[list[str]], columns: int, comments: list[Line], notation: Notation, first: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the columns and their units, from the rows above the numbers or a comment right above them."""
    rows = [() if _is_metadata(row, notation) else _aligned(row, columns) for row in above]
    if not rows or not rows[-1]:
        commented = [line.lstrip().lstrip('"#%/; ') for number, line in comments if number < first]
        names = _aligned(notation.cells(commented[-1]), columns) if commented and columns > 1 else ()
        return names, ()
    if len(rows) > 1 and rows[-2] and any(rows[-1]) and all(UNIT.fullmatch(cell) for cell in rows[-1]):
        return rows[-2], rows[-1]
    if all(UNIT.fullmatch(cell) for cell in rows[-1]) and any(cell[:1] in tuple("([") for cell in rows[-1]):
        return (), rows[-1]
    return rows[-1], ()


def _aligned(row: list[str], columns: int) -> tuple[str, ...]:
    """A header with as many cells as there are columns, or none. R leaves out the name of the first."""
    if len(row) == columns:
        return tuple(cell.strip("'") for cell in row)
    return ("", *row) if len(row) == columns - 1 and columns > 2 else ()


def _is_count(rows: list[list[str]]) -> bool:
    """Whether the first row of one column is the number of the others."""
    return len(rows) > SHORT and rows[0] == [str(len(rows) - 1)]


def _with_empty_lines(
    rows: list[list[str]], lines: list[int], comments: set[int]
) -> tuple[list[list[str]], list[int]]:
    """Rows of one column with empty ones for empty lines between them, unless every other line is empty."""
    present = dict(zip(lines, rows, strict=True))
    between = [n for n in range(lines[0], lines[-1]) if n not in present and n not in comments]
    if not between or 2 * len(between) >= len(rows):
        return rows, lines
    numbers = sorted([*lines, *between])
    return [present.get(n, [""]) for n in numbers], numbers


def _check_lengths(rows: list[list[str]], lines: list[int], columns: int) -> None:
    for row, line in zip(rows, lines, strict=True):
        if len(row) != columns:
            raise Unreadable(
                f"its line {line} has {count(len(row), 'column')} and not {columns}: delete it, or begin comments with #"
            )


def _refuse_leading_zeros(rows: list[list[str]], lines: list[int]) -> None:
    """Raise Unreadable where commas between columns seem to be decimals or to separate thousands as well."""
    for row, line in zip(rows, lines, strict=True):
        for cell in row[1:]:
            if len(cell) > 1 and cell[0] == "0" and cell[1].isdecimal() and kind_of(cell, ".") == NUMBER:
                raise Unreadable(
                    f"its line {line} has {cell} after a comma, as if commas were decimals or separated thousands: "
                    "separate columns by semicolons, or give --decimal point"
                )


def _without_empty_end(table: Table) -> Table:
    """Without the empty column that a delimiter at the end of every line makes."""
    if table.kinds[-1] != MISSING or any(table.column(-1)):
        return table
    return replace(
        table,
        rows=[row[:-1] for row in table.rows],
        kinds=table.kinds[:-1],
        names=table.names[:-1],
        units=table.units[:-1],
    )
