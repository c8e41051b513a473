"""The part of a report that shows predicted classes: confusions, reliability, worst and most uncertain images."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyespot.console import ENDS, MANY
from eyespot.data.header import Array
from eyespot.data.surveys.survey import Survey
from eyespot.evaluation.classes import ClassDetails, confusions
from eyespot.evaluation.evaluation import Evaluation, in_order_of
from eyespot.metrics.intervals import percent
from eyespot.pictures import embedded, enlarged, to_display
from eyespot.report import charts

SHOWN = 24
"""Images in each gallery."""
LONGEST_TABLE = 5000
"""Classes up to which all are listed."""
LARGEST_MATRIX = 40
"""Classes up to which the whole confusion matrix is drawn."""


def class_parts(evaluation: Evaluation, survey: Survey) -> dict[str, Any]:
    """What the report of classes shows beside the frame."""
    scores = evaluation.scores
    details = evaluation.details
    worst = worst_rows(details)[:SHOWN]
    uncertain = uncertain_rows(details)[:SHOWN]
    rows = [
        (name, *(percent(of_class[k]) for k in ("recall", "precision", "f1")), of_class["recall"]["n"])
        for name, of_class in in_order_of(scores["classes"], "f1")
    ]
    small = len(evaluation.classes) <= LARGEST_MATRIX
    return {
        "n": len(details.labels),
        "classes": rows if len(rows) <= MANY else [*rows[:ENDS], *rows[-ENDS:]],
        "all_classes": rows if MANY < len(rows) <= LONGEST_TABLE else [],
        "ends": ENDS if len(rows) > MANY else 0,
        "n_classes": len(evaluation.classes),
        "matrix": _matrix(scores["confusion"]) if small else None,
        "confused": confusions(scores["confusion"], evaluation.classes)[:12],
        "reliability": charts.reliability(scores["reliability"]),
        "galleries": [
            (
                "Most wrong",
                "The mistakes with the highest confidence. Wrong labels in the data are often among them.",
                _gallery(details, worst),
            ),
            (
                "Most uncertain",
                "The two most probable classes are nearly equal.",
                _gallery(details, uncertain),
            ),
        ],
    }


def worst_rows(details: ClassDetails) -> NDArray[np.int64]:
    """The mistakes, the one with the highest confidence first."""
    p_true = details.probabilities[np.arange(len(details.labels)), details.labels]
    wrong = np.flatnonzero(details.probabilities.argmax(1) != details.labels)
    return wrong[np.argsort(p_true[wrong])]


def uncertain_rows(details: ClassDetails) -> NDArray[np.int64]:
    """All images, first those whose two most probable classes are nearly equal."""
    ordered = np.sort(details.probabilities, axis=1)
    return np.argsort(ordered[:, -1] - ordered[:, -2])


def _matrix(matrix: list[list[int]]) -> list[list[tuple[int, float, bool]]]:
    """Count, share of its row for the shade, and whether it is right."""
    return [[(n, n / max(1, sum(row)), i == j) for j, n in enumerate(row)] for i, row in enumerate(matrix)]


def _gallery(details: ClassDetails, rows: np.ndarray) -> list[dict[str, Any]]:
    figures = []
    for i in rows:
        p = details.probabilities[i]
        label = int(details.labels[i])
        predicted = int(p.argmax())
        figures.append(
            {
                "image": embedded(_shown(details.pixels[i])),
                "file": Path(details.paths[i]).name,
                "path": details.paths[i],
                "truth": details.classes[label],
                "predicted": details.classes[predicted],
                "p": f"{100 * p[predicted]:.0f}%",
                "right": label == predicted,
            }
        )
    return figures


def _shown(image: Array) -> Image.Image:
    picture = to_display(image)
    return enlarged(picture, 96) if picture.width < 96 else picture.resize((128, 128))
