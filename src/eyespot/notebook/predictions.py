"""Predictions in a notebook: images with their likeliest classes, or with their masks over them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from eyespot.data.header import Array
from eyespot.notebook import html, images
from eyespot.overlays import with_mask
from eyespot.pictures import to_display, wide_curves
from eyespot.short_names import short_names

MOST = 12
"""Images that are shown."""
LIKELIEST = 3
"""Classes of an image that are shown."""
SMALL = 96
LARGE = 240
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
        html.card(_picture(p, name), name, html.bars(_likeliest(p)) if p.error is None else _reason(p))
        for p, name in zip(predictions[:MOST], _names(predictions), strict=False)
    ]
    return html.result(html.cards(items), html.not_shown(len(predictions) - MOST, "prediction"))


def _likeliest(p: Any) -> dict[str, float]:
    ordered = sorted((p.probabilities or {}).items(), key=lambda item: -item[1])
    return dict(ordered[:LIKELIEST])


def _reason(p: Any) -> str:
    return html.line(f"cannot be read: {p.error}")


def _names(predictions: Sequence[Any]) -> list[str]:
    return short_names([p.path for p in predictions])


def _picture(p: Any, name: str) -> str:
    if p.picture is None:
        return ""
    return images.picture(drawn(p.picture, SMALL), f"{name}, predicted {p.label}")


def of_masks(predictions: Sequence[Any]) -> str:
    """`MaskPrediction`s."""
    shown = predictions[:MOST]
    items = [
        html.card(_overlay(p, name), name, _shares(p) if p.error is None else _reason(p), wide=True)
        for p, name in zip(shown, _names(predictions), strict=False)
    ]
    mapped = next((p for p in shown if p.labels is not None), None)
    legend = images.legend(mapped.classes, int(mapped.labels.dtype != bool)) if mapped else ""
    return html.result(legend, html.cards(items), html.not_shown(len(predictions) - MOST, "prediction"))


def _shares(p: Any) -> str:
    ordered = sorted(p.shares().items(), key=lambda item: -item[1])
    return html.line(", ".join(f"{name}: {share:.1%}" for name, share in ordered[:4]))


def _overlay(p: Any, name: str) -> str:
    if p.picture is None:
        return ""
    alt = f"{name} with its predicted mask over it: {p.brief()}"
    return images.picture(over(p.picture, p.labels), alt)


def over(small: Array, labels: Array) -> Image.Image:
    """A small picture or signal with the classes of its image over it, and void hatched, as in the report.

    labels   (*S) class positions or (classes, *S) bool, at the size of the image
    """
    picture = wide_curves(small) if small.ndim == 2 else drawn(small, LARGE)
    return with_mask(picture, labels, overlap=labels.dtype == bool)


def drawn(small: Array, longest: int) -> Image.Image:
    """A small picture or signal; those of few pixels with whole ones, as large as they fit."""
    picture = to_display(small)
    factor = max(1, longest // max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
