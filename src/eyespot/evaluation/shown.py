"""The worst samples of an evaluation, as a notebook shows them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.masks.mapping import VOID
from eyespot.data.masks.multilabel import unpack
from eyespot.data.store import RowStore
from eyespot.notebook import html, images
from eyespot.notebook.predictions import LARGE, SMALL, drawn, over, small_picture
from eyespot.short_names import short_names

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
    names = short_names(paths)
    for row in map(int, worst):
        p = probabilities[row]
        name = names[row]
        truth = classes[int(labels[row])]
        predicted = classes[int(p.argmax())]
        alt = f"{name}: labelled {truth}, predicted {predicted}"
        picture = images.picture(drawn(small_picture(pixels[row], SMALL), SMALL), alt)
        bars = html.bars({predicted: float(p.max()), truth: float(of_truth[row])})
        cards.append(html.card(picture, f"{name}: labelled {truth}", bars))
    return len(wrong), cards


def compared_masks(cases: Sequence[Any], classes: Sequence[str]) -> list[str]:
    """The worst images with their masks and the predictions. cases   `masks.Case`s, the worst first"""
    overlap = any(case.multilabel for case in cases)
    chosen = cases[: MOST // 2]
    has_void = any(case.truth is not None and not overlap and (case.truth == VOID).any() for case in chosen)
    cards = [images.legend(classes, int(not overlap), has_void)]
    names = short_names([case.path for case in cases])
    for case, name in zip(chosen, names, strict=False):
        if case.image is None:
            continue
        small = small_picture(case.image, LARGE)
        pictures = ""
        for labels, what in ((case.truth, "its mask"), (case.predicted, "the predicted mask")):
            shown = unpack(labels, len(classes)) if case.multilabel else labels
            alt = f"{name} with {what} over it"
            pictures += images.picture(over(small, shown), alt)
        cards.append(html.card(pictures, f"{name}: mean IoU {100 * case.iou:.0f}%", wide=True))
    return cards
