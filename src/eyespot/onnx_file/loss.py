"""What quantising costs: the main metric of a run on the same images before and after, and how often both agree."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eyespot.console import track
from eyespot.data.header import Array, Unreadable
from eyespot.errors import UserError
from eyespot.evaluation.classes import logits_of, read_labelled
from eyespot.evaluation.evaluation import of_sources
from eyespot.evaluation.masks import count_in, read_pairs
from eyespot.metrics import masks
from eyespot.metrics.intervals import Float, Score, ratio, share
from eyespot.metrics.paired import score_difference, share_difference
from eyespot.prediction.predictor import Predictor


@dataclass(frozen=True)
class Loss:
    """Of a network in float32 and quantised, on the same images.

    before, after   the metric with its interval
    difference      after - before, with the interval of paired images
    agreement       how many images are of the same class; of masks, pixels
    """

    metric: str
    before: Score
    after: Score
    difference: Score
    agreement: Score

    @property
    def points(self) -> float:
        """That are lost, out of 100."""
        return 0.0 - 100 * self.difference["value"]

    def __str__(self) -> str:
        ends = sorted(-100 * self.difference[k] for k in ("low", "high"))
        values = [f"{100 * score['value']:.1f}%" for score in (self.before, self.after)]
        return (
            f"{self.metric.replace('_', ' ')} {values[0]} in float32, {values[1]} in int8: {self.points:.2f} points lost "
            f"(95% interval {ends[0]:.2f} to {ends[1]:.2f}, n = {self.difference['n']:,})"
        )


class Images(Protocol):
    """Images whose truth is known, and what the network in float32 predicts of them."""

    def loss(self, predictor: Predictor) -> Loss:
        """Of a quantised network."""
        ...


def images_for(predictor: Predictor, source: Any, data: str) -> Images:
    """The images of a source, predicted by the network in float32. Raises UserError where none can be read."""
    kind = MaskImages if predictor.output.of_positions else ClassImages
    return kind(predictor, source, data)


class ClassImages:
    """See `Images`."""

    def __init__(self, predictor: Predictor, source: Any, data: str):
        read = read_labelled(predictor, source, Path(data), data)
        self.pixels = read.images.pixels
        self.labels = read.labels
        groups = of_sources(source, read.images.rows, "")
        self.groups = groups.names if groups else None
        self.before = self._predicted(predictor)

    def loss(self, predictor: Predictor) -> Loss:
        after = self._predicted(predictor)
        was_right = self.before == self.labels
        is_right = after == self.labels
        return Loss(
            "accuracy",
            share(was_right, self.groups),
            share(is_right, self.groups),
            share_difference(was_right, is_right, self.groups),
            share(self.before == after, self.groups),
        )

    def _predicted(self, predictor: Predictor) -> Any:
        return logits_of(predictor, self.pixels, np.arange(len(self.labels))).argmax(1)


class MaskImages:
    """See `Images`."""

    def __init__(self, predictor: Predictor, source: Any, data: str):
        self.pairs, _ = read_pairs(predictor, source, Path(data), data)
        groups = of_sources(source, self.pairs.rows, "")
        self.groups = groups.names if groups else None
        self.before, self.counts = self._predicted(predictor)

    def loss(self, predictor: Predictor) -> Loss:
        after, counts = self._predicted(predictor)
        classes = len(predictor.classes)
        was = masks.score(self.counts, predictor.classes, self.groups)["mean_iou"]
        now = masks.score(counts, predictor.classes, self.groups)["mean_iou"]
        difference = score_difference(
            masks.table(self.counts), masks.table(counts), lambda c: masks.mean_iou(c, classes), self.groups
        )
        equal = np.array(
            [[(a == b).sum(), a.size] for a, b in zip(self.before, after, strict=True)], np.float64
        )
        agreement = score_difference(0 * equal, equal, _share_of, self.groups)
        return Loss("mean_iou", was, now, difference, agreement)

    def _predicted(self, predictor: Predictor) -> Any:
        rows = range(len(self.pairs.rows))
        predicted = [
            labels_of(predictor, self.pairs.pixels[i]) for i in track(rows, len(rows), "evaluating, images")
        ]
        counts = [count_in(self.pairs.labels[i], predicted[i], predictor.output) for i in rows]
        return predicted, counts


def _share_of(counts: Float) -> Float:
    return np.nan_to_num(ratio(counts[..., 0], counts[..., 1]))


def labels_of(predictor: Predictor, image: Array) -> NDArray[np.uint8]:
    """(*S) the predicted label map. Raises UserError where the result is not finite."""
    try:
        return predictor.output.labels(image)
    except Unreadable as reason:
        raise UserError(f"the loss by int8 cannot be measured: {reason}") from reason
