"""Pictures for the page, as PNG in JSON: the file as a person sees it, and what lies over it."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from eyespot.data.formats.read import decode_any
from eyespot.data.header import Array
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.pictures import MAP_COLOURS, WIDE, class_colour, to_display, wide_curves

SIDE = 1200
"""Pixels of the longer side of a picture, at most."""


def picture_of(content: bytes, preprocessing: Preprocessing) -> Array:
    """(*S, C) the file's own values. Raises Unreadable."""
    return decode_any(content, preprocessing.dim, SIDE, preprocessing.read_options).array


def view(array: Array, labels: Array | None = None) -> dict[str, Any]:
    """The picture of an array (*S, C); with its label map (*S), or (classes, *S) where classes overlap, the overlay.

    Of a volume the middle slice, of a signal its curves.
    """
    document: dict[str, Any] = {"picture": as_png(small(shown(array)))}
    if array.ndim == 4:
        document["slice"] = len(array) // 2
    if labels is not None:
        document["overlay"] = as_png(small(label_picture(labels, array.ndim - 1)))
    return document


def shown(array: Array) -> Image.Image:
    """An array (*S, C) as a person sees it, of the same extent as what lies over it."""
    return wide_curves(array) if array.ndim == 2 else to_display(array)


def stretched(row: Image.Image) -> Image.Image:
    """One row of pixels over the whole height of a signal's picture."""
    return row.resize(WIDE, Image.Resampling.NEAREST)


def small(picture: Image.Image) -> Image.Image:
    """At most SIDE pixels; of an overlay, whose colours are classes, no colour is mixed."""
    factor = max(picture.size) / SIDE
    if factor <= 1:
        return picture
    size = tuple(max(1, round(n / factor)) for n in picture.size)
    how = Image.Resampling.NEAREST if picture.mode == "RGBA" else Image.Resampling.BOX
    return picture.resize(size, how)  # type: ignore[arg-type]


def as_png(picture: Image.Image) -> str:
    """As PNG in base64."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def colours_of(classes: list[str], multilabel: bool) -> list[str | None]:
    """The colour of each class; None for the first, which is not painted, unless classes overlap."""
    return [class_colour(k, multilabel) for k in range(len(classes))]


def label_picture(labels: Array, dim: int) -> Image.Image:
    """Label maps as colours on a transparent ground."""
    overlapping = labels.ndim > dim
    planes = labels if overlapping else labels[None]
    if dim == 3:
        planes = planes[:, planes.shape[1] // 2]
    if dim == 1:
        planes = planes[:, None]
    rgba = np.zeros((*planes.shape[1:], 4), np.uint8)
    for k, plane in enumerate(planes):
        indices = np.where(plane, k + 1, 0) if overlapping else plane
        painted = indices > 0
        rgba[painted] = _table()[(indices[painted] - 1) % len(MAP_COLOURS)]
    return stretched(Image.fromarray(rgba)) if dim == 1 else Image.fromarray(rgba)


def _table() -> NDArray[np.uint8]:
    return np.array([(*ImageColor.getrgb(colour)[:3], 255) for colour in MAP_COLOURS], np.uint8)
