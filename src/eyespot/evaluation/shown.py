"""The worst samples of an evaluation, as a notebook shows them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.masks.multilabel import unpack
from eyespot.data.store import RowStore
from eyespot.notebook import html, images
from eyespot.notebook.predictions import LARGE, SMALL, drawn, over, small_picture

MOST = 8
"""Samples that are shown."""


def mistakes(
    pixels: RowStore,
    paths: list[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
) -> tuple[int, list[str]]:
    """How many samples are predicted wrongly, and the worst of them: those whose own class has the lowest probability."""
    of_truth = probabilities[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    worst = wrong[np.argsort(of_truth[wrong], kind="stable")][:MOST]
    cards = []
    for row in map(int, worst):
        p = probabilities[row]
        name = Path(paths[row]).name
        truth = classes[int(labels[row])]
        predicted = classes[int(p.argmax())]
        alt = f"{name}: labelled {truth}, predicted {predicted}"
        picture = images.picture(drawn(small_picture(pixels[row], SMALL), SMALL), alt)
        bars = html.bars({predicted: float(p.max()), truth: float(of_truth[row])})
        cards.append(html.card(picture, f"{name}: labelled {truth}", bars))
    return len(wrong), cards


def compared_masks(cases: Sequence[Any], classes: Sequence[str]) -> list[str]:
    """The worst images with their masks and the predictions. cases   `masks.Case`s, the worst first"""
    cards = [images.legend(classes, int(not any(case.multilabel for case in cases)))]
    for case in cases[: MOST // 2]:
        if case.image is None:
            continue
        name = Path(case.path).name
        small = small_picture(case.image, LARGE)
        pictures = ""
        for labels, what in ((case.truth, "its mask"), (case.predicted, "the predicted mask")):
            shown = unpack(labels, len(classes)) if case.multilabel else labels
            alt = f"{name} with {what} over it"
            pictures += images.picture(drawn(over(small, shown), LARGE), alt)
        cards.append(html.card(pictures, f"{name}: mean IoU {100 * case.iou:.0f}%", wide=True))
    return cards
