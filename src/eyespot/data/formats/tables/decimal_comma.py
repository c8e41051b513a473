"""Lines such as "3,14": one column of decimals, or two columns of whole numbers?"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Unreadable
from eyespot.plurals import count

PAIR = re.compile(r"\s*([+-]?\d+),([+-]?\d+)(?:[eE][+-]?\d+)?\s*")
WHOLE = re.compile(r"\s*[+-]?\d+\s*")
FEW = 8
"""Lines below which commas are taken to separate, as the name CSV says."""
ENOUGH = 50
"""Lines of which 99% of the tables of decimals have one with a zero after the comma."""
ONE_NAME = re.compile(r"[^\W\d]\w*( ?[\[(][^,]*[\])])?")
TWO_NAMES = re.compile(r"[^,]*[^\W\d][^,]*,[^,]*[^\W\d][^,]*")
"""What the first line is where it is a header."""


def decimals_or_columns(lines: Sequence[str]) -> tuple[bool, str]:
    """Whether commas are decimal marks in lines of two whole numbers, and the evidence over all lines.

    Raises Unreadable where the evidence is contradictory or missing.
    """
    pairs = [(match[1], match[2]) for line in lines if (match := PAIR.fullmatch(line))]
    decimal = _for_decimals(lines, pairs)
    columns = _for_columns(lines[0].strip(), pairs)
    if decimal and not columns:
        return True, decimal
    if columns and not decimal:
        return False, columns
    if not decimal and len(pairs) < FEW:
        return False, f"the commas of {count(len(pairs), 'line')} are taken to separate columns"
    example = next(line.strip() for line in lines if PAIR.fullmatch(line))
    because = f"{decimal}, but {columns}" if decimal else "nothing in the file decides it"
    raise Unreadable(
        f"its lines such as {example} may be one column of decimals or two columns ({because}): "
        "give --decimal comma or --decimal point"
    )


def _for_decimals(lines: Sequence[str], pairs: Sequence[tuple[str, str]]) -> str:
    """What speaks for decimals; empty where nothing does."""
    zeros = sum(len(digits) > 1 and digits[0] == "0" for _, digits in pairs)
    if zeros:
        return f"{count(zeros, 'line')} of {len(pairs):,} have a zero right after the comma"
    if any(whole in ("-0", "+0") for whole, _ in pairs):
        return "-0 stands before a comma"
    without = sum(WHOLE.fullmatch(line) is not None for line in lines)
    if without and len(pairs) >= FEW:
        return f"{count(without, 'line')} of {len(pairs) + without:,} have no comma"
    return "the header has one name" if ONE_NAME.fullmatch(lines[0].strip()) else ""


def _for_columns(first: str, pairs: Sequence[tuple[str, str]]) -> str:
    """What speaks for two columns; empty where nothing does."""
    after = [digits for _, digits in pairs]
    if any(digits[0] in "+-" for digits in after):
        return "numbers after the comma have a sign"
    if TWO_NAMES.fullmatch(first) and not PAIR.fullmatch(first):
        return "the header has two names"
    if len(pairs) >= FEW and _counts([whole for whole, _ in pairs]):
        return "the numbers before the comma count"
    long = [digits for digits in after if len(digits) > 1]
    if len(long) >= ENOUGH and not any(digits[0] == "0" for digits in long):
        return f"none of {count(len(long), 'line')} has a zero right after the comma"
    return ""


def _counts(texts: Sequence[str]) -> bool:
    values: NDArray[np.int64] = np.array([int(text) for text in texts])
    return bool((np.diff(values) == 1).all())
