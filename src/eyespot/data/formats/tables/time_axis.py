"""A column that rises evenly: a count of the rows, or the time, whose steps are the sampling rate."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Unreadable

SECONDS = {
    **dict.fromkeys("s sec secs second seconds sekunden".split(), 1.0),
    **dict.fromkeys("ms msec msecs millis millisecond milliseconds".split(), 1e-3),
    **dict.fromkeys("us usec usecs µs μs microsecond microseconds micros".split(), 1e-6),
    **dict.fromkeys("ns nsec nanosecond nanoseconds".split(), 1e-9),
    **dict.fromkeys("min mins minute minutes".split(), 60.0),
    **dict.fromkeys("h hr hrs hour hours".split(), 3600.0),
}
"""Units of time."""
TIME_WORDS = frozenset(
    "t time times timestamp timestamps epoch datetime date elapsed clock zeit uhrzeit datum temps tiempo tempo".split()
)
ALONE = frozenset(name for name, seconds in SECONDS.items() if seconds <= 1)
"""Units that are the whole name of a column of times; "min" and "h" mean other things as well."""
EPOCHS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))
"""From which values on times since 1970 are not in seconds, and their unit."""
EVEN = 0.6
"""Steps that a time may lie off the even rise: rounded times lie off by up to a half."""
SHORT = 8
"""Rows below which only a name makes a column the time."""


@dataclass(frozen=True)
class TimeAxis:
    """The steps of a column of times.

    step     seconds from row to row
    even     whether all steps are alike but for rounding
    """

    step: float
    even: bool = True

    @property
    def rate(self) -> str:
        """The sampling rate as text, such as "360 Hz"."""
        return f"{1 / self.step:.6g} Hz" if self.even else f"about {1 / self.step:.3g} Hz"


def time_unit(name: str, unit: str) -> tuple[bool, float | None]:
    """Whether a column is called a time, and the seconds of its unit, if the name or the row of units has it."""
    words = re.findall(r"[^\W\d_]+", name.lower())
    of_unit = re.findall(r"[^\W\d_]+", unit.lower())
    stated = [SECONDS[word] for word in (*words[1:], *of_unit) if word in SECONDS]
    if len(words) == 1 and words[0] in ALONE:
        return True, SECONDS[words[0]]
    known = all(word in TIME_WORDS or word in SECONDS for word in words)
    if words and words[0] in TIME_WORDS and known:
        return True, stated[-1] if stated else None
    return False, stated[-1] if stated else None


def is_strictly_time(name: str) -> bool:
    """Whether a name means nothing but the time, as a single letter may."""
    return len(name.strip()) > 2


def since_1970(values: NDArray[np.float64], unit: float | None) -> tuple[float, str]:
    """The seconds of the unit of times, and a word on it where only their size or nothing tells it."""
    if unit is not None:
        return unit, ""
    if any(low <= values[0] < low * 1.11 for low in (1.9e13, 1.9e16)):
        raise Unreadable(
            f"its times such as {values[0]:.0f} are dates without separators: write them as 2024-01-31 12:30:00, or give "
            "the channels by --columns and the rate by --rate"
        )
    for least, seconds in EPOCHS:
        if values[0] >= least:
            return seconds, f" in {'ns' if seconds == 1e-9 else 'µs' if seconds == 1e-6 else 'ms'} since 1970"
    return 1.0, " in seconds"


def counts(values: NDArray[np.float64]) -> bool:
    """Whether values rise by one from row to row."""
    return len(values) > 1 and bool((np.diff(values) == 1).all()) and values[0] == int(values[0])


def deviation(values: NDArray[np.float64]) -> float:
    """The largest distance from the even rise from the first to the last value, in steps; infinite where values fall."""
    steps = np.diff(values)
    if len(values) < 2 or not (steps >= 0).all() or values[-1] <= values[0]:
        return np.inf
    even = np.linspace(values[0], values[-1], len(values))
    return float(np.abs(values - even).max() / (even[1] - even[0]))


def rises(values: NDArray[np.float64]) -> bool:
    """Whether no value is below the one before, and the last is above the first."""
    return bool((np.diff(values) >= 0).all()) and values[-1] > values[0]


def rises_evenly(values: NDArray[np.float64]) -> bool:
    """Whether values rise strictly, by one step but for rounding."""
    return bool((np.diff(values) > 0).all()) and deviation(values) <= EVEN


def time_axis(times: NDArray[np.float64]) -> TimeAxis:
    """The steps of times in seconds that do not fall, and of which the last is later than the first."""
    far = deviation(times)
    repeated = bool((np.diff(times) == 0).any())
    if far > EVEN and not repeated:
        return TimeAxis(float(np.median(np.diff(times))), even=False)
    if repeated:
        return _of_repeated(times)
    rows = np.arange(len(times)) - (len(times) - 1) / 2
    slope = float(
        rows @ (times - times.mean()) / (rows @ rows)
    )  # of least squares: rounded times hardly change it
    return TimeAxis(_rounded(slope, far / (len(times) - 1)))


def _of_repeated(times: NDArray[np.float64]) -> TimeAxis:
    """Of times that are given so coarsely that several rows have the same: even where they are equally many."""
    values, rows = np.unique(times, return_index=True)
    if len(values) < 4:
        return TimeAxis(float(times[-1] - times[0]) / (len(times) - 1), even=False)
    repeats = np.diff(rows)[1:]  # the first and the last may be cut
    step = float(values[-1] - values[1]) / float(rows[-1] - rows[1])
    even = np.ptp(repeats) <= max(1, 0.1 * repeats.mean()) and rises_evenly(values)
    return TimeAxis(_rounded(step, 0), even=bool(even))


def _rounded(step: float, tolerance: float) -> float:
    """The roundest step or rate within a relative tolerance: rounded times let 360 Hz appear as 359.83."""
    for digits in range(1, 8):
        rate = float(f"{1 / step:.{digits}g}")
        round_step = float(f"{step:.{digits}g}")
        for candidate in (1 / rate, round_step):
            if abs(candidate / step - 1) <= max(tolerance, 1e-7):
                return candidate
    return step
