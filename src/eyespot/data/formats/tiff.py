"""TIFF beyond what Pillow reads: more than 8 bits, unusual channels, stacks of pages as volumes."""

import io
from dataclasses import replace
from math import prod

import numpy as np
import tifffile
from PIL import Image

from eyespot.data.formats.image import decode_image, image_header, without_alpha
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


def is_tiff(content: bytes) -> bool:
    return content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _needs_tifffile(content: bytes) -> bool:
    """More than 8 bits or unusual channels, which Pillow reads incompletely or not at all."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            bits = image.tag_v2.get(258, (8,))  # type: ignore[attr-defined]
            return max(bits) > 8 or image.mode in ("I;16", "F", "I")
    except Exception:  # what Pillow cannot open, tifffile may
        return True


def _frames(content: bytes) -> int:
    with Image.open(io.BytesIO(content)) as image:
        return getattr(image, "n_frames", 1)


def tiff_header(content: bytes, digest: bytes, options: ReadOptions = AS_STATED) -> Header:
    """Of the first page; of all pages as its channels; or as a volume, which is then the likelier."""
    first = _page_header(content, digest) if _needs_tifffile(content) else image_header(content, digest)
    if first.frames < 2:
        return first
    file, page = _opened(content)
    with file:
        shapes = {(p.imagelength, p.imagewidth, p.samplesperpixel) for p in file.pages}  # type: ignore[union-attr]
        if len(shapes) > 1:
            return first
        of_each = leading(file).get("C", 1)
        channels, depth = first.channels * of_each, len(file.pages) // of_each
        check_size((len(file.pages), page.imagelength, page.imagewidth))
        if depth == 1:
            return replace(first, channels=channels, frames=1)
        volume = replace(
            first,
            kind="TIFF stack",
            shape=(depth, page.imagelength, page.imagewidth),
            channels=channels,
            frames=1,
            rotated=False,
            spacing=stack_spacing(file),
        )
        return replace(volume, others=(first,))


def leading(file: tifffile.TiffFile) -> dict[str, int]:
    """How many channels (C) and slices (Z) the pages are, in their order, where ImageJ or OME says that they are channels."""
    try:
        series = file.series[0]
        axes = series.axes[: series.axes.index("Y")]
        sizes = dict(zip(axes, series.shape, strict=False))
    except Exception:  # tifffile raises whatever it meets in a damaged file
        return {}
    known = "C" in sizes and set(sizes) <= {"Z", "C"} and prod(sizes.values()) == len(file.pages)
    return sizes if known else {}


def decode_tiff(
    content: bytes, dim: int, size: int | None = None, options: ReadOptions = AS_STATED
) -> Decoded:
    """The first page or all as its channels (H, W, C); or with `dim` 3 all pages (D, H, W, C)."""
    pillows = not _needs_tifffile(content)
    if dim == 2 and pillows and _frames(content) < 2:
        return decode_image(content, size)
    file, page = _opened(content)
    with file:
        sizes = leading(file) if len(file.pages) > 1 else {}
        if dim == 2 and [*sizes] != ["C"]:
            return decode_image(content, size) if pillows else Decoded(_values(page))
        if len(file.pages) < 2:
            raise Unreadable("it has one page, so it is an image and no volume")
        values = np.stack([_values(p.aspage()) for p in file.pages])
        if not sizes:
            return Decoded(values, stack_spacing(file))
        values = np.moveaxis(values.reshape(*sizes.values(), *values.shape[1:]), [*sizes].index("C"), -2)
        return Decoded(values.reshape(*values.shape[:-2], -1), stack_spacing(file) if dim == 3 else ())


def _opened(content: bytes) -> tuple[tifffile.TiffFile, tifffile.TiffPage]:
    file = tifffile.TiffFile(io.BytesIO(content))
    page = file.pages.first
    check_size((page.imagelength, page.imagewidth))
    return file, page


def _page_header(content: bytes, digest: bytes) -> Header:
    file, page = _opened(content)
    with file:
        dtype = page.dtype
        if dtype is None or dtype.kind not in "uifb":
            raise Unreadable(f"its pixels are of the type {dtype}, which is not a grey value or a colour")
        alpha = _has_alpha(page)
        return Header(
            digest,
            "TIFF",
            (page.imagelength, page.imagewidth),
            page.samplesperpixel - alpha,
            depth_of(dtype),
            len(file.pages),
            notes=("alpha",) if alpha else (),
        )


def _has_alpha(page: tifffile.TiffPage) -> bool:
    """Whether the last channel is transparency (TIFF's ExtraSamples 1 or 2), not one more measurement."""
    kind = page.dtype.kind if page.dtype is not None else ""
    return kind == "u" and bool(page.extrasamples) and int(page.extrasamples[-1]) in (1, 2)


def _values(page) -> Array:
    """(H, W, C) of one page"""
    array = np.asarray(page.asarray())
    if array.ndim == 2:
        array = array[..., None]
    elif page.planarconfig == 2:  # channels stored as planes
        array = np.moveaxis(array, 0, -1)
    return as_depth(without_alpha(array) if _has_alpha(page) else array)


def stack_spacing(file: tifffile.TiffFile) -> tuple[float, ...]:
    """Of a stack that ImageJ wrote, in its unit: the distance of pages, and of pixels from the resolution tags."""
    between = (file.imagej_metadata or {}).get("spacing")
    tag = file.pages.first.tags.get("XResolution")
    if not between or tag is None or not tag.value[0]:
        return ()
    pixel = tag.value[1] / tag.value[0]
    return (abs(float(between)), pixel, pixel)
