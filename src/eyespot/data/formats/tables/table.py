"""Text files with a row of numbers per sample as signals (L, C)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.foreign import foreign_kind
from eyespot.data.formats.tables.columns import Columns, choose_columns
from eyespot.data.formats.tables.rows import Table, read_table
from eyespot.data.formats.tables.text import as_text
from eyespot.data.formats.tables.time_axis import SHORT
from eyespot.data.guesses import Guess
from eyespot.data.header import Array, Decoded, Header, ReadOptions, Unreadable, as_depth, check_size
from eyespot.plurals import count

HEAD = 1 << 14
"""Bytes of a file by which tables are recognised."""
OTHER_TEXT = re.compile(r"\s*(<|\{|\[|P[1-7]\s+(#.*\s+)*\d+\s+\d+\s)")
"""How XML, JSON and text forms of images (PGM) begin."""
TOKEN = re.compile(r"[+-]?[\d.,:/-]*\d[\d.,:/TZ-]*([eE][+-]?\d+)?|nan", re.IGNORECASE)
"""A number or a time, written in any way."""
LINES = 200
"""Lines by which tables are recognised."""
SHOWN = 4
"""Channels that are named."""
COMMAS = {",": "decimal marks", ".": "separate columns"}
"""What commas are, by the decimal mark."""
UNEVEN = "uneven"
"""The note of a table whose times are not evenly spaced."""
CONSTANT = "constant"
"""The note of a table of several channels of which one has a single value."""
CONSTANT_CHANNEL = "with a channel of a single value: if it is a label, leave it out by --columns"
UNEVEN_TIMES = (
    "with uneven time steps: read as if they were even; resample them, or leave out the times by --columns"
)


def looks_like_table(content: bytes) -> bool:
    """Text of which a line is numbers for the greater part."""
    text = as_text(content[:HEAD])
    if text is None or OTHER_TEXT.match(text) or foreign_kind(content):
        return False
    return any(map(_is_of_numbers, re.split(r"[\r\n]+", text)[:LINES]))


def _is_of_numbers(line: str) -> bool:
    cells = [cell for cell in re.split(r"[\s,;|\"]+", line) if cell]
    return bool(cells) and 2 * sum(TOKEN.fullmatch(cell) is not None for cell in cells) >= len(cells)


@dataclass(frozen=True)
class Signal:
    """A table as a signal.

    values    (L, C)
    spacing   seconds from row to row, empty where they are not known
    guesses   how the table was read
    notes     for the header
    """

    values: Array
    spacing: tuple[float, ...]
    guesses: tuple[Guess, ...]
    notes: tuple[str, ...]


def decode_table(content: bytes, options: ReadOptions) -> Decoded:
    """(L, C): a column per channel, without a column of times, which gives the spacing. Raises Unreadable."""
    signal = read_signal(content, options)
    return Decoded(signal.values, signal.spacing)


def table_header(content: bytes, digest: bytes, options: ReadOptions) -> Header:
    """The header of a table. Raises Unreadable."""
    signal = read_signal(content, options)
    samples, channels = signal.values.shape
    return Header(
        digest,
        "CSV",
        (samples,),
        channels,
        "float32",
        notes=signal.notes,
        spacing=signal.spacing,
        guesses=signal.guesses,
    )


def read_signal(content: bytes, options: ReadOptions) -> Signal:
    """Read a table. Raises Unreadable, with the line, for what is not a row of numbers like the others."""
    text = as_text(content)
    if text is None:
        raise Unreadable("it is not text")
    table = read_table(text, options.decimal)
    columns = choose_columns(table, options.columns, gaps=options.nan is not None)
    values = columns.values()
    guesses = [
        *_about_lines(table),
        *_about_commas(table, options.decimal),
        *_about_columns(columns, options),
    ]
    if len(values) == 1:
        values = values.T
        _check_single_row(table, columns)
        guesses.append(_about_row(values.size))
    elif values.shape[1] > len(values):
        raise Unreadable(
            f"it has {count(values.shape[1], 'channel')} of {count(len(values), 'sample')}: write a row per sample"
        )
    check_size(values.shape)
    step = 1 / options.rate if options.rate else columns.axis.step if columns.axis else None
    constant = len(values) >= SHORT and bool((values == values[0]).all(axis=0).any()) and values.shape[1] > 1
    uneven = columns.axis is not None and not columns.axis.even
    notes = (
        [UNEVEN] * uneven
        + [CONSTANT] * constant
        + ([COMMAS[table.notation.decimal]] if table.notation.reason else [])
    )
    return Signal(_as_float32(values), (step,) if step else (), tuple(guesses), tuple(notes))


def settled_decimal(headers: Iterable[Header]) -> str:
    """What commas are in the tables that decide it: "comma", "point", or empty where none does or they differ."""
    kinds = {mark for h in headers for mark, note in COMMAS.items() if note in h.notes}
    return {",": "comma", ".": "point"}[kinds.pop()] if len(kinds) == 1 else ""


def _check_single_row(table: Table, columns: Columns) -> None:
    """Raise Unreadable for a single number, and for a single row of columns with names of their own."""
    n = len(columns.channels)
    if n == 1:
        raise Unreadable("it holds a single number")
    names = [table.names[i] for i in columns.channels] if table.names else []
    if len({re.sub(r"\d+", "", name) for name in names}) > 1:
        raise Unreadable(
            f"it has {count(n, 'named column')} and 1 row, that is {count(n, 'channel')} of 1 sample: write a row per sample"
        )


def _as_float32(values: NDArray[np.float64]) -> Array:
    array = as_depth(values)
    if np.isinf(array).any():
        raise Unreadable(f"it holds a number that is too large ({np.abs(values).max():.3g})")
    return array


def _about_row(samples: int) -> Guess:
    value = f"1 channel of {count(samples, 'sample')}"
    return Guess("row", value, "the file is a single row of numbers", "write a row per sample")


def _about_commas(table: Table, asked: str) -> list[Guess]:
    notation = table.notation
    if not notation.reason and notation.decimal == "," and not asked:
        return [Guess("commas", COMMAS[","], "they are inside numbers", "write decimal points")]
    if not notation.reason:
        return []
    other = "point" if notation.decimal == "," else "comma"
    return [Guess("commas", COMMAS[notation.decimal], notation.reason, f"--decimal {other}")]


def _about_lines(table: Table) -> list[Guess]:
    """Lines that are not read."""
    if not table.skipped:
        return []
    value = f"{count(table.skipped, 'line')} at the top {'is' if table.skipped == 1 else 'are'} skipped"
    return [Guess("lines", value, "only the lines below are rows of numbers", "begin comments with #")]


def _about_columns(columns: Columns, options: ReadOptions) -> list[Guess]:
    """What the columns are, where some are no channels."""
    table = columns.table
    said = list(columns.others.values())
    if not said:
        return []
    axis = columns.axis
    names = [table.names[i] for i in columns.channels] if table.names else []
    shown = f" ({', '.join(names)})" if 0 < len(names) <= SHOWN and all(names) else ""
    rate = f" at {axis.rate}" if axis and not options.rate else ""
    value = "; ".join([f"{count(len(columns.channels), 'channel')}{shown}{rate}", *said])
    overrule = f"--columns 1-{len(table.kinds)}"
    overrule += ", --rate HZ" if rate else ""
    return [Guess("columns", value, " and ".join(dict.fromkeys(columns.reasons)), overrule)]
