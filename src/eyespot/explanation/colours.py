"""Maps as pictures, on one fixed colour scale: orange speaks for, blue against, white neither."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyespot.data.header import Array
from eyespot.pictures import enlarged, to_display, wide_curves

FOR = (178, 64, 15)
"""The colour of the largest positive values."""
AGAINST = (24, 88, 138)
"""The colour of the largest negative values."""
QUANTILE = 0.995
"""Of the absolute values of all maps that are shown together, where the colours end."""
TILE = 224
"""Pixels of a picture's longer side, at least."""
BAND = 48
"""Pixels of the height of a signal's map."""


def scale_of(maps: Iterable[NDArray[Any]]) -> float:
    """Where the colours of maps that are shown together end; 1 for maps that are zero."""
    values = [np.abs(m).ravel() for m in maps]
    if not values:
        return 1.0
    together = np.concatenate([v[:: max(1, v.size // 2**20)] for v in values])
    limit = float(np.quantile(together, QUANTILE)) or float(together.max())
    return limit or 1.0


def coloured(values: NDArray[Any], limit: float) -> NDArray[np.uint8]:
    """(H, W) -> (H, W, 3), from -limit to limit; what lies beyond has the colour of the end"""
    t = np.clip(np.asarray(values, np.float64) / limit, -1, 1)[..., None]
    end = np.where(t >= 0, np.array(FOR), np.array(AGAINST))
    return (255 + np.abs(t) * (end - 255)).round().astype(np.uint8)


def gradient_css() -> str:
    """The scale as a background of a page."""
    return f"linear-gradient(to right, rgb{AGAINST}, white, rgb{FOR})"


def pictures(image: Array, values: NDArray[Any], limit: float) -> dict[str, Image.Image]:
    """The image in its own colours, the map, and the map over the image in grey, by their names.

    image (*S, C), values (*S); of a volume the slice with the largest value, of a signal its curve above the map
    """
    if values.ndim == 1:
        return _signal(image, values, limit)
    if values.ndim == 3:
        k = strongest_slice(values)
        return pictures(image[k], values[k], limit)
    picture = to_display(image)
    mapped = Image.fromarray(coloured(values, limit))
    grey = np.asarray(picture.convert("L").convert("RGB"), np.float64)
    share = np.clip(np.abs(values) / limit, 0, 1)[..., None] * 0.75
    light = 255 - (255 - grey) * 0.6
    over = light * (1 - share) + np.asarray(mapped, np.float64) * share
    both = Image.fromarray(over.round().astype(np.uint8))
    return {"image": shown(picture), "map": shown(mapped), "both": shown(both)}


def strongest_slice(values: NDArray[Any]) -> int:
    """The position along the first axis of the largest absolute value."""
    return int(np.abs(values).reshape(len(values), -1).max(1).argmax())


def shown(picture: Image.Image) -> Image.Image:
    """Large enough to be seen: small pictures with whole pixels, large ones reduced to 640."""
    longest = max(picture.size)
    if longest < TILE:
        factor = -(-TILE // longest)
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture = picture.copy()
    picture.thumbnail((640, 640))
    return picture


def _signal(image: Array, values: NDArray[Any], limit: float) -> dict[str, Image.Image]:
    """A signal as curves; its map as a band of colours, and both below each other on one axis of time"""
    curves = wide_curves(image)
    width = curves.width
    at = np.minimum((np.arange(width) + 0.5) * len(values) / width, len(values) - 1).astype(int)
    band = Image.fromarray(np.repeat(coloured(values[at], limit)[None], BAND, 0))
    both = Image.new("RGB", (width, curves.height + BAND + 4), "white")
    both.paste(curves, (0, 0))
    both.paste(band, (0, curves.height + 4))
    return {"image": curves, "map": band, "both": both}


def thumbnail(array: Array, tile: int = 96) -> Image.Image:
    """A small image (*S, C) for a grid."""
    return enlarged(to_display(array), tile)
