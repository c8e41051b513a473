"""What is predicted of one image, as a JSON document."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from eyespot.prediction.predictions import MaskPrediction, Prediction
from eyespot.serving.service import Outcome

Document = dict[str, Any]


def documents(outcomes: Sequence[Outcome], classes: list[str]) -> list[Document]:
    """Of each image: what is predicted, or the error."""
    return [document(outcome, classes) for outcome in outcomes]


def document(outcome: Outcome, classes: list[str]) -> Document:
    """Of one image."""
    common = {"index": outcome.index, "name": outcome.name}
    if outcome.error is not None:
        return {**common, "error": outcome.error}
    prediction = outcome.prediction
    is_class = isinstance(prediction, Prediction)
    content = of_class(prediction) if is_class else of_mask(prediction, classes)
    return {**common, **content, "remarks": list(outcome.remarks)}


def of_class(prediction: Prediction) -> Document:
    """The label, its probability and those of all classes."""
    return {
        "label": prediction.label,
        "probability": prediction.probability,
        "probabilities": prediction.probabilities,
    }


def of_mask(prediction: MaskPrediction, classes: list[str]) -> Document:
    """Of each class, how many pixels it has and which share of the image that is."""
    labels = prediction.labels
    assert labels is not None
    if labels.dtype == bool:  # multi-label
        counts = labels.reshape(len(classes), -1).sum(1)
        shape = labels.shape[1:]
    else:
        counts = np.bincount(labels.ravel(), minlength=len(classes))[: len(classes)]
        shape = labels.shape
    size = math.prod(shape)
    return {
        "shape": list(shape),
        "classes": [
            {"name": name, "pixels": int(n), "share": int(n) / size}
            for name, n in zip(classes, counts, strict=True)
        ],
    }
