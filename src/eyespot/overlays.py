"""An image in its own colours, with classes, void and differences painted over it at the size of the picture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from eyespot.data.header import Array
from eyespot.data.masks.multilabel import unpack
from eyespot.pictures import class_colour, hatch, to_display, wide_curves

LONGEST = 480
SHORTEST = 160
"""Pixels of the longer side of a picture: larger images are reduced, smaller ones enlarged."""
SHARE = 0.4
"""Of a class's colour where it lies over an image; its border has all of it."""
WRONG = "#e5141e"


@dataclass(frozen=True)
class Layer:
    """Where (H, W) a picture has a colour."""

    colour: str
    where: NDArray[np.bool_]


def picture_of(image: Array) -> Image.Image:
    """(*S, C) of an image or a signal as a picture that is neither large nor tiny."""
    if image.ndim == 2:
        return wide_curves(image)
    picture = to_display(image)
    longest = max(picture.size)
    if SHORTEST <= longest <= LONGEST:
        return picture
    scale = (LONGEST if longest > LONGEST else SHORTEST) / longest
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), how)


def at_size(plane: Array, picture: Image.Image) -> Array:
    """(H, W) or, of a signal, (L) values, each as the nearest one, at the picture's size."""
    if plane.ndim == 1:
        plane = plane[None]
    rows = (np.arange(picture.height) * plane.shape[0]) // picture.height
    columns = (np.arange(picture.width) * plane.shape[1]) // picture.width
    return plane[rows[:, None], columns]


def class_layers(labels: Array, picture: Image.Image, classes: int, overlap: bool) -> list[Layer]:
    """Where each class is that has a colour. labels   (*S) class positions; bit fields where classes overlap"""
    planes = unpack(labels, classes) if overlap else (labels == k for k in range(classes))
    return plane_layers(planes, picture, overlap)


def plane_layers(planes: Iterable[Array], picture: Image.Image, overlap: bool) -> list[Layer]:
    """Where each class is that has a colour. planes   (*S) of each class, whether it is there"""
    coloured = ((class_colour(k, overlap), plane) for k, plane in enumerate(planes))
    return [Layer(colour, at_size(plane, picture)) for colour, plane in coloured if colour]


def painted(picture: Image.Image, layers: Sequence[Layer], void: NDArray[np.bool_]) -> Image.Image:
    """The picture with transparent colours, borders in full colour, and void (H, W) hatched."""
    mixed = np.asarray(picture.convert("RGB")).astype(np.float32)
    for layer in layers:
        colour = np.array(ImageColor.getrgb(layer.colour), np.float32)
        where = layer.where & ~void
        mixed[where] += SHARE * (colour - mixed[where])
        mixed[where & ~_inside(where)] = colour
    hatch(mixed, void)
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def _inside(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose four neighbours are in the same region; the edge of the picture is no border."""
    wide = np.pad(where, 1, mode="edge")
    return wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
