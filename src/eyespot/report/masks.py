"""The part of a report that shows predicted masks: metrics of each class, and the worst images."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyespot.data.masks.mapping import VOID
from eyespot.evaluation.evaluation import Evaluation
from eyespot.evaluation.masks import Case
from eyespot.metrics.intervals import percent
from eyespot.pictures import embedded, overlay

WORST = 8
"""Images in the report of masks."""


def mask_parts(evaluation: Evaluation, survey: Any) -> dict[str, Any]:
    """What the report of masks shows beside the frame."""
    share = survey.shares.mean(0)
    columns = ("iou", "dice", "recall", "precision", "boundary_f")
    of_class = evaluation.scores["classes"]
    cases = evaluation.details.cases
    return {
        "n": len(cases),
        "classes": [
            (name, f"{share[k]:.1%}", *(percent(of_class[name][column]) for column in columns))
            for k, name in enumerate(evaluation.classes)
        ],
        "worst": [_compared(case, survey) for case in cases[:WORST] if case.image is not None],
    }


def _compared(case: Case, survey: Any) -> dict[str, Any]:
    """One image, its mask, the prediction and the difference, side by side."""
    assert case.image is not None and case.truth is not None and case.predicted is not None
    wrong = ((case.truth != case.predicted) & (case.truth != VOID)).astype(np.uint8)
    nothing = np.zeros_like(case.truth)
    truth, predicted = (survey.as_shown(labels) for labels in (case.truth, case.predicted))
    shown = [overlay(case.image, labels) for labels in (nothing, truth, predicted, wrong)]
    pictures = [Image.fromarray(each) for each in shown]
    for picture in pictures:
        picture.thumbnail((480, 480))
    return {
        "iou": f"{100 * case.iou:.0f}%",
        "file": Path(case.path).name,
        "path": case.path,
        "images": [embedded(p) for p in pictures],
    }
