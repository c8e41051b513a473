"""The difference of a score between two predictions of the same images, with a 95% interval of that difference."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.metrics.intervals import Float, Score, Z, ratio, summed

DRAWS = 1000
TAILS = [0.025, 0.975]


def share_difference(
    before: NDArray[np.bool_], after: NDArray[np.bool_], groups: Sequence[Any] | None = None
) -> Score:
    """Share of (N,) that are true, after minus before; by Bonett & Price (2012), which has width without a difference.

    groups   (N,) names; the interval is then not narrower than that over them
    """
    n = len(before)
    lost, won = ((int((a & ~b).sum()) + 1) / (n + 2) for a, b in ((before, after), (after, before)))
    centre = won - lost
    spread = Z * float(np.sqrt((won + lost - centre**2) / (n + 2)))
    value = float(after.mean() - before.mean())
    plain = {"value": value, "low": max(-1.0, centre - spread), "high": min(1.0, centre + spread), "n": n}
    if groups is None:
        return plain
    old, new = (np.stack([hits, np.ones(n)], axis=1).astype(np.float64) for hits in (before, after))
    over = score_difference(old, new, lambda c: ratio(c[..., 0], c[..., 1]), groups)
    return over | {"low": min(over["low"], plain["low"]), "high": max(over["high"], plain["high"])}


def score_difference(
    before: Float, after: Float, measure: Callable[[Float], Float], groups: Sequence[Any] | None = None
) -> Score:
    """A score of counts (N, F) summed over images, after minus before, with an interval from images drawn again and again.

    measure   (..., F) -> (...)
    """
    units = [summed(counts, groups) for counts in (before, after)]
    n = len(units[0])
    draws = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), DRAWS)
    old, new = (measure(draws @ counts) for counts in units)
    value = float(measure(after.sum(0)) - measure(before.sum(0)))
    low, high = np.nanquantile(new - old, TAILS) if n > 1 else (-1.0, 1.0)
    result = {
        "value": value,
        "low": min(float(low), value),
        "high": max(float(high), value),
        "n": len(before),
    }
    return result if groups is None else result | {"groups": n}
