"""Metrics with n and a 95% interval: shares, means, averages of metrics, and sums over images by bootstrap."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z = 1.959964
"""95% of a normal distribution lie within so many standard deviations of the mean."""

Float = NDArray[np.float64]
Score = dict[str, Any]
"""value, low and high (None where there is none), and n"""


def proportion(hits: int, n: int) -> Score:
    """A share with its Wilson interval (Wilson 1927)."""
    if n == 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    low, high = wilson(hits / n, n)
    return {"value": hits / n, "low": low, "high": high, "n": n}


def wilson(p: float, n: int) -> tuple[float, float]:
    """The Wilson interval of a share p of n samples (Wilson 1927)."""
    centre = p + Z * Z / (2 * n)
    spread = Z * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    low, high = ((centre + s * spread) / (1 + Z * Z / n) for s in (-1, 1))
    return float(min(p, max(0.0, low))), float(max(p, min(1.0, high)))


def mean(values: Float) -> Score:
    """A mean with its normal interval, which a single value does not have."""
    value = float(values.mean())
    n = len(values)
    if n == 1:
        return {"value": value, "low": None, "high": None, "n": 1}
    spread = Z * float(values.std(ddof=1)) / np.sqrt(n)
    return {"value": value, "low": float(max(0.0, value - spread)), "high": float(value + spread), "n": n}


def average(scores: list[Score], n: int) -> Score:
    """The mean of independent metrics, with an interval computed from theirs (MOVER: Zou & Donner 2008)."""
    value, low, high = (np.array([s[key] for s in scores]) for key in ("value", "low", "high"))
    below, above = (float(np.sqrt(((end - value) ** 2).sum())) / len(scores) for end in (low, high))
    centre = float(value.mean())
    return {"value": centre, "low": max(0.0, centre - below), "high": min(1.0, centre + above), "n": n}


def bootstrap(
    counts: Float,
    measure: Callable[[Float], Float],
    draws: int = 1000,
    seed: int = 0,
    groups: Sequence[Any] | None = None,
) -> list[Score]:
    """Compute metrics from counts (N, F) summed over N images, with 95% intervals by bootstrap.

    measure  (..., F) -> (..., M) metrics between 0 and 1, nan where they are not defined
    groups   (N,) names of groups, which are resampled in place of images

    In the result, n is the number of images for which the metric is defined, and "groups" the number of such groups.
    `percentiles` computes the intervals.
    """
    units = summed(counts, groups)
    n = len(units)
    rng = np.random.default_rng(seed)
    values = measure(counts.sum(0))
    n_images = _defined(measure(counts))
    resampled = measure(rng.multinomial(n, np.full(n, 1 / n), draws) @ units)  # (draws, M)
    n_units = _defined(measure(units))
    scores = [
        _with_interval(value, column[~np.isnan(column)], k)
        for value, column, k in zip(values, resampled.T, n_units, strict=True)
    ]
    if groups is None:
        return scores
    return [score | {"n": k, "groups": score["n"]} for score, k in zip(scores, n_images, strict=True)]


def _defined(scores: Float) -> list[int]:
    """For how many of N units each of M metrics (N, M) is defined."""
    return (~np.isnan(scores)).sum(0).tolist()


def share(hits: NDArray[np.bool_], groups: Sequence[Any] | None) -> Score:
    """The share of true values (N,); with groups, its interval is at least as wide as that of independent values."""
    plain = proportion(int(hits.sum()), len(hits))
    if groups is None or not len(hits):
        return plain
    counts = np.stack([hits, np.ones(len(hits))], axis=1).astype(np.float64)
    (score,) = bootstrap(counts, lambda c: ratio(c[..., :1], c[..., 1:]), groups=groups)
    ends = {"low": min(score["low"], plain["low"]), "high": max(score["high"], plain["high"])}
    return plain | ends | {"groups": score["groups"]}


def _with_interval(value: float, resampled: Float, n: int) -> Score:
    if np.isnan(value):
        return {"value": None, "low": None, "high": None, "n": 0}
    low, high = percentiles(float(value), resampled, n)
    return {"value": float(value), "low": low, "high": high, "n": n}


def percentiles(value: float, resampled: Float, n: int) -> tuple[float, float]:
    """The 95% interval of a metric between 0 and 1 from its values in bootstrap samples of n units.

    Its ends are percentiles, widened for small n (Hesterberg 2015). With 5 units such intervals contain the true value
    87% of the time, not 95%. With one unit the interval is 0 to 1. If all units have the same value, such as 12 groups
    without a mistake, resampling cannot show how it varies, and the Wilson interval of n is returned.
    """
    from scipy.stats import norm, t

    if n < 2:
        return 0.0, 1.0
    if np.ptp(resampled) < 1e-12:
        return wilson(value, n)
    tail = norm.cdf(np.sqrt(n / (n - 1)) * t.ppf(0.025, n - 1))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(min(low, value)), float(max(high, value))


def summed(counts: Float, groups: Sequence[Any] | None) -> Float:
    """Sum counts over the images of each group: (images, F) -> (groups, F)"""
    if groups is None:
        return counts
    place = places(groups)
    out = np.zeros((place.max() + 1, counts.shape[1]))
    np.add.at(out, place, counts)
    return out


def places(groups: Sequence[Any]) -> NDArray[np.int64]:
    """The names of groups as numbers (N,) from 0"""
    return np.unique(np.asarray(groups), return_inverse=True)[1]


def ratio(a: Float, b: Float) -> Float:
    """a / b, nan where b is 0"""
    return np.divide(a, b, out=np.full(np.shape(b), np.nan), where=b > 0)


def class_percent(of_class: dict[str, Score], key: str, word: str = "image") -> str:
    """A metric of a class in words; if it is not defined, the reason: never predicted, or no samples of the class.

    >>> none = {"value": None, "low": None, "high": None, "n": 0}
    >>> class_percent({"precision": none}, "precision"), class_percent({"recall": none}, "recall", "signal")
    ('never predicted', 'no signals')
    """
    score = of_class[key]
    if score["value"] is None:
        return NEVER_PREDICTED if key == "precision" else f"no {word}s"
    return percent(score)


NEVER_PREDICTED = "never predicted"


def percent(score: Score) -> str:
    """91.2% (90.6-91.7), and how many of the samples the network was trained on, if any"""
    if score["value"] is None:
        return "no images"
    seen = f", {score['seen']:,} of {score['n']:,} seen in training" if score.get("seen") else ""
    return f"{100 * score['value']:.1f}% ({100 * score['low']:.1f}-{100 * score['high']:.1f}){seen}"
