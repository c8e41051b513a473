"""What separates the cells of a table, and the decimal mark of its numbers: decided by its lines."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eyespot.data.formats.tables.cells import MISSING, NUMBER, TIME, kind_of
from eyespot.data.formats.tables.decimal_comma import decimals_or_columns
from eyespot.data.header import Unreadable

SAMPLED = 50
"""Lines, evenly spaced, by which the delimiter is chosen."""
COMMA_AND_SPACE = ", "
SPACES = " "
NONE = ""
QUOTES = "\"'"


@dataclass(frozen=True)
class Notation:
    """How the cells of a line are written.

    delimiter   a character, NONE for one column, SPACES for any number of them, or COMMA_AND_SPACE
    decimal     the decimal mark, "." or ","
    reason      where commas could be decimals or separate columns: why they are what they are
    """

    delimiter: str
    decimal: str
    reason: str = ""

    def may_fit(self, text: str) -> bool:
        """Whether the delimiter and the decimal mark are in a text at all."""
        within = self.delimiter in text or (self.delimiter == SPACES and "\t" in text)
        return within and (self.decimal == "." or "," in text)

    def cells(self, line: str) -> list[str]:
        """The cells of a line, without quotes and spaces around them."""
        if self.delimiter == SPACES:
            return [cell.strip(QUOTES) for cell in line.split()]
        if self.delimiter == NONE:
            return [line.strip().strip(QUOTES).strip()]
        if self.delimiter == COMMA_AND_SPACE:
            return [cell.strip("'") for cell in re.split(r",\s+", line.strip())]
        cells = line.split(self.delimiter)
        if '"' in line:
            cells = next(csv.reader([line.lstrip()], delimiter=self.delimiter, skipinitialspace=True))
        return (
            [cell.strip().strip("'").strip() for cell in cells]
            if "'" in line
            else [cell.strip() for cell in cells]
        )


NOTATIONS = tuple(
    Notation(delimiter, decimal)
    for delimiter in ("\t", ";", "|", COMMA_AND_SPACE, ",", SPACES, NONE)
    for decimal in ".,"
    if (delimiter, decimal) != (COMMA_AND_SPACE, ".")
)
"""Of those that fit equally many lines the first is chosen."""
BY_COMMAS = COMMA_SEPARATED, COMMA_DECIMAL = Notation(",", "."), Notation(NONE, ",")


def choose_notation(lines: Sequence[str], decimal: str) -> Notation:
    """The notation that most lines are numbers in.

    decimal   "comma" or "point" where the user said what commas are, else empty

    Raises Unreadable where no line is, and where it cannot be decided whether commas are decimals.
    """
    places = sorted(set(np.linspace(0, len(lines) - 1, SAMPLED).astype(int).tolist()))
    chosen_lines = [lines[int(i)] for i in places]
    text = "\n".join(chosen_lines)
    fits = {
        notation: _fit(notation, chosen_lines) if notation.may_fit(text) else (0, 0) for notation in NOTATIONS
    }
    best = max(fits, key=lambda notation: fits[notation])  # the first of equals
    if fits[best] == (0, 0):
        raise Unreadable("it is text without rows of numbers")
    if best not in BY_COMMAS or not 0 < fits[COMMA_SEPARATED][0] <= fits[COMMA_DECIMAL][0]:
        return best
    if decimal:
        is_decimal = decimal == "comma"
        reason = ""
    else:
        is_decimal, reason = decimals_or_columns(lines)
    chosen = COMMA_DECIMAL if is_decimal else COMMA_SEPARATED
    return Notation(chosen.delimiter, chosen.decimal, reason)


def _fit(notation: Notation, lines: Sequence[str]) -> tuple[int, int]:
    """Lines of the same number of cells that are all numbers, and those of which some are."""
    whole: Counter[int] = Counter()
    partly: Counter[int] = Counter()
    commas = False
    for line in lines:
        cells = notation.cells(line)
        kinds = [kind_of(cell, notation.decimal) for cell in cells]
        if NUMBER not in kinds or (notation.delimiter != NONE and len(cells) == 1):
            continue
        commas = commas or any("," in cell for cell in cells)
        whole[len(cells)] += {*kinds} <= {NUMBER, MISSING, TIME}
        partly[len(cells)] += 1
    if notation.decimal == "," and not commas:
        return 0, 0  # as with points
    return max(whole.values(), default=0), max(partly.values(), default=0)
