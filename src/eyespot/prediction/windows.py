"""WindowReader of an image, signal or volume, read from its file as they are needed, where the file allows that."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from eyespot.data.formats.channel_files import files_of
from eyespot.data.formats.damage import is_ours
from eyespot.data.formats.read import decode_any, load_bytes
from eyespot.data.formats.tiff import is_tiff, stack_spacing
from eyespot.data.formats.tiff_axes import UNNAMED, stack_of
from eyespot.data.header import (
    AS_STATED,
    Array,
    NeedsPackage,
    ReadOptions,
    Unreadable,
    as_axes,
    as_depth,
    channels_last,
    depth_of,
    refuse_empty,
)
from eyespot.data.preprocess.dtype import convert_type, type_remark
from eyespot.data.preprocess.preprocessing import Preprocessing, refuse_axes
from eyespot.missing import install
from eyespot.prediction.tiles import Slices

if TYPE_CHECKING:
    import tifffile

SEGMENT = 64 << 20
"""Bytes; a TIFF whose strips or tiles are larger when decoded is decoded whole."""

# Numbers of TIFF tags
COMPRESSION = 259
PHOTOMETRIC = 262
LOSSLESS = (1, 5, 8, 32773, 32946)
"""Compressions of which every decoder gives the same values: none, LZW, Deflate and PackBits."""


@dataclass(frozen=True)
class WindowReader:
    """shape (*S) and channels of a file; called with slices, it reads that window: (*S, C) as `decode` would.

    bytes_in_memory   bytes that stay in memory: all of a file that can only be decoded whole, else 0
    remarks           what was left out of the file
    """

    shape: tuple[int, ...]
    channels: int
    read: Callable[[Slices], Array]
    spacing: tuple[float, ...] = ()
    bytes_in_memory: int = 0
    remarks: tuple[str, ...] = ()

    def __call__(self, window: Slices) -> Array:
        return as_depth(self.read(window))


def open_windows(path: Path, dim: int, options: ReadOptions = AS_STATED) -> WindowReader:
    """A file of `dim` axes. NumPy arrays and plain TIFF are read window by window, others whole. Raises Unreadable."""
    if len(files_of(path)) > 1:
        return _whole(path, dim, options)
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    windows = None
    if head[:6] == b"\x93NUMPY":
        windows = _numpy(path, dim)
    elif is_tiff(head):
        windows = _tiff(path, dim, options)
    if windows is not None:
        refuse_empty(windows.shape)
    return windows or _whole(path, dim, options)


def in_depth(reader: WindowReader, preprocessing: Preprocessing) -> WindowReader:
    """The same windows with values in the type that the network takes. Raises Unreadable where they cannot be."""
    rows = reader.shape[0]
    dtype = reader(tuple(slice(0, 1) for _ in reader.shape)).dtype
    if str(dtype) == preprocessing.depth:
        return reader
    step = max(1, SEGMENT // max(1, reader.channels * prod(reader.shape[1:]) * dtype.itemsize))
    whole = tuple(slice(0, n) for n in reader.shape[1:])
    narrowed = (str(dtype), preprocessing.depth) == ("uint16", "uint8")
    starts = range(0, rows if narrowed else 0, step)
    peak = max((float(reader((slice(k, k + step), *whole)).max()) for k in starts), default=None)

    def read(window: Slices) -> Array:
        return convert_type(preprocessing.finite(reader(window)), preprocessing, peak)

    return replace(reader, read=read, remarks=(*reader.remarks, type_remark(dtype, preprocessing) or ""))


def _whole(path: Path, dim: int, options: ReadOptions) -> WindowReader:
    decoded = decode_any(load_bytes(path), dim, options=options)
    array = decoded.array
    refuse_axes(array, dim)
    return WindowReader(
        array.shape[:-1], array.shape[-1], array.__getitem__, decoded.spacing, array.nbytes, decoded.remarks
    )


def _numpy(path: Path, dim: int) -> WindowReader | None:
    """Mapped anew for each window, so that what was read does not stay in memory."""
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:  # a damaged file, reading it whole then gives the error
        return None
    shape, at = as_axes(stored.shape, dim)
    depth_of(stored.dtype)

    def read(window: Slices) -> Array:
        return np.array(channels_last(np.load(path, mmap_mode="r"), dim)[window])

    return WindowReader(shape, 1 if at is None else stored.shape[at], read)


def _tiff(path: Path, dim: int, options: ReadOptions) -> WindowReader | None:
    """None where its values have to be changed after they are decoded, or where its parts are too large."""
    try:
        import tifffile
    except ModuleNotFoundError as error:
        if not _pillow_gives_the_same(path):
            raise NeedsPackage(f"reading it needs {install('tifffile')}") from error
        return None
    try:
        with tifffile.TiffFile(path) as file:
            stack = stack_of(file, options.axes)
            slices = stack.lead in ("Z", *UNNAMED) if dim == 3 else not stack.lead
            if not slices or stack.series > 1 or len(stack.pages) != stack.slices:
                return None
            pages = [p.aspage() for p in stack.pages]
            spacing = stack_spacing(file) if dim == 3 else ()
            # is_memmappable needs the open file
            plain = all(_plain(p) for p in pages)
    except (
        Exception
    ) as error:  # whatever tifffile meets in a damaged file; reading it whole then gives the error
        if is_ours(error):
            raise
        return None
    first = pages[0]
    page_formats = {(p.shape, p.dtype, p.compression) for p in pages}
    if len(page_formats) > 1 or not plain or (dim == 3 and len(pages) < 2):
        return None
    size = (first.imagelength, first.imagewidth)

    def read(window: Slices) -> Array:
        rows, columns = window[-2:]
        if dim == 2:
            return _page(path, first, rows, columns)
        return np.stack([_page(path, p, rows, columns) for p in pages[window[0]]])

    shape = (len(pages), *size) if dim == 3 else size
    return WindowReader(shape, first.samplesperpixel, read, spacing)


def _pillow_gives_the_same(path: Path) -> bool:
    """Whether Pillow decodes the values of a TIFF as tifffile does; what it cannot open at all is reported later."""
    try:
        with Image.open(path) as image:
            tags = getattr(image, "tag_v2", {})
            return tags.get(COMPRESSION, 1) in LOSSLESS or tags.get(PHOTOMETRIC) not in (1, 2)
    except Exception:
        return True


def _plain(page: "tifffile.TiffPage") -> bool:
    """Whether the values of the file are those of the image, in parts of a moderate size."""
    orientation = page.tags.get("Orientation")
    return (
        page.photometric in (1, 2)  # zero is black, or red, green and blue
        and page.dtype is not None
        and page.dtype.kind in "uif"
        and page.bitspersample == 8 * page.dtype.itemsize
        and page.planarconfig == 1
        and not page.extrasamples
        and (page.photometric == 1 or page.samplesperpixel == 3)  # a fourth could be transparency
        and page.imagedepth == 1
        and (orientation is None or orientation.value == 1)
        and (page.is_memmappable or prod(page.chunks) * page.dtype.itemsize <= SEGMENT)
    )


def _page(path: Path, page: "tifffile.TiffPage", rows: slice, columns: slice) -> Array:
    """(H, W, C) of a window"""
    size = (page.imagelength, page.imagewidth)
    channels = page.samplesperpixel
    assert page.dtype is not None
    if page.is_memmappable:
        dtype = page.dtype.newbyteorder(page.parent.byteorder)
        mapped = np.memmap(path, dtype, "r", page.dataoffsets[0], (*size, channels))
        return np.array(mapped[rows, columns])
    window = np.zeros((rows.stop - rows.start, columns.stop - columns.start, channels), page.dtype)
    height, width = page.chunks[:2]
    across = -(-size[1] // width)
    with path.open("rb") as file:
        for i, j in product(_touched(rows, height), _touched(columns, width)):
            index = i * across + j
            file.seek(page.dataoffsets[index])
            block, _, _ = page.decode(file.read(page.databytecounts[index]), index)
            if block is not None:
                _copy_overlap(
                    window, np.asarray(block)[0], rows.start - i * height, columns.start - j * width
                )
    return window


def _touched(block: slice, step: int) -> range:
    return range(block.start // step, -(-block.stop // step))


def _copy_overlap(window: Array, block: Array, row_offset: int, column_offset: int) -> None:
    """Copy the overlap of a block and a window that starts at this offset in the block."""
    overlap = block[max(0, row_offset) :, max(0, column_offset) :][
        : len(window) + min(0, row_offset), : window.shape[1] + min(0, column_offset)
    ]
    top = max(0, -row_offset)
    left = max(0, -column_offset)
    window[top : top + overlap.shape[0], left : left + overlap.shape[1]] = overlap
