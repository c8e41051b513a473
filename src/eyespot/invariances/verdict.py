"""What the numbers of a change mean: ok, weak, broken, over-invariant, or cannot tell."""

import math
from dataclasses import dataclass, replace

import numpy as np

from eyespot.invariances.bands import Drops, Units, drops_of
from eyespot.invariances.measured import Measured, Measurement
from eyespot.metrics.intervals import Score

MARGIN = 0.02
"""A drop of the accuracy up to this is no harm: 2 points."""
LEAD = 5
"""The margin is at most this part of the accuracy's lead over a constant predictor."""
TOO_MANY = 100_000
"""Images beyond which it is not said how many would be needed."""


@dataclass(frozen=True)
class Verdict:
    """status   see STATUSES
    why       with the numbers, for people
    drops     by severity, with a band
    tolerance the largest severity up to which the drop is within the margin with 95%; None where there is none
    needed    images that would decide, about; None where it is decided or cannot be said
    at        the position of the severity that decides
    """

    status: str
    why: str
    drops: list[Score]
    tolerance: float | None = None
    needed: int | None = None
    at: int = 0


STATUSES = {
    "ok": "the accuracy drops by no more than the margin, with 95%, up to the usual severity",
    "weak": "the accuracy drops by more than the margin, with 95%, but not at the mildest severity",
    "broken": "the accuracy drops by more than the margin, with 95%, at the mildest severity",
    "over-invariant": "predictions stay the same although the label changes",
    "cannot tell": "there are too few images, or too little accuracy to lose",
}


def margin_of(measurement: Measurement) -> float:
    """Two points, or less where the accuracy is hardly better than a constant predictor's."""
    if measurement.constant is None or measurement.before is None:
        return MARGIN
    lead = float(measurement.before.mean()) - measurement.constant
    return min(MARGIN, max(0.0, lead) / LEAD)


def judge(measured: Measured, units: Units, margin: float, flag: str = "") -> Verdict:
    """One change. flag   why nothing can be said, if that is so for all of them"""
    drops = drops_of(loss_of(measured), units)
    scores = drops.scores()
    if flag:
        return Verdict("cannot tell", flag, scores)
    if units.n < 2:
        return Verdict("cannot tell", "one image, or one group, says nothing of others", scores)
    highs = np.array([score["high"] for score in scores])
    lows = np.array([score["low"] for score in scores])
    status, at = _status(measured, lows, highs, margin)
    tolerance = _tolerance(measured, highs, margin)
    needed = _needed(drops, measured, margin) if status == "cannot tell" else None
    return Verdict(status, _why(status, measured, scores, at, margin, needed), scores, tolerance, needed, at)


def loss_of(measured: Measured) -> np.ndarray:
    """(S, N) by how much each image is worse; without labels, whether its prediction changed"""
    if measured.right is None or measured.before is None:
        return 1 - measured.same
    return measured.before - measured.right


def _status(measured: Measured, lows: np.ndarray, highs: np.ndarray, margin: float) -> tuple[str, int]:
    """The status, and the position of the severity that decides it."""
    change = measured.change
    usual = change.usual() if change.ordered else len(lows) - 1
    worst = int(lows.argmax())
    if (highs[: usual + 1] <= margin).all():
        return "ok", int(highs[: usual + 1].argmax())
    first = 0 if change.ordered else worst
    if lows[first] > margin:
        return "broken", first
    if lows[worst] > margin:
        return "weak", int(np.argmax(lows > margin))
    return "cannot tell", usual if change.ordered else int(highs.argmax())


def _tolerance(measured: Measured, highs: np.ndarray, margin: float) -> float | None:
    if not measured.change.ordered or len(highs) < 2:
        return None
    safe = np.append(highs <= margin, False)
    first = int(np.argmin(safe))
    return measured.change.severities[first - 1] if first else None


def _needed(drops: Drops, measured: Measured, margin: float) -> int | None:
    """Images with which the band would be on one side of the margin, if the drop is as it was here."""
    change = measured.change
    usual = change.usual() if change.ordered else int(np.abs(drops.means).argmax())
    z = drops.spread.critical()
    low = 1.0
    high = TOO_MANY / drops.n
    if not _decided(drops, usual, z, margin, high):
        return None
    while high > low * 1.01:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if _decided(drops, usual, z, margin, middle) else (middle, high)
    return rounded_up(max(drops.n + 1, drops.n * high))


def _decided(drops: Drops, at: int, z: float, margin: float, times: float) -> bool:
    """Whether so many times the images decide"""
    errors = drops.spread.errors / math.sqrt(times)
    units = replace(drops.units, n=round(drops.units.n * times))
    spread = replace(drops.spread, errors=errors)
    more = replace(
        drops, lost_n=drops.lost_n * times, gained_n=drops.gained_n * times, spread=spread, units=units
    )
    low, high = (limits[at] for limits in more.limits(z))
    return bool(low > margin or high <= margin)


def rounded_up(n: float) -> int:
    """To two digits.

    >>> rounded_up(1234.5)
    1300
    """
    unit = 10 ** max(0, math.floor(math.log10(n)) - 1)
    return math.ceil(n / unit) * unit


def points(share: float) -> str:
    """3.1 points, as a difference of two percentages."""
    return f"{100 * share:.1f} point{'' if f'{100 * share:.1f}' == '1.0' else 's'}"


def _why(
    status: str, measured: Measured, drops: list[Score], at: int, margin: float, needed: int | None
) -> str:
    number = _number(measured, drops[at], at)
    usual = measured.change.usual()
    if status == "weak" and measured.change.ordered and at > usual:
        return f"{number}; {_number(measured, drops[usual], usual, short=True)}"
    if status != "cannot tell":
        return number
    more = f"about {needed:,} would decide" if needed else "no number is likely to decide"
    return f"{number}: neither within {points(margin)} nor beyond; {more}"


def _number(measured: Measured, score: Score, at: int, short: bool = False) -> str:
    """The drop at a severity, for people"""
    text = measured.change.text(measured.change.severities[at])
    where = f" at {text}" if text else ""
    low, high = (100 * score[key] for key in ("low", "high"))
    value = 100 * score["value"]
    if measured.right is None:
        return f"predictions change in {value:.1f}%{where} ({max(0.0, low):.1f} to {high:.1f})"
    if short:
        return f"{value:.1f}{where} ({low:.1f} to {high:.1f})"
    metric = "accuracy" if measured.overlap is None else "mean IoU"
    if value < 0:
        return f"the {metric} rises by {-value:.1f} points{where} ({-high:.1f} to {-low:.1f})"
    return f"the {metric} drops by {value:.1f} points{where} ({low:.1f} to {high:.1f})"
