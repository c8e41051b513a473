"""The part of a report that shows predicted masks: metrics of each class, confusions, and the worst images."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.masks.mapping import VOID
from eyespot.evaluation.classes import confusions
from eyespot.evaluation.evaluation import Evaluation
from eyespot.evaluation.masks import UNIT, Case, shown_cases
from eyespot.metrics.intervals import class_percent
from eyespot.overlays import WRONG, Layer, at_size, class_layers, painted, picture_of
from eyespot.pictures import LARGE_FILE, class_colour, embedded
from eyespot.report.matrix import LARGEST_MATRIX, MOST_CONFUSED, of_counts
from eyespot.short_names import short_names

WORST = 8
"""Images in the report of masks."""
COLUMNS = ("iou", "dice", "recall", "precision", "boundary_f")
VIEWS = ("as it is", "mask", "prediction", "where they differ")


def mask_parts(evaluation: Evaluation, survey: Any) -> dict[str, Any]:
    """What the report of masks shows beside the frame."""
    details = evaluation.details
    share = survey.shares.mean(0)
    of_class = evaluation.scores["classes"]
    counts = evaluation.scores.get("confusion")
    classes = evaluation.classes
    names = dict(zip(details.paths, short_names(details.paths), strict=True))
    worst = [compared(case, survey, names[case.path]) for case in shown_cases(details, WORST)]
    return {
        "n": len(details.cases),
        "unit": UNIT[survey.word],
        "classes": [
            (name, f"{share[k]:.1%}", *(class_percent(of_class[name], key, survey.word) for key in COLUMNS))
            for k, name in enumerate(classes)
        ],
        "matrix": of_counts(counts, as_shares=True) if counts and len(classes) <= LARGEST_MATRIX else None,
        "overlap": survey.mapping.multilabel,
        "confused": _confused(counts, classes) if counts else [],
        "worst": worst,
        "wide": survey.word == "signal",
        "legend": [(name, class_colour(k, survey.mapping.multilabel)) for k, name in enumerate(classes)],
        "wrong_colour": WRONG,
        "has_void": any(of_image["has_void"] for of_image in worst),
    }


def _confused(counts: list[list[int]], names: list[str]) -> list[tuple[str, str, str]]:
    """The most frequent mistakes: (truth, prediction, share of the true pixels)"""
    true = {name: max(1, sum(row)) for name, row in zip(names, counts, strict=True)}
    most = confusions(counts, names)[:MOST_CONFUSED]
    return [(a, b, f"{100 * n / true[a]:.2g}%") for a, b, n in most]


def compared(case: Case, survey: Any, name: str = "") -> dict[str, Any]:
    """One image, its mask, the prediction and the difference, side by side; of a volume the slice with most mistakes."""
    assert case.image is not None and case.truth is not None and case.predicted is not None
    image, truth, predicted, where = _slice(case.image, case.truth, case.predicted)
    overlap = survey.mapping.multilabel
    picture = picture_of(image)
    void = at_size(truth == VOID, picture)
    wrong = at_size(_differ(truth, predicted), picture)
    k = len(survey.classes)
    name = name or Path(case.path).name
    pictures = (
        picture,
        painted(picture, class_layers(truth, picture, k, overlap), void),
        painted(picture, class_layers(predicted, picture, k, overlap), np.zeros_like(void)),
        painted(picture, [Layer(WRONG, wrong)], void),
    )
    return {
        "iou": f"{100 * case.iou:.0f}%",
        "file": name + where,
        "path": case.path,
        "has_void": bool(void.any()),
        "images": [
            (embedded(p, LARGE_FILE), f"{name}{where}: {view}", view)
            for p, view in zip(pictures, VIEWS, strict=True)
        ],
    }


def _differ(truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (truth != predicted) & (truth != VOID)


def _slice(image: Any, truth: Any, predicted: Any) -> tuple[Any, Any, Any, str]:
    """Of a volume the slice in which most voxels are wrong, and which it is; others as they are."""
    if truth.ndim < 3:
        return image, truth, predicted, ""
    wrong = _differ(truth, predicted).sum((1, 2))
    k = int(wrong.argmax()) if wrong.any() else len(truth) // 2
    return image[k], truth[k], predicted[k], f", slice {k + 1} of {len(truth)}"
