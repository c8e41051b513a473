"""Which columns of a table are channels; which count the rows or are the time, that gives the sampling rate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.tables.cells import GROUPED, TEXT, TIME, numbers
from eyespot.data.formats.tables.clock import is_clock, is_date, seconds
from eyespot.data.formats.tables.rows import Table
from eyespot.data.formats.tables.time_axis import (
    SHORT,
    TimeAxis,
    counts,
    is_strictly_time,
    rises,
    rises_evenly,
    since_1970,
    time_axis,
    time_unit,
)
from eyespot.data.header import Unreadable
from eyespot.plurals import count

COUNTER_NAMES = frozenset(
    [
        "",
        "unnamed: 0",
        *"index idx i n no nr row sample samples sample_index sample_number frame #".split(),
        "sample #",
    ]
)
"""Names of a column that counts the rows."""


LABEL_NAMES = frozenset("label labels class classes target targets category annotation annotations".split())
"""Names of a column that has classes."""


@dataclass
class Columns:
    """The columns of a table, by what they are.

    table      whose columns these are
    channels   places of the columns that are channels
    axis       the times of the rows, where there are any
    others     of each column that is no channel: what it is
    reasons    why they are that
    gaps       whether missing values are NaN, and not refused
    """

    table: Table
    channels: tuple[int, ...] = ()
    axis: TimeAxis | None = None
    others: dict[int, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    gaps: bool = False
    read: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    def __getitem__(self, i: int) -> NDArray[np.float64]:
        """(rows,) the values of a column of numbers, or the seconds of a column of times."""
        table = self.table
        if i not in self.read:
            cells = table.column(i)
            is_time = table.kinds[i] == TIME
            self.read[i] = (
                seconds(cells, table.lines)
                if is_time
                else numbers(cells, table.lines, table.notation.decimal, table.called(i), self.gaps)
            )
        return self.read[i]

    def values(self) -> NDArray[np.float64]:
        """(rows, channels)"""
        return np.stack([self[i] for i in self.channels], axis=1)

    def leave_out(self, i: int, what: str, reason: str) -> None:
        """A column that is no channel."""
        self.others[i] = f"{self.table.called(i)} {what}"
        self.reasons.append(reason)


def choose_columns(table: Table, asked: str, gaps: bool = False) -> Columns:
    """The channels of a table and its times.

    asked   the columns that are channels, such as "2,4-6" or names; empty to choose them
    gaps    whether missing values are NaN, and not refused

    Raises Unreadable where a column is text, a value is missing, or no channel is left.
    """
    columns = Columns(table, gaps=gaps)
    wanted = tuple(asked_columns(asked, table)) if asked else ()
    if not asked:
        _refuse_text(table)
    free = [i for i, kind in enumerate(table.kinds) if kind != TEXT and i not in wanted]
    if len(table.rows) > 1:
        _find_times(columns, free)
        _leave_out_labels(columns, free)
        _check_first(columns, [i for i in free if table.kinds[i] != TIME])
    columns.channels = wanted or tuple(i for i in free if i not in columns.others and table.kinds[i] != TIME)
    if not columns.channels:
        raise Unreadable("it has a column of times and none of values")
    return columns


def asked_columns(asked: str, table: Table) -> Iterator[int]:
    """The places of the columns that the user named. Raises Unreadable for one that is not there."""
    count = len(table.kinds)
    for word in (word.strip() for word in asked.split(",")):
        first, _, last = word.partition("-")
        if word in table.names:
            yield table.names.index(word)
        elif first.isdecimal() and (last or first).isdecimal():
            places = range(int(first) - 1, int(last or first))
            if not places or places[0] < 0 or places[-1] >= count:
                raise Unreadable(f"it has {count} columns, and you asked for {word}")
            yield from places
        else:
            names = ", ".join(filter(None, table.names)) or "none"
            raise Unreadable(f"it has no column named {word!r}, which you asked for (names: {names[:80]})")


def _refuse_text(table: Table) -> None:
    numeric = [i for i, kind in enumerate(table.kinds) if kind not in (TEXT, TIME)]
    values = [i for i in numeric if not table.names or not _is_axis_name(table.names[i])]
    asked = _ranges(values or numeric)
    for i, kind in enumerate(table.kinds):
        if kind == TEXT:
            cell = table.rows[0][i]
            if GROUPED.fullmatch(cell):
                numbers([cell], table.lines[:1], table.notation.decimal, table.called(i))
            if len(numeric) > len(table.rows):
                raise Unreadable(
                    f"its {table.called(i)} is text ({cell[:20]}), and it has {len(numeric)} columns of numbers in {count(len(table.rows), 'row')}: "
                    "write a row per sample"
                )
            raise Unreadable(
                f"its {table.called(i)} is text ({cell[:20]}): give the columns of numbers by --columns {asked}"
            )


def _ranges(places: Sequence[int]) -> str:
    """The places as --columns takes them: 2-4,7."""
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return ",".join(
        f"{run[0] + 1}-{run[-1] + 1}" if len(run) > 2 else ",".join(str(i + 1) for i in run) for run in runs
    )


def _is_axis_name(name: str) -> bool:
    return name.lower() in COUNTER_NAMES or time_unit(name, "")[0]


def _find_times(columns: Columns, free: list[int]) -> None:
    """The axis of the times, by the content of a column or else by its name."""
    table = columns.table
    written = [i for i in free if table.kinds[i] == TIME]
    if written:
        _use_written(columns, written)
        return
    for i in free if table.names or table.units else []:
        unit = table.units[i] if table.units else ""
        named, factor = time_unit(table.names[i] if table.names else "", unit)
        if named and rises(columns[i]) and columns.axis:
            columns.leave_out(i, "is a time too", "it is named so and rises")
        elif named and rises(columns[i]):
            factor, unit_said = since_1970(columns[i], factor)
            columns.axis = time_axis(columns[i] * factor)
            columns.leave_out(i, f"is the time{unit_said}", "it is named so and rises")
        elif named and is_strictly_time(table.names[i]):
            line = table.lines[int(np.argmax(~(np.diff(columns[i]) >= 0))) + 1]
            raise Unreadable(
                f"the times of its {table.called(i)} do not rise from line {line - 1} on: sort the lines, or give the "
                "channels by --columns"
            )


def _use_written(columns: Columns, written: list[int]) -> None:
    """Dates and times of the day, perhaps in two columns."""
    table = columns.table
    first = written[0]
    times = columns[first]
    if len(written) > 1 and is_date(table.rows[0][first]) and is_clock(table.rows[0][written[1]]):
        days = columns[first]
        of_day = columns[written[1]] % 86400.0
        times = days + of_day
    if not rises(times):
        raise Unreadable(f"the times of its {table.called(first)} do not rise: sort the lines")
    columns.axis = time_axis(times)
    columns.leave_out(first, "is the time", "it has dates or times of the day")
    for i in written[1:]:
        columns.leave_out(i, "is a time too", "it has dates or times of the day")


def _leave_out_labels(columns: Columns, free: list[int]) -> None:
    """Columns that are called labels, which would give the class away."""
    for i in free if columns.table.names else []:
        if columns.table.names[i].lower() in LABEL_NAMES and i not in columns.others:
            columns.leave_out(i, "is a label and no channel", "it is named so")


def _check_first(columns: Columns, free: list[int]) -> None:
    """Whether the first column counts the rows, or is evidently the time or another axis."""
    table = columns.table
    if not free or free[0] != 0 or 0 in columns.others or len(table.kinds) < 2:
        return
    name = table.names[0].lower() if table.names else ""
    if counts(columns[0]) and (name in COUNTER_NAMES):
        if table.names or len(table.rows) >= SHORT or columns[0][0] in (0, 1):
            columns.leave_out(0, "counts the rows", "it rises by 1")
        return
    others = [i for i in free[1:] if i not in columns.others]
    falls = rises_evenly(-columns[0])
    if columns.axis or len(table.rows) < SHORT or not (falls or rises_evenly(columns[0])):
        return
    if not others or all(rises_evenly(columns[i]) for i in others):
        return
    unit = table.units[0] if table.units else ""
    factor = time_unit(table.names[0] if table.names else "", unit)[1]
    step = (columns[0][-1] - columns[0][0]) / (len(table.rows) - 1)
    if not falls and (factor is not None or (not name and step != round(step))):
        columns.axis = time_axis(columns[0] * (factor or 1.0))
        columns.leave_out(0, f"is the time{'' if factor else ' in seconds'}", "it rises evenly")
    else:
        columns.leave_out(0, "is an axis", f"it {'falls' if falls else 'rises'} evenly, by {abs(step):.6g}")
