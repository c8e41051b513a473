"""Images, signals and volumes as pictures, and sheets of small ones with captions."""

import base64
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from eyespot.data.header import Array
from eyespot.errors import UserError
from eyespot.files import write_file

MOST_CURVES = 4
"""A signal of at most this many channels is drawn as curves; one of more as a map of channels over time."""


def to_display(array: Array) -> Image.Image:
    """Convert an array (*S, C) of any depth to a picture: an image, the middle slice of a volume, or a signal's curves."""
    if array.ndim == 2:
        return _curves(array) if array.shape[1] <= MOST_CURVES else to_display(array.T[::-1, :, None])
    if array.ndim == 4:
        return to_display(array[len(array) // 2])
    if array.shape[2] not in (1, 3):
        array = array[..., :3] if array.shape[2] > 3 else array[..., :1]
    if (
        array.dtype != np.uint8
    ):  # 8 bits are shown as they are, other depths are scaled between their extremes
        values = array.astype(np.float32)
        low = float(values.min())
        high = float(values.max())
        array = ((values - low) * (255 / (high - low or 1))).astype(np.uint8)
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).convert("RGB")


COLOURS = ("#1f6f8b", "#d1603d", "#7a9a3a", "#8b5fa8")


def _curves(signal: Array, size: int = 144) -> Image.Image:
    """Draw a signal (L, C) as curves at twice the size of a tile; each channel between its own extremes."""
    page = Image.new("RGB", (size, size), "#f4f4f4")
    draw = ImageDraw.Draw(page)
    margin = size // 12
    x = np.linspace(margin, size - margin, len(signal))
    for channel, colour in zip(signal.T.astype(float), COLOURS, strict=False):
        low = channel.min()
        high = channel.max()
        y = size - margin - (channel - low) / (high - low or 1) * (size - 2 * margin)
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=colour, width=2)
    return page


WIDE = (640, 160)
"""Width and height in pixels of a signal's curves in a page."""


