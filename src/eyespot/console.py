"""What a person sees in a terminal: messages, progress, tables, plural forms, clocks.

Messages and progress go to standard error and can be silenced with `quiet`; results go to standard output.
"""

import io
import os
import re
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import IO, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from eyespot.notebook.line import is_notebook, show_line
from eyespot.plurals import count
from eyespot.wrapping import fitted, output_width, width_of

T = TypeVar("T")
FIRST_SECONDS = 2.0
"""Seconds until the first line of progress where there is no terminal."""
SECONDS = 10.0
"""Seconds between the lines of progress after it."""
LIVE_SECONDS = 0.5
"""Between two states of a line that is overwritten."""
VALUE_WIDTH = 17
"""Columns of the value of a setting."""
FIRST_WORK = 1.0
"""Seconds of work before progress says how long the rest takes."""
NUMBER = re.compile(r"[-+<>≤≥~]?\d[\d,. ]*\s?%?|")
KEPT = re.compile(r"\([^()]{1,16}\)")
"""What stays on one line of a cell where it fits, such as an interval."""
JOINED = "\ue000"
"""Stands for a space at which no line is broken."""


@cache
def stderr() -> Console:
    plain = (
        is_notebook()
    )  # whose streams say that they are terminals; rich would make an output of every line
    return Console(
        stderr=True,
        highlight=False,
        emoji=False,
        soft_wrap=plain or not sys.stderr.isatty(),
        force_jupyter=False,
        force_terminal=False if plain else None,
    )


def quiet(on: bool = True) -> None:
    """Silence messages and progress, or not. Errors and results are still written."""
    stderr().quiet = on


def say(text: str = "") -> None:
    """A line for the person at the terminal, never for the program that reads standard output."""
    stderr().print(fitted(text, width_of(sys.stderr)), markup=False, soft_wrap=True)


def say_setting(name: str, value: str, reason: str) -> None:
    """A setting with its reason, wrapped at the width of the terminal."""
    for line in setting_lines(name, value, reason, width_of(sys.stderr)):
        say(line)


def setting_lines(name: str, value: str, reason: str, width: int) -> list[str]:
    """The lines of a setting: its name, its value and the reason, in columns; a long value has lines of its own.

    >>> print(*setting_lines("fit", "pad", "all images are square", 60), sep="\\n")
      fit           pad               all images are square
    """
    if not value:
        return _wrapped(f"  {name:<14}", reason, width)
    if len(value) <= VALUE_WIDTH:
        return _wrapped(f"  {name:<14}{value:<{VALUE_WIDTH}} ", reason, width)
    pieces = _wrapped(f"  {name:<14}", value.replace("|", "| "), width)
    return [line.replace("| ", "|") for line in pieces] + _wrapped(" " * (17 + VALUE_WIDTH), reason, width)


def _wrapped(indent: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, len(indent) + 20),
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )


def live(text: str = "") -> None:
    """A line that the next one overwrites, on a terminal or in a notebook; without a text the line is cleared."""
    if is_notebook() and not stderr().quiet:
        show_line(text)
    elif stderr().is_terminal:
        line = f"{text[: stderr().width - 1]:<{stderr().width - 1}}"
        stderr().print(line, end="\r", markup=False)


def is_live() -> bool:
    """Whether a line can be overwritten."""
    return stderr().is_terminal or is_notebook()


def track(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Pass the items on, and show how many of the total are done and how long the rest will take.

    what   what is done, and what is counted, such as "evaluating, images"
    """
    if stderr().quiet:
        yield from items
    elif stderr().is_terminal:
        yield from _bar(items, total, what)
    elif is_notebook():
        yield from _overwritten(items, total, what)
    else:
        yield from _lines(items, total, what)


class Remaining(TimeRemainingColumn):
    """The time that the rest takes, after a second of work: the first item waits for all that is set up."""

    def render(self, task: Task) -> Text:
        is_known = task.completed > 1 and (task.elapsed or 0.0) >= FIRST_WORK
        return super().render(task) if is_known else Text("-:--:--", style="progress.remaining")


def _bar(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=stderr(), transient=True) as progress:
        yield from progress.track(items, total, description=what)


def _lines(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Lines for a log."""
    start = last = first = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if done == 1:  # which waits for all that is set up
            first = now
        elif now - first >= FIRST_WORK and now - last > (FIRST_SECONDS if last == start else SECONDS):
            rest = (now - first) / (done - 1) * (total - done)
            say(f"{what}: {done:,} of {total:,}, {clock(rest)} remain")
            last = now


def _overwritten(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """A line in a notebook, which is cleared at the end."""
    start = last = time.monotonic()
    try:
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now - last > LIVE_SECONDS:
                rest = (now - start) / done * (total - done)
                live(f"{what}: {done:,} of {total:,}, {clock(rest)} remain")
                last = now
    finally:
        if last > start:
            live()


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], file: IO[str] | None = None) -> None:
    """Write a table to standard output or a file: at the width of the terminal, or plainly where there is none.

    headers   one for each column; columns of numbers are aligned at the right
    """
    out = sys.stdout if file is None else file
    terminal = out.isatty() and os.environ.get("TERM") != "dumb"
    out.write(format_table(headers, rows, width_of(out), bold=terminal and not os.environ.get("NO_COLOR")))


