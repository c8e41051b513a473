"""The part of a report that shows predicted classes: confusions, reliability, worst and most uncertain images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyespot.console import ENDS, MANY
from eyespot.data.header import WORD, Array
from eyespot.data.surveys.survey import Survey
from eyespot.evaluation.classes import ClassDetails, confusions
from eyespot.evaluation.distinct import distinct
from eyespot.evaluation.evaluation import Evaluation, in_order_of
from eyespot.metrics.intervals import class_percent
from eyespot.pictures import MOST_CURVES, SMALL_FILE, embedded, to_display, wide_curves
from eyespot.report import charts
from eyespot.report.matrix import LARGEST_MATRIX, MOST_CONFUSED, of_counts
from eyespot.short_names import short_names

SHOWN = 24
"""Images in each gallery."""
LONGEST_TABLE = 5000
"""Classes up to which all are listed."""
LARGEST = 208
SMALL = 104
"""Pixels of the longer side of a picture in a gallery: larger ones are reduced; under the second, pixels stay visible."""


def class_parts(evaluation: Evaluation, survey: Survey) -> dict[str, Any]:
    """What the report of classes shows beside the frame."""
    scores = evaluation.scores
    details = evaluation.details
    rows = [
        (name, *(class_percent(of_class, k, survey.word) for k in COLUMNS), of_class["recall"]["n"])
        for name, of_class in in_order_of(scores["classes"], "f1")
    ]
    small = len(evaluation.classes) <= LARGEST_MATRIX
    return {
        "n": len(details.labels),
        "classes": rows if len(rows) <= MANY else [*rows[:ENDS], *rows[-ENDS:]],
        "all_classes": rows if MANY < len(rows) <= LONGEST_TABLE else [],
        "ends": ENDS if len(rows) > MANY else 0,
        "n_classes": len(evaluation.classes),
        "matrix": of_counts(scores["confusion"]) if small else None,
        "confused": confusions(scores["confusion"], evaluation.classes)[:MOST_CONFUSED],
        "reliability": charts.reliability(scores["reliability"], survey.word),
        "galleries": galleries(details),
    }


COLUMNS = ("recall", "precision", "f1")


def galleries(details: ClassDetails) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """(title, what it shows, images)"""
    word = WORD[details.pixels[0].ndim - 1]
    slices = " Of each volume the middle slice is shown." * (word == "volume")
    return [
        (
            "Most confident mistakes",
            f"The {word}s that are predicted wrong with the highest confidence. "
            f"Wrong labels in the data are often among them. Of those that look nearly the same, one is shown.{slices}",
            _gallery(details, worst_rows(details, SHOWN)),
        ),
        (
            "Most uncertain",
            f"The {word}s whose two most probable classes differ least in probability, the least certain first. "
            f"The last ones may be certain.{slices}",
            _gallery(details, uncertain_rows(details, SHOWN)),
        ),
    ]


def worst_rows(details: ClassDetails, most: int) -> NDArray[np.int64]:
    """The mistakes, the one with the highest confidence first, without those that look nearly as one before."""
    wrong = np.flatnonzero(details.probabilities.argmax(1) != details.labels)
    confidence = details.probabilities[wrong].max(1)
    return _distinct(details, wrong[np.argsort(-confidence, kind="stable")], most)


def uncertain_rows(details: ClassDetails, most: int) -> NDArray[np.int64]:
    """First those whose two most probable classes differ least, without those that look nearly as one before."""
    ordered = np.sort(details.probabilities, axis=1)
    return _distinct(details, np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable"), most)


def _distinct(details: ClassDetails, rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return rows[distinct((details.pixels[row] for row in rows), most)]


def _gallery(details: ClassDetails, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    figures = []
    names = short_names(details.paths)
    for i in rows:
        p = details.probabilities[i]
        label = int(details.labels[i])
        predicted = int(p.argmax())
        picture = shown(details.pixels[i])
        figures.append(
            {
                "image": embedded(picture, SMALL_FILE),
                "small": max(picture.size) < SMALL,
                "file": names[i],
                "path": details.paths[i],
                "truth": details.classes[label],
                "predicted": details.classes[predicted],
                "p": f"{100 * p[predicted]:.0f}%",
                "right": label == predicted,
            }
        )
    return figures


def shown(array: Array) -> Image.Image:
    """A sample as a picture of its own proportions that is not larger than needed; a signal of few channels as wide curves."""
    if array.ndim == 2 and array.shape[1] <= MOST_CURVES:
        return wide_curves(array)
    picture = to_display(array)
    picture.thumbnail((LARGEST, LARGEST))
    return picture
