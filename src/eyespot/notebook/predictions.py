"""Predictions in a notebook: images with their likeliest classes, or with their masks over them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyespot.data.header import Array
from eyespot.notebook import html, images
from eyespot.pictures import overlay, to_display

MOST = 12
"""Images that are shown."""
LIKELIEST = 3
"""Classes of an image that are shown."""
SMALL, LARGE = 96, 240
"""Pixels of the longer side of an image with a class, and with a mask."""
SAMPLES = 640
"""Of a signal that are drawn."""


def small_picture(image: Array, longest: int) -> Array:
    """(*S, C) -> (H, W, 3) of at most so many pixels, of a volume the middle slice; a signal (L, C) with fewer samples."""
    if image.ndim == 2:
        return image[:: -(-len(image) // SAMPLES)].copy()
    picture = to_display(image)
    picture.thumbnail((longest, longest))
    return np.asarray(picture)


def of_classes(predictions: Sequence[Any]) -> str:
    """`Prediction`s of classes."""
    items = [
        html.card(_picture(p), Path(p.path).name, html.bars(_likeliest(p)) if p.error is None else _reason(p))
        for p in predictions[:MOST]
    ]
    return html.result(html.cards(items), html.not_shown(len(predictions) - MOST, "prediction"))


def _likeliest(p: Any) -> dict[str, float]:
    ordered = sorted((p.probabilities or {}).items(), key=lambda item: -item[1])
    return dict(ordered[:LIKELIEST])


def _reason(p: Any) -> str:
    return html.line(f"cannot be read: {p.error}")


def _picture(p: Any) -> str:
    if p.picture is None:
        return ""
    return images.picture(drawn(p.picture, SMALL), f"{Path(p.path).name}, predicted {p.label}")


def of_masks(predictions: Sequence[Any]) -> str:
    """`MaskPrediction`s."""
    shown = predictions[:MOST]
    items = [
        html.card(_overlay(p), Path(p.path).name, _shares(p) if p.error is None else _reason(p), wide=True)
        for p in shown
    ]
    mapped = next((p for p in shown if p.labels is not None), None)
    legend = images.legend(mapped.classes, int(mapped.labels.dtype != bool)) if mapped else ""
    return html.result(legend, html.cards(items), html.not_shown(len(predictions) - MOST, "prediction"))


def _shares(p: Any) -> str:
    ordered = sorted(p.shares().items(), key=lambda item: -item[1])
    return html.line(", ".join(f"{name} {share:.1%}" for name, share in ordered[:4]))


def _overlay(p: Any) -> str:
    if p.picture is None:
        return ""
    alt = f"{Path(p.path).name} with its predicted mask over it: {p.brief()}"
    return images.picture(drawn(over(p.picture, p.labels), LARGE), alt)


def over(small: Array, labels: Array) -> Array:
    """(H, W, 3) a small picture with the classes of its image over it.

    labels   (*S) class positions or (classes, *S) bool, at the size of the image
    """
    axes = int(labels.dtype == bool)  # those before the first in space
    if labels.ndim - axes == 3:
        labels = labels.take(labels.shape[axes] // 2, axes)
    for axis, n in enumerate(small.shape[:-1], axes):
        labels = _nearest(labels, axis, n)
    return overlay(small, labels)


def _nearest(labels: Array, axis: int, n: int) -> Array:
    """The labels with n samples along an axis, the nearest of each."""
    at = ((np.arange(n) + 0.5) * labels.shape[axis] / n).astype(int)
    return labels.take(at, axis)


def drawn(small: Array, longest: int) -> Image.Image:
    """A small picture or signal; those of few pixels with whole ones, as large as they fit."""
    picture = to_display(small)
    factor = max(1, longest // max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
