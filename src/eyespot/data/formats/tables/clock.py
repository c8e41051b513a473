"""Dates and times of the day as seconds, of which only the differences matter."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Unreadable

DATE = r"(?P<a>\d{1,4})(?P<mark>[-/.])(?P<b>\d{1,2})(?P=mark)(?P<c>\d{1,4})"
CLOCK = r"(?P<first>\d{1,2}):(?P<second>\d{2})(?::(?P<third>\d{2}))?(?:(?:[.,]|:(?=\d{3}(?!\d)))(?P<fraction>\d+))?(?: ?(?P<half>[aApP])\.?[mM]\.?)?"
ZONE = r"(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
WRITTEN = re.compile(rf"(?:{DATE})?(?:(?:(?<=\d)[T ]+|(?<!.)){CLOCK}{ZONE})?")
DAY = 86400.0
ORDERS = ("ymd", "dmy", "mdy")
"""Of year, month and day; several may fit a date."""


def is_time(cell: str) -> bool:
    """Whether a cell is a date, a time of the day, or both."""
    return bool(cell) and cell[0].isdigit() and WRITTEN.fullmatch(cell) is not None


def is_date(cell: str) -> bool:
    """Whether a time is a date without a time of the day."""
    match = WRITTEN.fullmatch(cell)
    return match is not None and match["a"] is not None and match["first"] is None


def is_clock(cell: str) -> bool:
    """Whether a time is one of the day, without a date."""
    match = WRITTEN.fullmatch(cell)
    return match is not None and match["a"] is None and match["first"] is not None


def seconds(cells: Sequence[str], lines: Sequence[int]) -> NDArray[np.float64]:
    """(n,) the seconds of each time since some fixed moment. Where day and month could be swapped, they rise evenly.

    lines   the line of each cell

    Raises Unreadable, with the line, for a cell that is not a time.
    """
    for cell, line in zip(cells, lines, strict=True):
        if not is_time(cell):
            raise Unreadable(f"its line {line} has {cell[:40] or 'nothing'!r} where the others have a time")
    readings = [_read(cells, _in_order(order)) for order in ORDERS]
    possible = [times for times in readings if times is not None]
    if not possible:
        raise Unreadable(f"its line {lines[0]} has a date that does not exist ({cells[0]})")
    rising = [times for times in possible if (np.diff(times) >= 0).all()]
    return min(rising or possible, key=lambda times: np.ptp(times))


def _read(cells: Sequence[str], to_date: Callable[[re.Match[str]], datetime]) -> NDArray[np.float64] | None:
    """The seconds of each cell, or None where a date does not exist in this order."""
    try:
        times = np.array([_seconds(cell, to_date) for cell in cells])
    except ValueError:
        return None
    if WRITTEN.fullmatch(cells[0])["a"] is None:  # type: ignore[index]
        times += DAY * np.cumsum(np.diff(times, prepend=times[:1]) < -DAY / 2)  # past midnight
    return times


def _seconds(cell: str, to_date: Callable[[re.Match[str]], datetime]) -> float:
    match = WRITTEN.fullmatch(cell)
    assert match
    of_day = 0.0
    if match["first"] is not None:
        fields = [int(match["first"]), int(match["second"])]
        if match["third"] is not None:
            fields.append(int(match["third"]))
        elif match["fraction"] is not None:  # minutes and seconds
            fields.insert(0, 0)
        hours, minutes, whole = (*fields, 0)[:3]
        if match["half"]:
            hours = hours % 12 + 12 * (match["half"] in "pP")
        of_day = timedelta(hours=hours, minutes=minutes, seconds=whole).total_seconds()
        of_day += float(f"0.{match['fraction'] or 0}")
    if match["a"] is None:
        return of_day
    return (to_date(match) - datetime(1970, 1, 1)).days * DAY + of_day


def _in_order(order: str) -> Callable[[re.Match[str]], datetime]:
    def to_date(match: re.Match[str]) -> datetime:
        fields = dict(zip(order, (int(match[name]) for name in "abc"), strict=True))
        if len(match["abc"[order.index("y")]]) == 2:
            fields["y"] += 2000
        return datetime(fields["y"], fields["m"], fields["d"])

    return to_date
