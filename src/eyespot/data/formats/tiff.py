"""TIFF beyond what Pillow reads: more than 8 bits, unusual channels, stacks of pages as volumes."""

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from eyespot.data.formats.image import decode_image, image_header
from eyespot.data.formats.pixels import TURNED_SIDEWAYS, inverted, laid_on, rgb_of_cmyk, turned
from eyespot.data.formats.tiff_alpha import alpha_of
from eyespot.data.formats.tiff_axes import UNNAMED, Stack, stack_of
from eyespot.data.guesses import Guess
from eyespot.data.header import (
    AS_STATED,
    Array,
    Decoded,
    Header,
    ReadOptions,
    Unreadable,
    as_depth,
    check_size,
    depth_of,
)
from eyespot.plurals import count

if TYPE_CHECKING:
    import tifffile

MOST_CHANNELS = 7
"""More than ImageJ shows in one image."""
WHITE_IS_ZERO = 0
PALETTE = 3
INKS = 5
YCBCR = 6
JPEG = (6, 7)
"""Photometric interpretations, and the compressions of which YCbCr is decoded to RGB."""
UNSIGNED = 1
"""A sample format. Pillow reads signed samples of 8 bits as unsigned ones."""
UNDEFINED = 4
"""The sample format of values whose type the file does not state."""
NOT_PILLOWS = ("I;16", "F", "I", "LAB", "RGBA", "RGBa", "LA", "La")
"""Modes that tifffile reads: of more than 8 bits, and those of which Pillow takes the last channel for transparency."""
COLOURS = {
    **dict.fromkeys((8, 9, 10), "CIELAB"),
    **dict.fromkeys((32803, 34892), "raw values of a camera"),
    **dict.fromkeys((32844, 32845), "LogLuv"),
}
"""Photometric interpretations that are not read."""


def is_tiff(content: bytes) -> bool:
    return content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def tiff_header(content: bytes, digest: bytes, options: ReadOptions = AS_STATED) -> Header:
    """As an image, or as a volume where it has slices; pages that are not named are slices if they are grey."""
    if _is_pillows(content):
        return image_header(content, digest)
    with opened(content) as file:
        stack = stack_of(file, options.axes)
        volume = _header(stack, digest)
        if len(volume.shape) < 3:
            return volume
        slices = volume.shape[0]
        image = replace(volume, kind="TIFF", shape=volume.shape[1:], frames=slices * volume.frames)
        image = replace(image, channels=3) if _has_colours(stack) else image
        volume = replace(volume, spacing=stack_spacing(file))
        unnamed = any(letter in UNNAMED for letter in stack.axes)
        frames_first = unnamed and volume.channels == 3 and "S" in stack.axes
        first, other = (image, volume) if frames_first else (volume, image)
        guesses = (_guess_about_pages(slices, frames_first),) if unnamed else ()
        return replace(first, guesses=(*first.guesses, *guesses), others=(replace(other, guesses=()),))


def _guess_about_channels(channels: int) -> tuple[Guess, ...]:
    """Programs that are not given the axes of a stack write that its slices are channels."""
    if channels <= MOST_CHANNELS:
        return ()
    reason = "the file calls its pages channels"
    return (
        Guess(
            "channels of TIFF", count(channels, "channel"), reason, "--axes ZYX for slices, TYX for frames"
        ),
    )


def _guess_about_pages(pages: int, frames_first: bool) -> Guess:
    if frames_first:
        reason = "they are in colour and the file does not name them"
        return Guess("pages of TIFF", "images, of which the first is read", reason, "--dim 3")
    reason = "they are grey, of one size, and the file does not name them"
    return Guess("pages of TIFF", "slices of a volume", reason, "--axes TYX, or --dim 2 for the first page")


def _header(stack: Stack, digest: bytes) -> Header:
    """Of all slices, with the channels of all pages."""
    page = stack.page
    if page.dtype is None or page.dtype.kind not in "uifb":
        raise Unreadable(f"its pixels are of the type {page.dtype}, which is not a grey value or a colour")
    _check_colours(page)
    orientation = orientation_of(page)
    plane = tuple(stack.length(letter) for letter in ("XY" if orientation in TURNED_SIDEWAYS else "YX"))
    shape = (stack.slices, *plane) if stack.slices > 1 else plane
    check_size(shape)
    alpha, about_alpha = alpha_of(stack)
    channels = stack.length("S") - alpha - (page.photometric == INKS and stack.length("S") >= 4)
    return Header(
        digest,
        "TIFF stack" if stack.slices > 1 else "TIFF",
        shape,
        channels * stack.length("C"),
        depth_of(page.dtype),
        stack.length("T"),
        rotated=orientation != 1,
        guesses=(*_guess_about_channels(stack.length("C")), *about_alpha),
        notes=tuple(_notes(stack, alpha)),
    )


def _notes(stack: Stack, alpha: bool) -> list[str]:
    notes = ["alpha"] if alpha else []
    notes += ["palette"] if stack.page.photometric == PALETTE else []
    notes += ["CMYK"] if stack.page.photometric == INKS else []
    notes += [f"time {stack.length('T')}"] if stack.length("T") > 1 else []
    notes += [f"series {stack.series}"] if stack.series > 1 else []
    notes += ["unnamed pages"] if max(stack.length(letter) for letter in UNNAMED) > 1 else []
    return notes


