"""Intervals of shares and of drops that hold for all severities of a change together.

The unit is the image, or its group. The factor of the standard error is the 95% quantile of the largest of the
severities' deviations, whose correlation is estimated from the units (max-t, by a normal multiplier bootstrap). Shares
get Jeffreys' interval with the tails of that factor, so that no band leaves 0 to 1, and none has the width zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.metrics.intervals import Score, places

Values = NDArray[np.float64]
SAMPLES = 20_000
"""Of the largest deviation, from which its quantile is taken."""
LEVEL = 0.95
LEAST = 0.01
"""The largest drop of a score that is assumed where all that were seen are smaller."""


@dataclass(frozen=True)
class Units:
    """What is independent: `place` (N,) the unit of each image, `n` units, `grouped` whether these are groups of images"""

    place: NDArray[np.int64]
    n: int
    grouped: bool

    def sums(self, values: Values) -> Values:
        """(S, N) -> (S, units)"""
        if not self.grouped:
            return values
        return np.stack([np.bincount(self.place, row, self.n) for row in values]).astype(np.float64)


def units_of(n: int, groups: Sequence[Any] | None) -> Units:
    """Of n images; groups (N,) names of what belongs together."""
    if groups is None:
        return Units(np.arange(n), n, False)
    place = places(groups)
    return Units(place, int(place.max()) + 1, True)


@dataclass(frozen=True)
class Spread:
    """How means (S,) over units vary: their standard errors, and the correlation (S, S) of their errors."""

    errors: Values
    correlation: Values
    freedom: float
    """Degrees of freedom of the errors; infinite where these follow from the means."""

    def critical(self, level: float = LEVEL, sided: int = 2) -> float:
        """The factor within which all S deviations are with this probability."""
        largest = self.largest(sided)
        return float(np.quantile(largest, level))

    def largest(self, sided: int = 1) -> Values:
        """Samples of the largest of S deviations, in standard errors."""
        rng = np.random.default_rng(0)
        normal = rng.standard_normal((SAMPLES, len(self.errors)))
        weights, vectors = np.linalg.eigh(self.correlation)
        deviations = normal @ (vectors * np.sqrt(np.maximum(weights, 0))).T
        if np.isfinite(self.freedom):
            deviations *= np.sqrt(self.freedom / rng.chisquare(self.freedom, SAMPLES))[:, None]
        return np.abs(deviations).max(1) if sided == 2 else deviations.max(1)


def spread_of(values: Values, units: Units, centre: Values) -> Spread:
    """Of the means `centre` (S,) of values (S, N)."""
    n = values.shape[1]
    sizes = units.sums(np.ones((1, n)))
    residuals = units.sums(values) - centre[:, None] * sizes
    square = (residuals**2).sum(1) * units.n / max(1, units.n - 1)
    norms = np.sqrt((residuals**2).sum(1))
    correlation = residuals @ residuals.T / np.maximum(np.outer(norms, norms), 1e-12)
    np.fill_diagonal(correlation, 1.0)
    is_binary = bool(np.isin(values, (-1.0, 0.0, 1.0)).all())
    freedom = float(units.n - 1) if units.grouped or not is_binary else np.inf
    return Spread(np.sqrt(square) / n, correlation, freedom)


def shares(values: Values, units: Units) -> list[Score]:
    """The mean of each row of (S, N) values between 0 and 1, with a band over the rows."""
    n = values.shape[1]
    means = values.mean(1)
    if units.n < 2:
        return [{"value": float(p), "low": 0.0, "high": 1.0, "n": n} for p in means]
    spread = spread_of(values, units, means)
    factor = spread.critical()
    is_binary = bool(np.isin(values, (0.0, 1.0)).all())
    counts = _effective(means, spread.errors, units, n if is_binary else np.inf)
    lows, highs = share_interval(means, counts, factor)
    return [
        {"value": p, "low": low, "high": high, "n": n} | _groups(units)
        for p, low, high in zip(means.tolist(), lows.tolist(), highs.tolist(), strict=True)
    ]


def _groups(units: Units) -> dict[str, int]:
    return {"groups": units.n} if units.grouped else {}


def _effective(means: Values, errors: Values, units: Units, most: float) -> Values:
    """(S,) how many independent images would have these standard errors: at least as many as units, at most `most`"""
    if not units.grouped and np.isfinite(most):
        return np.full(len(means), most)
    own = np.divide(means * (1 - means), errors**2, out=np.full(len(means), float(units.n)), where=errors > 0)
    return np.clip(own, units.n, most)


def share_interval(p: Any, n: Any, z: float) -> tuple[Any, Any]:
    """Jeffreys' interval of shares p of n, with the tails of z standard errors; it reaches 0 and 1 where p does."""
    from scipy.special import betaincinv
    from scipy.stats import norm

    p = np.asarray(p, float)
    n = np.asarray(n, float)
    tail = float(norm.sf(z))
    low = np.where(p > 0, betaincinv(p * n + 0.5, (1 - p) * n + 0.5, tail), 0.0)
    high = np.where(p < 1, 1 - betaincinv((1 - p) * n + 0.5, p * n + 0.5, tail), 1.0)
    return np.minimum(p, low), np.maximum(p, high)


