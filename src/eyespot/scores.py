"""How good predictions are: each score with its n and a 95% interval, from probabilities and true labels alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Z = 1.959964
DRAWS = 2000
BINS = 15
TOP5_FROM = 20
"""Classes from which "among the five likeliest" says something."""

Float = NDArray[np.float64]
Score = dict[str, Any]


def score(probabilities: NDArray[np.floating], labels: NDArray[np.int64], classes: list[str]) -> dict[str, Any]:
    """All scores of (N, K) probabilities against (N,) labels. A class without an image is left out of the averages.

    Proportions have Wilson intervals. Averages over classes and F1 have the central 95% of 2,000 draws of each row of
    the confusion matrix from its Dirichlet posterior (prior 1/K per cell), so a perfect score on few images still
    shows its uncertainty. The calibration error has a bootstrap over images.
    """
    if len(labels) == 0:
        raise ValueError("no image to score")
    k = len(classes)
    predicted = probabilities.argmax(1)
    matrix = confusion(labels, predicted, k)
    right = predicted == labels
    draws = matrix_draws(matrix)
    present = matrix.sum(1) > 0
    out: dict[str, Any] = {
        "accuracy": proportion(int(right.sum()), len(labels)),
        "balanced_accuracy": interval(recalls(matrix)[present].mean(), recalls(draws)[:, present].mean(1), len(labels)),
        "macro_f1": interval(f1(matrix)[present].mean(), f1(draws)[:, present].mean(1), len(labels)),
        "calibration_error": calibration(probabilities.max(1), right),
        "log_loss": mean(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12))),
    }
    if k >= TOP5_FROM:
        five = np.argsort(-probabilities, axis=1)[:, :5]
        out["top5_accuracy"] = proportion(int((five == labels[:, None]).any(1).sum()), len(labels))
    out["classes"] = {name: _of_class(matrix, draws, i) for i, name in enumerate(classes)}
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
    """An average with the interval of the normal distribution."""
    value = float(values.mean())
    spread = Z * float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else float("inf")
    return {"value": value, "low": float(max(0.0, value - spread)), "high": float(value + spread), "n": len(values)}


def interval(value: float, draws: Float, n: int) -> Score:
    """A value with the central 95% of its draws, widened to include the value itself."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"value": float(value), "low": float(min(low, value)), "high": float(max(high, value)), "n": n}


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """(k, k) counts: rows the truth, columns the prediction"""
    return np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)


def matrix_draws(matrix: NDArray[np.int64], draws: int = DRAWS) -> Float:
    """(draws, k, k) confusion matrices with the same row sums, from the posterior of each row"""
    k = len(matrix)
    draws = max(200, min(draws, int(2e7 / k**2)))
    gammas = np.random.default_rng(0).standard_gamma(matrix[None] + 1 / k, (draws, k, k))
    return gammas / gammas.sum(2, keepdims=True) * matrix.sum(1)[:, None]


def recalls(matrix: NDArray) -> Float:
    """(..., k) share of each class's images that are found; 0 where there are none"""
    return _share(_diagonal(matrix), matrix.sum(-1))


def f1(matrix: NDArray) -> Float:
    """(..., k) harmonic mean of precision and recall"""
    return _share(2 * _diagonal(matrix), matrix.sum(-1) + matrix.sum(-2))


def _diagonal(matrix: NDArray) -> NDArray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _share(part: NDArray, whole: NDArray) -> Float:
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > 0)


def _of_class(matrix: NDArray[np.int64], draws: Float, i: int) -> dict[str, Score]:
    hits, there, said = int(matrix[i, i]), int(matrix[i].sum()), int(matrix[:, i].sum())
    f = interval(f1(matrix)[i], f1(draws)[:, i], there) if there else proportion(0, 0)
    return {"precision": proportion(hits, said), "recall": proportion(hits, there), "f1": f}


def calibration(confidence: Float, right: NDArray[np.bool_], draws: int = 200) -> Score:
    """Expected calibration error in 15 equal bins (Naeini et al. 2015): how far confidence is from accuracy."""
    n, rng = len(right), np.random.default_rng(0)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = right - confidence

    def error(weights: NDArray | None) -> float:
        return float(np.abs(np.bincount(bins, gap if weights is None else gap * weights, BINS)).sum() / n)

    resampled = [error(np.bincount(rng.integers(0, n, n), minlength=n)) for _ in range(draws)]
    return interval(error(None), np.array(resampled), n)


def reliability(confidence: Float, right: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """For each bin of confidence: its mean confidence, and the accuracy with its interval."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {"confidence": float(confidence[bins == b].mean()), "accuracy": proportion(int(right[bins == b].sum()), int((bins == b).sum()))}
        for b in range(BINS)
        if (bins == b).any()
    ]


def temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The number to divide logits by that makes probabilities honest: the least log-loss (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_t: float) -> float:
        return -float(log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def percent(score: Score) -> str:
    """91.2% (90.6-91.7)"""
    if score["value"] is None:
        return "no images"
    return f"{100 * score['value']:.1f}% ({100 * score['low']:.1f}-{100 * score['high']:.1f})"
