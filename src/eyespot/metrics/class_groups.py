"""Intervals of the scores of classes by bootstrap over groups of images that are not independent of each other."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.metrics.classes import BINS, bins_of, top_five
from eyespot.metrics.intervals import Float, Score, percentiles, places, ratio

LEAST = 200
"""Bootstrap samples that are drawn at the least, however many images there are."""
MOST = 1000
"""Bootstrap samples that are drawn at the most."""
WORK = 5 * 10**7
"""Images in all samples together, at the most, where there are more than `LEAST` samples."""


class Predicted:
    """Predictions of (N,) images, of which sums with weights are wanted again and again."""

    def __init__(self, probabilities: NDArray[np.floating], labels: NDArray[np.int64]):
        self.k = probabilities.shape[1]
        self.labels = labels
        self.predicted = probabilities.argmax(1)
        self.right = self.predicted == labels
        confidence = probabilities.max(1)
        self.bins = bins_of(confidence)
        self.gap = self.right - confidence
        self.log_loss = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12))
        self.five = top_five(probabilities, labels)

    def measure(self, weights: Float) -> Float:
        """The scores of weighted images in the order of `ordered`, nan where there is none."""
        total = weights.sum()
        hits = _sums(self.labels, weights * self.right, self.k)
        there = _sums(self.labels, weights, self.k)
        said = _sums(self.predicted, weights, self.k)
        recall = ratio(hits, there)
        jaccard = np.where(there > 0, ratio(hits, there + said - hits), np.nan)
        f1 = 2 * jaccard / (1 + jaccard)
        gaps = _sums(self.bins, weights * self.gap, BINS)
        right = _sums(self.bins, weights * self.right, BINS)
        in_bins = ratio(right, _sums(self.bins, weights, BINS))
        single = [
            hits.sum() / total,
            np.nanmean(recall),
            np.nanmean(f1),
            np.abs(gaps).sum() / total,
            (weights * self.log_loss).sum() / total,
            (weights * self.five).sum() / total,
        ]
        return np.concatenate([single, recall, ratio(hits, said), f1, in_bins])

    def groups(self, place: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many groups have each of these scores on their own."""
        everywhere = np.full(6, place.max() + 1)
        there = _groups_with(self.labels, place, self.k)
        said = _groups_with(self.predicted, place, self.k)
        return np.concatenate([everywhere, there, said, there, _groups_with(self.bins, place, BINS)])


def _sums(kinds: NDArray[np.int64], weights: Float, k: int) -> Float:
    """(k,) the sum of the weights of each kind"""
    return np.bincount(kinds, weights, k).astype(np.float64)


def _groups_with(kinds: NDArray[np.int64], place: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """(k,) the number of groups in which each kind occurs"""
    pairs = np.unique(np.stack([kinds, place]), axis=1)
    return np.bincount(pairs[0], minlength=k)


def ordered(scores: dict[str, Any], predicted: Predicted) -> list[Score | None]:
    """The scores in the order of `Predicted.measure`; None for those that these images do not have."""
    names = ("accuracy", "balanced_accuracy", "macro_f1", "calibration_error", "log_loss", "top5_accuracy")
    of_class = list(scores["classes"].values())
    rows = [scores.get(name) for name in names]
    rows += [row[name] for name in ("recall", "precision", "f1") for row in of_class]
    accuracies = iter(scores["reliability"])
    occurs = np.bincount(predicted.bins, minlength=BINS) > 0
    return [*rows, *(next(accuracies)["accuracy"] if there else None for there in occurs)]


def widened(
    scores: dict[str, Any],
    probabilities: NDArray[np.floating],
    labels: NDArray[np.int64],
    groups: Sequence[Any],
) -> dict[str, Any]:
    """The same scores with intervals by bootstrap over groups, and with how many groups have each of them.

    scores   of `metrics.classes.score`
    groups   (N,) a name for each image

    No interval is narrower than that of independent images. Of one group, it is 0 to 1.
    """
    predicted = Predicted(probabilities, labels)
    place = places(groups)
    again = np.array([predicted.measure(weights[place]) for weights in _samples(place)])
    n_groups = predicted.groups(place).tolist()
    for score, n, values in zip(ordered(scores, predicted), n_groups, again.T, strict=True):
        if score is not None and score["value"] is not None:
            score.update(_interval(score, values[~np.isnan(values)], n), groups=n)
    if place.max() == 0:
        scores["log_loss"].update(low=None, high=None)  # it has no largest value
    return scores


def _interval(score: Score, again: Float, n: int) -> dict[str, float]:
    low, high = percentiles(score["value"], again, n)
    known = score["low"] is not None
    return {"low": min(low, score["low"]), "high": max(high, score["high"])} if known else {}


def _samples(place: NDArray[np.int64], seed: int = 0) -> Iterator[Float]:
    """How often each group is in each of many samples of as many groups."""
    n = int(place.max()) + 1
    rng = np.random.default_rng(seed)
    for _ in range(max(LEAST, min(MOST, WORK // len(place)))):
        yield np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
