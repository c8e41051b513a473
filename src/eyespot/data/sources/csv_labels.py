"""Labels of a CSV that are no classes: several in one cell, measured numbers, or not one 1 in a row."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from eyespot.data.sources.csv_words import words
from eyespot.errors import UserError
from eyespot.plurals import count

PLAIN_SEPARATORS = "|;"
"""What joins labels, where one of them occurs alone too."""
SEPARATORS = ",+&/ "
"""What joins labels, where all of them occur alone too: each is also in names of classes."""
OF_SEVERAL = frozenset("tag tags keyword keywords attribute attributes".split())
"""Words in names of columns whose cells hold several labels, which need not all occur alone."""
FEWEST_NUMBERS = 5
"""Different numbers from which they may be measurements."""
MOST_NUMBERS = 20
"""Different numbers with fractions from which they are."""
FEW_PER_NUMBER = 5


def check_labels(path: Path, column: str, labels: Sequence[str]) -> None:
    """Raises UserError where cells of a column hold several labels each, or where all are measured numbers."""
    counts = Counter(labels)
    _refuse_measurements(path, column, counts)
    several = bool(OF_SEVERAL & set(words(column)))
    for separator in PLAIN_SEPARATORS + SEPARATORS:
        joined = joined_labels(counts, separator, several or separator in PLAIN_SEPARATORS)
        if joined:
            n = sum(counts[label] for label in joined)
            example = joined[0]
            raise UserError(
                f"{path} gives {count(n, 'row')} several labels in the column {column}, such as {example!r}, and eyespot trains one class an "
                f"image: leave these rows out; if {example!r} is one class, write it without {separator!r}"
            )


def joined_labels(labels: Collection[str], separator: str, one_is_enough: bool) -> list[str]:
    """The labels that are several, joined: their pieces are labels too.

    one_is_enough   whether one piece that is a label decides, not all of them
    """
    alone = {_bare(label) for label in labels}
    enough = any if one_is_enough else all
    return [
        label
        for label in labels
        if len(pieces := _pieces(label, separator)) > 1 and enough(piece in alone for piece in pieces)
    ]


def _pieces(label: str, separator: str) -> list[str]:
    return [piece for text in label.split(separator) if (piece := _bare(text))]


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