@dataclass(frozen=True)
class Drops:
    """Paired drops (S,): the share that is lost less the share that is gained, each with its interval (MOVER: Zou and Donner 2008).

    So a drop that was never seen has an interval too, and no limit leaves -1 to 1. Drops of scores between 0 and 1, such as IoU,
    have the interval of their mean by Student's t, as if of two more units one gained and one lost the most that was seen.

    lost, gained  (S,) shares, and `lost_n` and `gained_n` (S,) how many independent images would have their standard errors
    largest       of the drops of single images
    """

    lost: Values
    gained: Values
    lost_n: Values
    gained_n: Values
    spread: Spread
    n: int
    units: Units
    largest: float = 1.0
    is_binary: bool = True

    @property
    def means(self) -> Values:
        return self.lost - self.gained

    def limits(self, z: float) -> tuple[Values, Values]:
        """(S,) below and above, within z standard errors"""
        if not self.is_binary:
            unseen = self.largest / (self.units.n + 2)
            reach = z * np.sqrt(self.spread.errors**2 + unseen**2)
            return (self.means - reach).clip(-1, 1), (self.means + reach).clip(-1, 1)
        lost_low, lost_high = share_interval(self.lost, self.lost_n, z)
        gained_low, gained_high = share_interval(self.gained, self.gained_n, z)
        together = np.sqrt(
            self.lost * self.gained / np.maximum((1 - self.lost) * (1 - self.gained), 1e-12)
        ).clip(0, 1)
        low = self.means - _reach(self.lost - lost_low, gained_high - self.gained, together)
        high = self.means + _reach(lost_high - self.lost, self.gained - gained_low, together)
        return low.clip(-1, self.means), high.clip(self.means, 1)

    def scores(self) -> list[Score]:
        """With a band over the severities."""
        if self.units.n < 2:
            return [{"value": float(m), "low": -1.0, "high": 1.0, "n": self.n} for m in self.means]
        lows, highs = self.limits(self.spread.critical())
        return [
            {"value": float(mean), "low": float(low), "high": float(high), "n": self.n} | _groups(self.units)
            for mean, low, high in zip(self.means, lows, highs, strict=True)
        ]

    def chance(self, margin: float) -> float:
        """The probability of drops this much above a margin where no drop is larger than that (p-value)."""
        distance = self.distance(margin)
        seen = float((self.spread.largest() >= distance).mean())
        return seen if seen > 20 / SAMPLES else min(seen + 1 / SAMPLES, self._tail(distance))

    def distance(self, margin: float) -> float:
        """How many standard errors the drop is above a margin, at the severity where that is most."""
        low = 0.0
        high = 12.0
        while high - low > 1e-3:
            middle = (low + high) / 2
            if self.limits(middle)[0].max() > margin:
                low = middle
            else:
                high = middle
        return low if (self.means > margin).any() else -np.inf

    def _tail(self, distance: float) -> float:
        """Beyond what samples reach: the sum over the severities, which is no smaller"""
        from scipy.stats import norm, t

        freedom = self.spread.freedom
        one = norm.sf(distance) if np.isinf(freedom) else t.sf(distance, freedom)
        return float(min(1.0, len(self.means) * one))


def _reach(one: Values, other: Values, together: Values) -> Values:
    """The length of two deviations that are correlated so"""
    return np.sqrt(np.maximum(0, one**2 + other**2 + 2 * together * one * other))


def drops_of(values: Values, units: Units) -> Drops:
    """Of (S, N) values: by how much each image is worse than unchanged, between -1 and 1"""
    lost = np.maximum(values, 0)
    gained = np.maximum(-values, 0)
    counts = []
    for piece in (lost, gained):
        means = piece.mean(1)
        is_binary = bool(np.isin(piece, (0.0, 1.0)).all())
        most = values.shape[1] if is_binary else np.inf
        counts.append(_effective(means, spread_of(piece, units, means).errors, units, most))
    spread = spread_of(values, units, values.mean(1))
    is_binary = bool(np.isin(values, (-1.0, 0.0, 1.0)).all())
    largest = 1.0 if is_binary else max(LEAST, float(np.abs(values).max()))
    n = values.shape[1]
    return Drops(lost.mean(1), gained.mean(1), counts[0], counts[1], spread, n, units, largest, is_binary)