def wide_curves(signal: Array, size: tuple[int, int] = WIDE) -> Image.Image:
    """Draw the first channels of a signal (L, C) as curves, each between its own extremes.

    They fill the whole width, so that a mask painted over the picture lies at the right times.
    """
    width, height = size
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for channel, colour in zip(np.asarray(signal, np.float64).T, WIDE_COLOURS, strict=False):
        low = channel.min()
        high = channel.max()
        y = height - 10 - (channel - low) / (high - low or 1) * (height - 20)
        x = np.linspace(0, width - 1, len(channel))
        if len(channel) > 4 * width:  # the range at each pixel, since lines between all samples would hide it
            pieces = np.array_split(y, width)
            ends = [end for piece in pieces for end in (piece.min(), piece.max())]
            points = [(i // 2, float(end)) for i, end in enumerate(ends)]
        else:
            points = list(zip(x.tolist(), y.tolist(), strict=True))
        draw.line(points, fill=colour, width=2)
    return page


WIDE_COLOURS = ("#1f6f8b", "#b2400f", "#5a7a1a", "#8b5fa8")


def hatch(mixed: Array, void: Array) -> None:
    """Hatch the void pixels (H, W) of a picture (H, W, 3) in place; lines are farther apart in larger pictures."""
    distance = max(HATCH, max(void.shape) // 60)
    y, x = np.indices(void.shape)
    line = (x + y) % distance
    mixed[void & (line < distance // 4)] = HATCH_DARK
    mixed[void & (line >= distance // 4) & (line < distance // 2)] = HATCH_LIGHT


HATCH_LIGHT = 255
HATCH_DARK = 85
HATCH = 8
"""Pixels between two lines of the hatching, at the least."""
MAP_COLOURS = (
    "#d1603d #1f9fbb #7ac142 #f2b134 #8b5fa8 #e86fa0 #3d6fd1 #5fa88b #b08030 #c0392b #16a085 #7f8c8d".split()
)
MAP_COLOURS += [  # for more classes: hues a golden angle apart, in three lightnesses; labels are bytes
    "#{:02x}{:02x}{:02x}".format(
        *ImageColor.getrgb(
            f"hsl({137.508 * k % 360:.0f}, {(75, 50, 90)[k // 3 % 3]}%, {(35, 65, 50)[k % 3]}%)"
        )
    )
    for k in range(242)
]
"""The colour of each class but the first; where classes overlap, of the first too."""


def class_colour(k: int, overlap: bool) -> str | None:
    """The colour of a class over an image; None for the first class, which is not painted, unless classes overlap."""
    if overlap:
        return MAP_COLOURS[k % len(MAP_COLOURS)]
    return MAP_COLOURS[(k - 1) % len(MAP_COLOURS)] if k else None


def sheet(rows: Sequence[tuple[str, Sequence[Array]]], tile: int = 72, columns: int = 10) -> Image.Image:
    """Rows of images, signals or volumes (*S, C), each row below its title."""
    gap = 6
    line = 22
    font = ImageFont.load_default(14)
    width = columns * (tile + gap) + gap
    titles = [wrapped(title, width - 2 * gap, font.getlength) for title, _ in rows]
    lines = [-(-max(len(images), 1) // columns) * (tile + gap) for _, images in rows]
    heights = [line * len(title) + images for title, images in zip(titles, lines, strict=True)]
    page = Image.new("RGB", (width, sum(heights) + gap), "white")
    draw = ImageDraw.Draw(page)
    top = gap
    for title, (_, images), height in zip(titles, rows, heights, strict=True):
        for i, text in enumerate(title):
            draw.text((gap, top + i * line), text, fill=(30, 30, 30), font=font)
        start = top + len(title) * line - 2
        for i, image in enumerate(images):
            place = (gap + i % columns * (tile + gap), start + i // columns * (tile + gap))
            page.paste(enlarged(to_display(image), tile), place)
        top += height
    return page


def wrapped(text: str, width: float, length: Callable[[str], float]) -> list[str]:
    """Break a text into lines of at most this width, at spaces and after bars."""
    lines = [""]
    for word in re.findall(r"[^ |]+[ |]*", text):
        if lines[-1] and length((lines[-1] + word).rstrip()) > width:
            lines.append("")
        lines[-1] += word
    return [line.rstrip() for line in lines]


def enlarged(picture: Image.Image, tile: int) -> Image.Image:
    """Resize a picture to a square tile; the pixels of a small one stay visible."""
    how = Image.Resampling.NEAREST if max(picture.size) < tile else Image.Resampling.BILINEAR
    return picture.resize((tile, tile), how)


def embedded(picture: Image.Image, most: int | None = None) -> str:
    """The picture as a data URL, for a page in a single file.

    most   bytes of the file, at the most. A PNG that is larger becomes a JPEG, whose quality and then size are reduced
           until it fits.
    """
    content = _png(picture)
    if most is None or len(content) <= most:
        return "data:image/png;base64," + base64.b64encode(content).decode()
    picture = picture.convert("RGB")
    while True:
        for quality in JPEG_QUALITIES:
            content = _jpeg(picture, quality)
            if len(content) <= most:
                return "data:image/jpeg;base64," + base64.b64encode(content).decode()
        picture = picture.reduce(2)


JPEG_QUALITIES = (90, 75, 60)
SMALL_FILE = 10_000
"""Bytes of a picture in a gallery, at the most: this keeps a page under 3 MB."""
LARGE_FILE = 40_000
"""Bytes of a picture that shows details, at the most."""


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _png(picture: Image.Image, software: str = "") -> bytes:
    buffer = io.BytesIO()
    metadata = PngInfo()
    if software:
        metadata.add_text("Software", software)
    picture.save(buffer, "PNG", pnginfo=metadata)
    return buffer.getvalue()


def software_of(path: Path) -> str:
    """The software that `write_png` named in the metadata of a picture; empty for any other file."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return ""
    match = re.match(rb"\x89PNG\r\n\x1a\n.{8,200}?tEXtSoftware\0([a-z ]+)", head, re.DOTALL)
    return match[1].decode() if match else ""


def as_png(path: Path) -> Path:
    """The path of a PNG file. Raises UserError if it has another ending."""
    if path.suffix.lower() != ".png":
        raise UserError(f"{path} would be a PNG picture: let its name end in .png")
    return path


def write_png(picture: Image.Image, path: Path, software: str = "") -> None:
    """Write a picture as PNG, with the name of the software in its metadata."""
    write_file(as_png(path), _png(picture, software))
