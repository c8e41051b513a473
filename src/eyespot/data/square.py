"""How a picture becomes a square of the network's size, the same way in training and for ever after."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from eyespot.data.read import Array, Unreadable, decode
from eyespot.errors import UserError, nearest

FITS = {
    "pad": "the whole picture, black beside or above it: nothing is lost at the edges",
    "crop": "the middle square: what lies outside it is lost",
    "stretch": "the whole picture, its proportions changed",
}
TOP = {"uint8": 255, "uint16": 65535, "float32": 1.0}
"""The value that stands for white; floating-point images keep their own scale."""


@dataclass(frozen=True)
class Reading:
    """How a file becomes an array of (size, size, channels); it travels with the model.

    size      pixels along each side
    fit       "pad", "crop" or "stretch"
    channels  of the result
    accepts   channels that a file may have; a grey file among colour ones is repeated, others are refused
    depth     "uint8", "uint16" or "float32"
    """

    size: int
    fit: str = "pad"
    channels: int = 3
    accepts: tuple[int, ...] = (3,)
    depth: str = "uint8"

    def __post_init__(self):
        if self.fit not in FITS:
            raise UserError(f"fit is {self.fit!r}; {nearest(self.fit, list(FITS))}")
        if self.size < 1:
            raise UserError(f"size is {self.size}; give a number of pixels from 1")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"accepts": list(self.accepts)}

    def __call__(self, content: bytes) -> Array:
        """The file's content as (size, size, channels). Raises Unreadable."""
        return self.of_array(decode(content, self.size))

    def of_array(self, image: Array) -> Array:
        """An (H, W, C) array as (size, size, channels). Raises Unreadable for other channels or another depth."""
        if image.shape[2] not in self.accepts:
            wanted = " or ".join(_channels(c) for c in self.accepts)
            raise Unreadable(
                f"it has {_channels(image.shape[2])}, and the images trained on have {wanted}; convert it first"
            )
        image = _to_depth(image, self.depth)
        image = _resize(image, self.size, self.fit)
        return np.repeat(image, self.channels, axis=2) if image.shape[2] < self.channels else image


def _channels(n: int) -> str:
    return {1: "1 channel (grey)", 3: "3 channels (colour)"}.get(n, f"{n} channels")


def _to_depth(image: Array, depth: str) -> Array:
    """uint8 0-255 becomes uint16 0-65535 or float 0-1, without a loss; the other way is refused but for 16 to 8 bits."""
    have = str(image.dtype)
    if have == depth:
        return image
    if (have, depth) == ("uint8", "uint16"):
        return image.astype(np.uint16) * 257
    if (have, depth) == ("uint16", "uint8"):
        return (image // 257).astype(np.uint8)
    if depth == "float32":
        return (image / np.float32(TOP[have])).astype(np.float32)
    raise Unreadable(
        f"it holds floating-point values, and the images trained on are {depth}; convert it first"
    )


def _resize(image: Array, size: int, fit: str) -> Array:
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    if fit == "stretch":
        return _scale(image, size, size, None)
    if fit == "crop":
        side = min(height, width)
        left, top = (width - side) / 2, (height - side) / 2
        return _scale(image, size, size, (left, top, left + side, top + side))
    scale = size / max(height, width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    small = _scale(image, w, h, None) if (h, w) != (height, width) else image
    square = np.zeros((size, size, image.shape[2]), image.dtype)
    top, left = (size - h) // 2, (size - w) // 2
    square[top : top + h, left : left + w] = small
    return square


def _scale(image: Array, width: int, height: int, box: tuple[float, float, float, float] | None) -> Array:
    """Bilinear with the support widened for shrinking, so that fine patterns do not alias."""
    how = Image.Resampling.BILINEAR
    if image.dtype == np.uint8 and image.shape[2] in (1, 3):
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        return np.asarray(picture.resize((width, height), how, box, reducing_gap=2.0)).reshape(
            height, width, -1
        )
    planes = [Image.fromarray(image[..., c].astype(np.float32)) for c in range(image.shape[2])]
    scaled = np.stack([np.asarray(p.resize((width, height), how, box)) for p in planes], axis=2)
    return scaled if image.dtype == np.float32 else np.rint(scaled).astype(image.dtype)
