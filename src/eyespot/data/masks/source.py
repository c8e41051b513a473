"""Where the mask of a sample comes from: an image file, a folder with a file per object. Other kinds are added to READERS.

Masks that are drawn, unlike those of an image file, depend on a mapping: it says whether objects are numbered, and which
value each class gets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyespot.data.annotations.draw import Contents, Drawn
from eyespot.data.annotations.image_mask import contents_of_image, digest_of_image, draw_image, is_annotation
from eyespot.data.annotations.object_files import (
    contents_of_object_files,
    digest_of_object_files,
    draw_object_files,
    is_object_files,
)
from eyespot.data.formats.read import load_bytes
from eyespot.data.header import Unreadable
from eyespot.data.masks.mapping import Mapping
from eyespot.data.masks.pixels import read_mask
from eyespot.data.masks.statistics import MaskValues, describe
from eyespot.data.sources.samples import Sample
from eyespot.labels import value_counts

Values = tuple[NDArray[np.int64], str]
"""The values (*S) of a mask, and the kind of file."""
DRAWN = "drawn"
"""The kind of a mask that is not an image file."""


@dataclass(frozen=True)
class DrawnValues(MaskValues):
    """What a mask that was drawn holds, and how its objects lie: see `Drawn`."""

    objects: int = 0
    hidden: int = 0
    covered: int = 0
    shared: int = 0
    beyond: int = 0


@dataclass(frozen=True)
class Reader:
    """How masks are read that are drawn.

    recognises  the path of a sample's mask
    contents    what its file says without being drawn
    draw        the mask, for so many axes
    digest      of all that the mask depends on
    """

    recognises: Callable[[Sample, Path], bool]
    contents: Callable[[Sample, Path], Contents]
    draw: Callable[[Sample, Path, int, Mapping], Drawn]
    digest: Callable[[Sample, Path], bytes]


READERS = [
    Reader(
        is_object_files,
        contents_of_object_files,
        draw_object_files,
        digest_of_object_files,
    ),
    Reader(is_annotation, contents_of_image, draw_image, digest_of_image),
]
"""Every other mask is an image file, whose values are taken as they are."""


def reader_of(sample: Sample, mask: Path) -> Reader | None:
    """How a mask is drawn; None for an image file."""
    return next((reader for reader in READERS if reader.recognises(sample, mask)), None)


def load_mask(sample: Sample, mask: Path, dim: int, mapping: Mapping | None = None, axes: str = "") -> Values:
    """The values (*S) of one of the sample's masks, and the kind of file. Raises Unreadable.

    mapping   what a mask that is drawn depends on
    axes      see `ReadOptions`
    """
    reader = reader_of(sample, mask)
    if reader is None:
        return read_mask(load_bytes(mask), dim, axes)
    if mapping is None:
        raise Unreadable("it is drawn from outlines, and a mask of one class is an image file")
    return reader.draw(sample, mask, dim, mapping).values, DRAWN


def mask_digest(sample: Sample, mask: Path) -> bytes:
    """A digest of all that the mask depends on. Raises Unreadable where it cannot be read."""
    reader = reader_of(sample, mask)
    return reader.digest(sample, mask) if reader else sha256(load_bytes(mask)).digest()


def mask_values(
    sample: Sample, mask: Path, dim: int, mapping: Mapping | None = None, axes: str = ""
) -> MaskValues:
    """What a mask holds. Raises Unreadable."""
    reader = reader_of(sample, mask)
    if reader is None or mapping is None:
        return describe(*load_mask(sample, mask, dim, axes=axes))
    drawn = reader.draw(sample, mask, dim, mapping)
    return DrawnValues(
        drawn.values.shape,
        value_counts(drawn.values),
        DRAWN,
        objects=drawn.objects,
        hidden=drawn.hidden,
        covered=drawn.covered,
        shared=drawn.shared,
        beyond=drawn.beyond,
    )


def mask_name(sample: Sample, mask: Path) -> str:
    """What a mask is called in messages: several images may have theirs in one file."""
    return f"{sample.path} in {mask.name}" if reader_of(sample, mask) else str(mask)