def format_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    width: int | None = None,
    *,
    bold: bool = False,
) -> str:
    """A table as text, wrapped between words; where not even the longest words fit beside each other, a list.

    width   columns of text; those of standard output if not given
    bold    whether the headers are bold, by the control codes of terminals
    """
    width = output_width() if width is None else width
    cells = [[str(value) for value in row] for row in rows]
    kept = [[KEPT.sub(lambda match: match[0].replace(" ", JOINED), cell) for cell in row] for row in cells]
    for candidate in (kept, cells):
        columns = list(zip(headers, *candidate, strict=True))
        widths = _column_widths(columns, width - 2 * (len(columns) - 1))
        if widths:
            return _as_grid(columns, widths, width, bold)
    return _as_list(headers, cells)


def _as_grid(columns: Sequence[Sequence[str]], widths: list[int], width: int, bold: bool) -> str:
    """The columns, each with its header, beside each other."""
    grid = Table(box=None, pad_edge=False, header_style="bold" if bold else "")
    for column, column_width in zip(columns, widths, strict=True):
        numeric = all(NUMBER.fullmatch(cell) for cell in column[1:])
        grid.add_column(Text(column[0]), justify="right" if numeric else "left", width=column_width)
    for row in zip(*(column[1:] for column in columns), strict=True):
        grid.add_row(*map(Text, row))
    console = Console(
        file=io.StringIO(), width=width, force_terminal=bold, highlight=False, force_jupyter=False
    )
    with console.capture() as captured:
        console.print(grid)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().replace(JOINED, " ").splitlines())


def _column_widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Of each column, at least that of its longest word, since rich would break it; none if these do not fit."""
    words = [max(cell_len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    lines = [max(map(cell_len, column)) for column in columns]
    spare = width - sum(words)
    wanted = sum(lines) - sum(words)
    if spare < 0:
        return []
    return [
        word + (line - word) * min(spare, wanted) // max(wanted, 1)
        for word, line in zip(words, lines, strict=True)
    ]


def _as_list(headers: Sequence[str], cells: list[list[str]]) -> str:
    """A line for each cell, `header: value`, and an empty line between rows; the terminal wraps what is longer."""
    blocks = [
        "".join(f"{h}: {value}\n" for h, value in zip(headers, row, strict=True) if value) for row in cells
    ]
    return "\n".join(blocks)


MANY = 40
"""Lines of a list that are shown in full; of longer ones, `ENDS` lines at either end."""
ENDS = 10
LEFT_OUT = "\ue001"
"""Stands for the rows between them."""


def both_ends(lines: Sequence[str], thing: str, total: int = 0) -> list[str]:
    """The lines of a list; of a long one the first and the last, and between them how many things are left out.

    total   things that there are, where not all of them have a line
    """
    if len(lines) <= MANY:
        return [*lines]
    rest = f"... {count(max(total, len(lines)) - 2 * ENDS, f'other {thing}')} ... (--json lists all)"
    return [*lines[:ENDS], rest, *lines[-ENDS:]]


def long_table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], thing: str, total: int = 0
) -> list[str]:
    """The lines of a table; of a long one the first rows and the last: see `both_ends`."""
    if len(rows) <= MANY:
        return format_table(headers, rows).splitlines()
    middle = [LEFT_OUT, *[""] * (len(headers) - 1)]
    lines = format_table(headers, [*rows[:ENDS], middle, *rows[-ENDS:]]).splitlines()
    rest = both_ends([""] * len(rows), thing, total)[ENDS]
    return [rest if LEFT_OUT in line else line for line in lines]


def clock(seconds: float) -> str:
    """Seconds as minutes:seconds, or hours:minutes:seconds."""
    minutes, s = divmod(round(max(seconds, 0)), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
