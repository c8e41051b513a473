"""Sheets of small images with captions: what a person looks at before and after training."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from eyespot.data.read import Array
from eyespot.files import write_whole


def to_display(image: Array) -> Image.Image:
    """(H, W, C) of any depth as a picture: 8 bits as they are, other depths between their own extremes."""
    if image.shape[2] not in (1, 3):
        image = image[..., :3] if image.shape[2] > 3 else image[..., :1]
    if image.dtype != np.uint8:
        values = image.astype(np.float32)
        low, high = float(values.min()), float(values.max())
        image = ((values - low) * (255 / (high - low or 1))).astype(np.uint8)
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("RGB")


def sheet(rows: Sequence[tuple[str, Sequence[Array]]], tile: int = 72, columns: int = 10) -> Image.Image:
    """Rows of images (H, W, C), each row below its title."""
    gap, line = 6, 22
    heights = [line + -(-max(len(images), 1) // columns) * (tile + gap) for _, images in rows]
    page = Image.new("RGB", (columns * (tile + gap) + gap, sum(heights) + gap), "white")
    draw, font, top = ImageDraw.Draw(page), ImageFont.load_default(14), gap
    for (title, images), height in zip(rows, heights, strict=True):
        draw.text((gap, top), title, fill=(30, 30, 30), font=font)
        for i, image in enumerate(images):
            place = (gap + i % columns * (tile + gap), top + line - 2 + i // columns * (tile + gap))
            page.paste(enlarged(to_display(image), tile), place)
        top += height
    return page


def enlarged(picture: Image.Image, tile: int) -> Image.Image:
    """The picture at tile pixels; small ones keep their pixels visible."""
    how = Image.Resampling.NEAREST if picture.width < tile else Image.Resampling.BILINEAR
    return picture.resize((tile, tile), how)


def embedded(picture: Image.Image) -> str:
    """The picture as a data address, for a page that stands alone."""
    return "data:image/png;base64," + base64.b64encode(_png(picture)).decode()


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture whole, as PNG."""
    write_whole(path, _png(picture))
