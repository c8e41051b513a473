"""What a contract could show with the images that there are."""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eyespot.invariances.bands import Drops, Spread, Units, units_of
from eyespot.invariances.measured import Measured
from eyespot.invariances.verdict import loss_of, points, rounded_up

LEVEL = 0.05
"""The probability that a contract is called broken that holds."""
POWER = 0.8


class Demand(Protocol):
    """An entry of a contract, as far as power goes."""

    @property
    def forbidden(self) -> bool: ...
    @property
    def margin(self) -> float: ...


def effective(values: NDArray[np.float64], units: Units) -> float:
    """How many independent images say as much as these values (N,) do: fewer, where they come in groups that are alike"""
    n = len(values)
    mean = float(values.mean())
    if not units.grouped or not 0 < mean < 1:
        return float(units.n if units.grouped else n)
    sums = units.sums(values[None] - mean)[0]
    variance = float((sums**2).sum()) / n**2 * units.n / max(1, units.n - 1)
    return float(np.clip(mean * (1 - mean) / variance, units.n, n)) if variance else float(units.n)


def power_of(entry: Demand, measured: Measured, units: Units, entries: int, word: str = "image") -> str:
    """What would be seen with 80%, at the strictest level of Holm's procedure."""
    level = LEVEL / entries
    n = int(effective(loss_of(measured)[-1], units)) if units.grouped else len(units.place)
    unit = "groups" if units.grouped else f"{word}s"
    shown = units.n if units.grouped else n
    if entry.forbidden:
        needed = math.ceil(math.log(level) / math.log(1 - entry.margin))
        if n >= needed:
            return f"with your {shown:,} {unit} a network that never changes its predictions would be seen"
        return f"your {shown:,} {unit} cannot show that predictions never change: {needed:,} can"
    drop = detectable(n, entry.margin, level / len(measured.change.severities))
    if drop is not None and measured.right is None:
        return f"with your {shown:,} {unit} a share of {drop:.1%} would be seen with {POWER:.0%}"
    if drop is None:
        return f"your {shown:,} {unit} cannot show any drop: give at least {rounded_up(5 / (1 - entry.margin)):,}"
    return f"with your {shown:,} {unit} a drop of {points(drop)} would be seen with {POWER:.0%}"


def detectable(n: int, margin: float, level: float) -> float | None:
    """The smallest drop that n images show to be above the margin with 80%, if no image gains; None where none is."""
    from scipy.stats import binom, norm

    units = units_of(2, None)
    plain = Spread(np.zeros(1), np.eye(1), np.inf)
    z = float(norm.isf(level))
    low = 0
    high = n
    while low < high:  # the fewest losses that show it
        k = (low + high) // 2
        lost = Drops(np.array([k / n]), np.zeros(1), np.array([n]), np.array([n]), plain, n, units)
        if lost.limits(z)[0][0] > margin:
            high = k
        else:
            low = k + 1
    drops = np.arange(margin, 1.0, 0.001)
    enough = drops[binom.sf(low - 1, n, drops) >= POWER]
    return float(enough[0]) if len(enough) else None
