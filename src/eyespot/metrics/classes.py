"""How good predictions are: each score with its n and a 95% interval, from probabilities and true labels alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.metrics.intervals import Float, Score, average, mean, proportion

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


def score(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], classes: list[str]
) -> dict[str, Any]:
    """All scores of (N, K) probabilities against (N,) labels. A class without an image is left out of the averages.

    Shares have Wilson intervals, averages over classes the interval that follows from these, the calibration error
    a bootstrap over images. All of them take the images as independent; `class_groups.widened` does not.
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
    """(N,) whether the label is among the five likeliest"""
    return (np.argsort(-probabilities, axis=1)[:, :5] == labels[:, None]).any(1)


def bins_of(confidence: Float) -> NDArray[np.int64]:
    """(N,) the bin of each confidence, 0 to BINS - 1"""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """(k, k) counts: rows the truth, columns the prediction"""
    return np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)


def of_class(matrix: NDArray[np.int64], i: int) -> dict[str, Score]:
    """Precision, recall and F1 of class i; F1 = 2 J / (1 + J), where J = hits / (there or said) is a share."""
    hits = int(matrix[i, i])
    there = int(matrix[i].sum())
    said = int(matrix[:, i].sum())
    jaccard = proportion(hits, there + said - hits if there else 0)
    f1 = {k: 2 * v / (1 + v) if k != "n" and v is not None else v for k, v in jaccard.items()}
    return {"precision": proportion(hits, said), "recall": proportion(hits, there), "f1": f1 | {"n": there}}


def calibration(confidence: Float, right: NDArray[np.bool_], draws: int = 200) -> Score:
    """Expected calibration error in 15 equal bins (Naeini et al. 2015): how far confidence is from accuracy."""
    n = len(right)
    rng = np.random.default_rng(0)
    bins = bins_of(confidence)
    gap = right - confidence

    def error(weights: NDArray | None) -> float:
        return float(np.abs(np.bincount(bins, gap if weights is None else gap * weights, BINS)).sum() / n)

    resampled = [error(np.bincount(rng.integers(0, n, n), minlength=n)) for _ in range(draws)]
    value = error(None)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"value": value, "low": float(min(low, value)), "high": float(max(high, value)), "n": n}


def reliability(confidence: Float, right: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """For each bin of confidence: its mean confidence, and the accuracy with its interval."""
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
    """The number to divide logits by that makes probabilities honest: the least log-loss (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_t: float) -> float:
        return -float(log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(labels)), labels].mean())

    best: Any = minimize_scalar(loss, bounds=(-3, 3), method="bounded")
    return float(np.exp(best.x))