def decode_tiff(
    content: bytes, dim: int, size: int | None = None, options: ReadOptions = AS_STATED
) -> Decoded:
    """An image with all pages that are channels (H, W, C); or with `dim` 3 all slices (D, H, W, C)."""
    if dim == 2 and not options.raw and _is_pillows(content):
        return decode_image(content, size, options)
    with opened(content) as file:
        stack = stack_of(file, options.axes)
        if dim == 3 and stack.slices < 2:
            raise Unreadable("it has one page, so it is an image and no volume")
        check_size((stack.slices if dim == 3 else 1, stack.length("Y"), stack.length("X")))
        values = _values(stack, "TZIQ" if dim == 2 else "T", options)
        return Decoded(values, stack_spacing(file) if dim == 3 else (), tuple(_remarks(stack, dim)))


def _remarks(stack: Stack, dim: int) -> list[str]:
    """What is not read of a stack."""
    remarks = []
    if stack.length("T") > 1:
        remarks.append(f"it has {stack.length('T')} time points, of which only the first is read")
    if dim == 2 and stack.slices > 1:
        remarks.append(f"it has {stack.slices} pages, of which only the first is read")
    if stack.series > 1:
        remarks.append(f"it has {stack.series} series of pages, of which only the first is read")
    return remarks


def _values(stack: Stack, unread: str, options: ReadOptions) -> Array:
    """(H, W, C) or (D, H, W, C)"""
    values, axes = stack.take(unread)
    axes += "" if "S" in axes else "S"
    values = values if values.ndim == len(axes) else values[..., None]
    order = [letter for letter in "CZIQYXS" if letter in axes]
    values = values.transpose([axes.index(letter) for letter in order])
    values = turned(values, orientation_of(stack.page))
    values = values if options.raw else _as_meant(values, order, stack, options)
    if "C" in order:
        values = np.moveaxis(values, 0, -2)
        values = values.reshape(*values.shape[:-2], -1)
    if options.raw:
        return values.astype(np.uint8) * 255 if values.dtype == bool else values
    return as_depth(values)


def _as_meant(values: Array, axes: list[str], stack: Stack, options: ReadOptions) -> Array:
    """(..., S) as stored -> grey values or colours"""
    page = stack.page
    _check_colours(page)
    if not {*"ZIQC"} & {*axes} and _has_colours(stack):
        assert page.colormap is not None
        return (page.colormap >> 8).astype(np.uint8).T[values[..., 0]]
    alpha, _ = alpha_of(stack)
    if page.photometric == WHITE_IS_ZERO:
        colours = values.shape[-1] - alpha
        values = np.concatenate(
            [inverted(values[..., :colours], page.bitspersample), values[..., colours:]], -1
        )
    if page.photometric == INKS and values.shape[-1] >= 4 and values.dtype.kind == "u":
        values = np.concatenate([rgb_of_cmyk(values[..., :4]), values[..., 4:]], -1)
    if alpha:
        values = laid_on(values, options.background, premultiplied=[*page.extrasamples][-1:] == [1])
    return values


def _has_colours(stack: Stack) -> bool:
    """Whether values are places in a table of colours; those of a volume are read as values."""
    page = stack.page
    return page.photometric == PALETTE and page.bitspersample <= 8 and page.colormap is not None


def _check_colours(page: "tifffile.TiffPage") -> None:
    coded = page.photometric == YCBCR and page.compression not in JPEG
    if coded or page.photometric in COLOURS:
        colours = "YCbCr" if coded else COLOURS[page.photometric]
        raise Unreadable(f"its colours are {colours}, which is not read: save it as RGB")


def orientation_of(page: "tifffile.TiffPage") -> int:
    """How a page is turned, 1 (upright) to 8."""
    tag = page.tags.get("Orientation")
    value = 1 if tag is None else int(tag.value)
    return value if 1 <= value <= 8 else 1


def _is_pillows(content: bytes) -> bool:
    """Whether Pillow reads all of it: one page of at most 8 bits with the usual channels."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            tags = image.tag_v2  # type: ignore[attr-defined]
            usual = tags.get(277, 1) <= len(image.getbands()) and image.mode not in NOT_PILLOWS
            usual = usual and set(tags.get(339, (UNSIGNED,))) <= {UNSIGNED, UNDEFINED}
            return max(tags.get(258, (1,))) <= 8 and usual and getattr(image, "n_frames", 1) < 2
    except Exception:  # what Pillow cannot open, tifffile may
        return False


def opened(content: bytes) -> "tifffile.TiffFile":
    """The file as tifffile reads it. Raises Unreadable for one that claims too many pixels."""
    import imagecodecs  # noqa: F401  without it, tifffile cannot decode some files
    import tifffile

    file = tifffile.TiffFile(io.BytesIO(content))
    page = file.pages.first
    check_size((page.imagelength, page.imagewidth))
    return file


def stack_spacing(file: "tifffile.TiffFile") -> tuple[float, ...]:
    """Of a stack that ImageJ wrote, in its unit: the distance of pages, and of pixels from the resolution tags."""
    between = (file.imagej_metadata or {}).get("spacing")
    tag = file.pages.first.tags.get("XResolution")
    if not between or tag is None or not tag.value[0]:
        return ()
    pixel = tag.value[1] / tag.value[0]
    return (abs(float(between)), pixel, pixel)
