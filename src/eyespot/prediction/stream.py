"""Label maps of any size written as TIFF while they are made."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tifffile

from eyespot.data.facts import Array
from eyespot.errors import UserError
from eyespot.files import cannot_write

SIDE = 512
"""Of a tile in the file, in pixels."""
PASS = 16 << 20
"""Bytes compressed at a time."""
CLASSIC = 4_000_000_000
"""Bytes of values beyond which the file is a BigTIFF, whose offsets have 64 bits."""


def write_labels(
    path: Path, bands: Iterable[Array], shape: Sequence[int], spacing: Sequence[float] = ()
) -> None:
    """Write bands (rows, W), or (planes, H, W) for a stack of pages, as one compressed, tiled TIFF of (H, W) or (D, H, W).

    The file is written beside its place as NAME.partial and takes its name when it is whole; a partial file that a
    killed run left is replaced. `spacing` is the distance of samples along each axis, for the resolution tags.
    """
    if len(shape) not in (2, 3):
        raise UserError(f"{path} cannot hold labels of shape {tuple(shape)}: a TIFF has two or three axes")
    bands = iter(bands)
    first = next(bands)
    side = [min(SIDE, -(-n // 16) * 16) for n in shape[-2:]]
    pages = _pages(_chain(first, bands), len(shape))
    partial = path.with_name(f"{path.name}.partial")
    try:
        try:
            tifffile.imwrite(
                partial,
                _tiles(pages, side),
                shape=tuple(shape),
                dtype=first.dtype,
                tile=tuple(side),
                bigtiff=np.prod(shape, dtype=float) * first.itemsize > CLASSIC,
                photometric="minisblack",
                compression="zlib",
                buffersize=PASS,
                software="eyespot",
                **_scale(shape, spacing),
            )
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(cannot_write(path, error)) from error


def _scale(shape: Sequence[int], spacing: Sequence[float]) -> dict:
    """The tags that ImageJ reads: samples per unit within a page, and the distance of pages."""
    tags: dict = {"metadata": None}
    if spacing:
        tags |= {"resolution": (1 / spacing[-1], 1 / spacing[-2]), "resolutionunit": "NONE"}
    if len(shape) == 3:
        between = f"spacing={spacing[0]}\n" if spacing else ""
        tags["description"] = f"ImageJ=1.54f\nimages={shape[0]}\nslices={shape[0]}\n{between}loop=false\n"
    return tags


def _chain(first: Array, rest: Iterator[Array]) -> Iterator[Array]:
    yield first
    yield from rest


def _pages(bands: Iterator[Array], dim: int) -> Iterator[Iterator[Array]]:
    """Each page as bands (rows, W)."""
    if dim == 2:
        yield bands
    else:
        for planes in bands:
            yield from (iter([plane]) for plane in planes)


def _tiles(pages: Iterable[Iterator[Array]], side: Sequence[int]) -> Iterator[Array]:
    """The tiles of all pages in the order of the file, zeros beyond the edges."""
    for page in pages:
        for rows in _rows(page, side[0]):
            for left in range(0, rows.shape[1], side[1]):
                part = rows[:, left : left + side[1]]
                tile = np.zeros(tuple(side), part.dtype)
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile


def _rows(bands: Iterator[Array], height: int) -> Iterator[Array]:
    """The same rows, `height` at a time; fewer at the end."""
    held = None
    for band in bands:
        held = band if held is None or not len(held) else np.concatenate([held, band])
        while len(held) >= height:
            yield held[:height]
            held = held[height:]
    if held is not None and len(held):
        yield held
