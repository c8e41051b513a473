"""Metrics of classification from probabilities and true labels, each with n and a 95% interval."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.metrics.intervals import Float, Score, average, mean, proportion

BINS = 15
TOP5_FROM = 20
"""The top-5 accuracy is computed for at least this many classes."""

TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "top5_accuracy": "top-5 accuracy",
    "calibration_error": "calibration error",
}
"""The metrics that are shown as percentages, and their names in reports."""


def score(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], classes: list[str]
) -> dict[str, Any]:
    """Compute all metrics of probabilities (N, K) against labels (N,). Averages ignore classes without images.

    Shares have Wilson intervals, from which the intervals of averages over classes are computed. The interval of the
    calibration error is a bootstrap over images. All intervals assume that images are independent; those of
    `class_groups.widened` do not.
    """
    if len(labels) == 0:
        raise ValueError("no image to score")
    predicted = probabilities.argmax(1)
    n = len(labels)
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
        out["top5_accuracy"] = proportion(int(top_five(probabilities, labels).sum()), n)
    out["classes"] = by_class
    out["confusion"] = matrix.tolist()
    out["reliability"] = reliability(probabilities.max(1), right)
    return out


def top_five(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) whether the label is among the five classes with the highest probabilities"""
    return (np.argsort(-probabilities, axis=1)[:, :5] == labels[:, None]).any(1)


def bins_of(confidence: Float) -> NDArray[np.int64]:
    """(N,) the bin of each confidence, from 0 to BINS - 1"""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """(k, k) counts: rows the truth, columns the prediction"""
    return np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)


def of_class(matrix: NDArray[np.int64], i: int) -> dict[str, Score]:
    """Precision, recall and F1 of class i.

    F1 = 2 J / (1 + J) has the interval of the Jaccard index J, which is a share.
    """
    hits = int(matrix[i, i])
    true = int(matrix[i].sum())
    predicted = int(matrix[:, i].sum())
    jaccard = proportion(hits, true + predicted - hits if true else 0)
    f1 = {
        k: None if jaccard[k] is None else 2 * jaccard[k] / (1 + jaccard[k]) for k in ("value", "low", "high")
    }
    return {
        "precision": proportion(hits, predicted),
        "recall": proportion(hits, true),
        "f1": f1 | {"n": true},
    }


def calibration(confidence: Float, right: NDArray[np.bool_], draws: int = 200) -> Score:
    """Expected calibration error in BINS equal bins (Naeini et al. 2015): the mean gap between confidence and accuracy."""
    n = len(right)
    rng = np.random.default_rng(0)
    bins = bins_of(confidence)
    gap = right - confidence

    def error(weights: NDArray | None) -> float:
        weighted = gap if weights is None else gap * weights
        return float(np.abs(np.bincount(bins, weighted, BINS)).sum() / n)

    resampled = [error(np.bincount(rng.integers(0, n, n), minlength=n)) for _ in range(draws)]
    value = error(None)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"value": value, "low": float(min(low, value)), "high": float(max(high, value)), "n": n}


def reliability(confidence: Float, right: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """The mean confidence and the accuracy, with its interval, of each bin of confidence that has samples."""
    bins = bins_of(confidence)
    return [
        {
            "confidence": float(confidence[bins == b].mean()),
            "accuracy": proportion(int(right[bins == b].sum()), int((bins == b).sum())),
        }
        for b in range(BINS)
        if (bins == b).any()
    ]


def temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The temperature that calibrates probabilities best when logits are divided by it (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_t: float) -> float:
        return -float(log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(labels)), labels].mean())

    best: Any = minimize_scalar(loss, bounds=(-3, 3), method="bounded")
    return float(np.exp(best.x))
