"""Labels of a CSV that are no classes: several in one cell, measured numbers, or not one 1 in a row."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from eyespot.errors import UserError
from eyespot.plurals import count

PLAIN_SEPARATORS = "|;"
"""What joins labels, where one of them occurs alone too."""
SEPARATORS = ",+&/ "
"""What joins labels, where all of them occur alone too: each is also in names of classes."""
FEWEST_NUMBERS = 5
"""Different numbers from which they may be measurements."""
MOST_NUMBERS = 20
"""Different numbers with fractions from which they are."""
FEW_PER_NUMBER = 5


def check_labels(path: Path, column: str, labels: Sequence[str]) -> None:
    """Raises UserError where cells of a column hold several labels each, or where all are measured numbers."""
    counts = Counter(labels)
    _refuse_measurements(path, column, counts)
    for separator in PLAIN_SEPARATORS + SEPARATORS:
        joined = [label for label in counts if _several(label, separator, counts)]
        if joined:
            n = sum(counts[label] for label in joined)
            example = joined[0]
            raise UserError(
                f"{path} gives {count(n, 'row')} several labels in the column {column}, such as {example!r}, and eyespot trains one class an "
                f"image: leave these rows out; if {example!r} is one class, write it without {separator!r}"
            )


def _several(label: str, separator: str, counts: Counter[str]) -> bool:
    """Whether a cell is several labels: its pieces occur as labels of other rows."""
    pieces = [_bare(piece) for piece in label.split(separator)]
    pieces = [piece for piece in pieces if piece]
    if len(pieces) < 2:
        return False
    alone = {_bare(other) for other in counts if other != label}
    enough = any if separator in PLAIN_SEPARATORS else all
    return enough(piece in alone for piece in pieces)


def _bare(piece: str) -> str:
    """A label without the brackets and quotes of a list."""
    return piece.strip(" []'\"")


def _refuse_measurements(path: Path, column: str, counts: Counter[str]) -> None:
    try:
        values = {float(label.replace(",", ".")) for label in counts}
    except ValueError:
        return
    rows = counts.total()
    fractions = any(value % 1 for value in values)
    rare = rows < FEW_PER_NUMBER * len(values)
    once = rows < 2 * len(values)
    if len(values) >= FEWEST_NUMBERS and (once or (fractions and (rare or len(values) > MOST_NUMBERS))):
        raise UserError(
            f"the column {column} of {path} holds numbers that measure something ({len(values)} different ones in {count(rows, 'row')}): "
            "group them into classes, such as low, middle and high"
        )


def check_one_hot(path: Path, ones: Sequence[Sequence[str]]) -> None:
    """Raises UserError where rows do not have one 1.

    ones   by row, the columns that have a 1
    """
    none = [line for line, columns in enumerate(ones, start=2) if not columns]
    several = [line for line, columns in enumerate(ones, start=2) if len(columns) > 1]
    if not (none or several):
        return
    parts = []
    if several:
        columns = ", ".join(ones[several[0] - 2][:5])
        parts.append(
            f"{count(len(several), 'row')} of {len(ones)} with several 1s (line {several[0]} has the 1 in {columns})"
        )
    if none:
        parts.append(f"{count(len(none), 'row')} of {len(ones)} without a 1 (the first is line {none[0]})")
    remedy = "leave these rows out, or give one class in a column label"
    raise UserError(f"{path} has {' and '.join(parts)}, and an image has one class: {remedy}")
