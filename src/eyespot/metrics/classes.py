"""How good predictions are: each score with its n and a 95% interval, from probabilities and true labels alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z = 1.959964
BINS = 15
TOP5_FROM = 20
"""Classes from which "among the five likeliest" says something."""

TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "top5_accuracy": "top-5 accuracy",
    "calibration_error": "calibration error",
}
"""The scores that are shown as percentages, and what they are called."""

Float = NDArray[np.float64]
Score = dict[str, Any]


def score(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], classes: list[str]
) -> dict[str, Any]:
    """All scores of (N, K) probabilities against (N,) labels. A class without an image is left out of the averages.

    Shares have Wilson intervals, averages over classes the interval that follows from these, the calibration error
    a bootstrap over images.
    """
    if len(labels) == 0:
        raise ValueError("no image to score")
    predicted, n = probabilities.argmax(1), len(labels)
    matrix = confusion(labels, predicted, len(classes))
    right = predicted == labels
    by_class = {name: of_class(matrix, i) for i, name in enumerate(classes)}
    present = [c for c in by_class.values() if c["recall"]["n"]]
    out: dict[str, Any] = {
        "accuracy": proportion(int(right.sum()), n),
        "balanced_accuracy": average([c["recall"] for c in present], n),
        "macro_f1": average([c["f1"] for c in present], n),
        "calibration_error": calibration(probabilities.max(1), right),
        "log_loss": mean(-np.log(np.maximum(probabilities[np.arange(n), labels], 1e-12))),
    }
    if len(classes) >= TOP5_FROM:
        five = np.argsort(-probabilities, axis=1)[:, :5]
        out["top5_accuracy"] = proportion(int((five == labels[:, None]).any(1).sum()), n)
    out["classes"] = by_class
    out["confusion"] = matrix.tolist()
    out["reliability"] = reliability(probabilities.max(1), right)
    return out


def proportion(hits: int, n: int) -> Score:
    """A share with Wilson's interval (Wilson 1927)."""
    if n == 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    p = hits / n
    centre, spread = p + Z * Z / (2 * n), Z * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    low, high = ((centre + s * spread) / (1 + Z * Z / n) for s in (-1, 1))
    return {"value": p, "low": float(min(p, max(0.0, low))), "high": float(max(p, min(1.0, high))), "n": n}


def mean(values: Float) -> Score:
    """An average with the interval of the normal distribution, of which a single value has none."""
    value, n = float(values.mean()), len(values)
    if n == 1:
        return {"value": value, "low": None, "high": None, "n": 1}
    spread = Z * float(values.std(ddof=1)) / np.sqrt(n)
    return {"value": value, "low": float(max(0.0, value - spread)), "high": float(value + spread), "n": n}


def average(scores: list[Score], n: int) -> Score:
    """The mean of independent scores; its interval from theirs (MOVER: Zou & Donner 2008)."""
    value, low, high = (np.array([s[key] for s in scores]) for key in ("value", "low", "high"))
    below, above = (float(np.sqrt(((end - value) ** 2).sum())) / len(scores) for end in (low, high))
    centre = float(value.mean())
    return {"value": centre, "low": max(0.0, centre - below), "high": min(1.0, centre + above), "n": n}


def bootstrap(
    counts: Float, measure: Callable[[Float], Float], draws: int = 1000, seed: int = 0
) -> list[Score]:
    """Scores made of counts (N, F) summed over N images, with 95% intervals from images drawn again and again.

    measure  (..., F) -> (..., M) scores between 0 and 1, nan where there is none

    Percentiles, widened for small N (Hesterberg 2015); of 5 images they still hold 87% of the time, not 95%. n is
    the images that have the score on their own; of a single one, the interval is 0 to 1.
    """
    n, rng = len(counts), np.random.default_rng(seed)
    values, alone = measure(counts.sum(0)), (~np.isnan(measure(counts))).sum(0)
    again = measure(rng.multinomial(n, np.full(n, 1 / n), draws) @ counts)  # (draws, M)
    return [_within(v, a[~np.isnan(a)], int(k)) for v, a, k in zip(values, again.T, alone, strict=True)]


def _within(value: float, again: Float, n: int) -> Score:
    from scipy.stats import norm, t

    if np.isnan(value):
        return {"value": None, "low": None, "high": None, "n": 0}
    low, high = 0.0, 1.0
    if n > 1:
        tail = norm.cdf(np.sqrt(n / (n - 1)) * t.ppf(0.025, n - 1))
        low, high = np.quantile(again, [tail, 1 - tail])
    return {"value": float(value), "low": float(min(low, value)), "high": float(max(high, value)), "n": n}


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """(k, k) counts: rows the truth, columns the prediction"""
    return np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)


def of_class(matrix: NDArray[np.int64], i: int) -> dict[str, Score]:
    """Precision, recall and F1 of class i; F1 = 2 J / (1 + J), where J = hits / (there or said) is a share."""
    hits, there, said = int(matrix[i, i]), int(matrix[i].sum()), int(matrix[:, i].sum())
    jaccard = proportion(hits, there + said - hits if there else 0)
    f1 = {k: 2 * v / (1 + v) if k != "n" and v is not None else v for k, v in jaccard.items()}
    return {"precision": proportion(hits, said), "recall": proportion(hits, there), "f1": f1 | {"n": there}}


def calibration(confidence: Float, right: NDArray[np.bool_], draws: int = 200) -> Score:
    """Expected calibration error in 15 equal bins (Naeini et al. 2015): how far confidence is from accuracy."""
    n, rng = len(right), np.random.default_rng(0)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = right - confidence

    def error(weights: NDArray | None) -> float:
        return float(np.abs(np.bincount(bins, gap if weights is None else gap * weights, BINS)).sum() / n)

    resampled = [error(np.bincount(rng.integers(0, n, n), minlength=n)) for _ in range(draws)]
    value = error(None)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"value": value, "low": float(min(low, value)), "high": float(max(high, value)), "n": n}


def reliability(confidence: Float, right: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """For each bin of confidence: its mean confidence, and the accuracy with its interval."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "confidence": float(confidence[bins == b].mean()),
            "accuracy": proportion(int(right[bins == b].sum()), int((bins == b).sum())),
        }
        for b in range(BINS)
        if (bins == b).any()
    ]


def temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The number to divide logits by that makes probabilities honest: the least log-loss (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_t: float) -> float:
        return -float(log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(labels)), labels].mean())

    best: Any = minimize_scalar(loss, bounds=(-3, 3), method="bounded")
    return float(np.exp(best.x))


def percent(score: Score) -> str:
    """91.2% (90.6-91.7)"""
    if score["value"] is None:
        return "no images"
    return f"{100 * score['value']:.1f}% ({100 * score['low']:.1f}-{100 * score['high']:.1f})"
