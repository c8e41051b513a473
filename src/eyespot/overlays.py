"""Paint classes, void and differences over the picture of an image."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from eyespot.data.header import Array
from eyespot.data.masks.mapping import VOID
from eyespot.data.masks.multilabel import unpack
from eyespot.pictures import class_colour, enlarged, hatch, to_display, wide_curves

LONGEST = 480
"""Pixels of the longer side of a picture: larger images are reduced to it."""
SHORTEST = 160
"""Pixels of the longer side of a picture: smaller images are enlarged to it."""
SHARE = 0.4
"""Opacity of a class's colour over an image; its border is opaque."""
WRONG = "#e5141e"


@dataclass(frozen=True)
class Layer:
    """A colour, and the pixels (H, W) of a picture that it is painted over."""

    colour: str
    where: NDArray[np.bool_]


def picture_of(image: Array) -> Image.Image:
    """The picture of an image or a signal (*S, C), at a size that suits a page."""
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
    """Resize values (H, W), or (L,) of a signal, to the size of a picture, by the nearest neighbour."""
    if plane.ndim == 1:
        plane = plane[None]
    rows = (np.arange(picture.height) * plane.shape[0]) // picture.height
    columns = (np.arange(picture.width) * plane.shape[1]) // picture.width
    return plane[rows[:, None], columns]


def class_layers(labels: Array, picture: Image.Image, classes: int, overlap: bool) -> list[Layer]:
    """A layer for each class that has a colour.

    labels   (H, W) or (L,) classes; bit fields where classes overlap
    """
    planes = unpack(labels, classes) if overlap else (labels == k for k in range(classes))
    return plane_layers(planes, picture, overlap)


def plane_layers(planes: Iterable[Array], picture: Image.Image, overlap: bool) -> list[Layer]:
    """A layer for each class that has a colour. planes   (H, W) or (L,) of each class: whether a pixel is of it"""
    coloured = ((class_colour(k, overlap), plane) for k, plane in enumerate(planes))
    return [Layer(colour, at_size(plane, picture)) for colour, plane in coloured if colour]


def painted(picture: Image.Image, layers: Sequence[Layer], void: NDArray[np.bool_]) -> Image.Image:
    """Paint layers over a picture, with opaque borders, and hatch the void pixels (H, W)."""
    mixed = np.asarray(picture.convert("RGB")).astype(np.float32)
    for layer in layers:
        colour = np.array(ImageColor.getrgb(layer.colour), np.float32)
        where = layer.where & ~void
        mixed[where] += SHARE * (colour - mixed[where])
        mixed[where & ~_inside(where)] = colour
    hatch(mixed, void)
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def with_mask(picture: Image.Image, labels: Array, overlap: bool) -> Image.Image:
    """Paint the classes of a mask over the picture of its image, and hatch void.

    labels   (*S) classes; where classes overlap, (classes, *S) with 1 in the pixels of each. Of a volume the middle slice
             is painted, which `pictures.to_display` shows.
    """
    axis = int(overlap)  # of labels: the first in space
    if labels.ndim - axis == 3:
        labels = labels.take(labels.shape[axis] // 2, axis)
    if overlap:
        no_void = np.zeros(picture.size[::-1], bool)
        return painted(picture, plane_layers(labels == 1, picture, overlap), no_void)
    classes = int(labels[labels != VOID].max(initial=0)) + 1
    return painted(picture, class_layers(labels, picture, classes, overlap), at_size(labels == VOID, picture))


def tile_with_mask(image: Array, labels: Array, overlap: bool, tile: int) -> Array:
    """An image, signal or volume (*S, C) with its mask over it, as a tile (tile, tile, 3) of a sheet."""
    is_signal = image.ndim == 2
    picture = wide_curves(image, (tile, tile)) if is_signal else enlarged(to_display(image), tile)
    return np.asarray(with_mask(picture, labels, overlap))


def _inside(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose four neighbours are in the same region; the edge of the picture is no border."""
    wide = np.pad(where, 1, mode="edge")
    return wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
