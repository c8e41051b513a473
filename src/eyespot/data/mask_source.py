"""Where the mask of a sample comes from. The path of a mask may be an image file; other kinds are added to READERS."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.read import load_bytes
from eyespot.data.masks import MaskValues, read_mask
from eyespot.data.sources.samples import Sample

Values = tuple[NDArray[np.int64], str]
"""The values (*S) of a mask, and the kind of file."""


def _of_image(sample: Sample, mask: Path, dim: int) -> Values:
    return read_mask(load_bytes(mask), dim)


def _digest_of_file(sample: Sample, mask: Path) -> bytes:
    return sha256(load_bytes(mask)).digest()


READERS: list[tuple[Callable[[Path], bool], Callable[[Sample, Path, int], Values], Callable]] = [
    # recognises a path, reads the mask of a sample, digests all that the mask depends on
    (lambda mask: True, _of_image, _digest_of_file),
]


def load_mask(sample: Sample, mask: Path, dim: int) -> Values:
    """The values (*S) of one of the sample's masks, and the kind of file. Raises Unreadable."""
    return next(read for recognises, read, _ in READERS if recognises(mask))(sample, mask, dim)


def mask_digest(sample: Sample, mask: Path) -> bytes:
    """A digest of all that the mask depends on. Raises Unreadable where it cannot be read."""
    return next(digest for recognises, _, digest in READERS if recognises(mask))(sample, mask)


def mask_values(sample: Sample, mask: Path, dim: int) -> MaskValues:
    """How often each value occurs in a mask. Raises Unreadable."""
    values, kind = load_mask(sample, mask, dim)
    distinct, counts = np.unique(values, return_counts=True)
    return MaskValues(values.shape, dict(zip(distinct.tolist(), counts.tolist(), strict=True)), kind)
