"""What `eyespot inspect` prints: names with their values, and a table of layers that fits the terminal."""

import io
import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from eyespot.wrapping import wrap_words

LABEL_WIDTH = 17
"""Characters of the names before a summary's values."""


def summary_line(label: str, value: str, width: int) -> str:
    """A name and its value, wrapped between words and indented."""
    line = f"{label.ljust(LABEL_WIDTH)}{value}"
    return wrap_words(line, width, " " * LABEL_WIDTH)


def layer_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], droppable: Sequence[int], width: int
) -> str:
    """Rows under a header, the first two columns to the left and numbers to the right.

    droppable   columns that are left out, in this order, where the table is wider than `width`
    """
    shown = list(range(len(header)))
    lengths = [max(len(row[k]) for row in (header, *rows)) for k in shown]
    candidates = [column for column in droppable if column < len(header)]
    omitted = []
    while candidates and sum(lengths[k] + 2 for k in shown) - 2 > width:
        omitted.append(header[candidates[0]])
        shown.remove(candidates.pop(0))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for k in shown:
        justify = "right" if k > 1 else "left"
        table.add_column(header[k], justify=justify, no_wrap=True, min_width=lengths[k])
    for row in rows:
        table.add_row(*(row[k] for k in shown))
    lines = render_lines(table, max(width, sum(lengths[k] + 2 for k in shown)))
    if omitted:
        note = f"Not shown, as the terminal has {width} columns: {', '.join(omitted)}. --json has all."
        lines += ["", *textwrap.wrap(note, width, break_long_words=False, break_on_hyphens=False)]
    return "\n".join(lines)


def render_lines(table: Table, width: int) -> list[str]:
    """The lines of a table as plain text"""
    text = io.StringIO()
    Console(
        file=text,
        width=width,
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
        force_jupyter=False,
    ).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]
