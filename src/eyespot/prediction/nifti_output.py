"""Predictions for NIfTI files as NIfTI: voxel for voxel in the order of the input, with its affine and header."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from eyespot.data.formats.channel_files import files_of
from eyespot.data.formats.nifti import nifti_head, nifti_kind, read_grid
from eyespot.data.formats.read import load_bytes, or_unreadable
from eyespot.data.header import Array, Unreadable
from eyespot.data.masks.alignment import HEAD, grid_of

ENDING = ".nii.gz"
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
"""The type of colours in NIfTI."""


def is_nifti_file(path: Path) -> bool:
    """Whether a file is NIfTI, by its content; False where it cannot be read."""
    try:
        return grid_of(path) is not None
    except Unreadable:
        return False


def nifti_like(values: Array, source: Path) -> bytes:
    """The content of a compressed NIfTI file that lies where the source does.

    values   (D, H, W) in the axes of the body, as predicted; or (D, H, W, channels), the fourth axis of the file
    """
    return nifti_like_content(values, load_bytes(files_of(source)[0]))


def nifti_like_content(values: Array, source: bytes) -> bytes:
    """`nifti_like` of the content of the source."""
    content = source[:HEAD]
    header = or_unreadable(nifti_head, content)
    stored = _storable(read_grid(header).as_stored(values))
    header.set_data_dtype(stored.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0  # the display window of the input's values
    header.set_intent("none")
    made = nifti_kind(content)(stored, header.get_best_affine(), header)
    return gzip.compress(made.to_bytes(), mtime=0)


def nifti_colours(values: Array, source: Path) -> bytes:
    """`nifti_like` of (D, H, W, 3) colours of uint8, one for each voxel."""
    return nifti_like(np.ascontiguousarray(values).view(RGB)[..., 0], source)


def _storable(values: Array) -> Array:
    """In the smallest of the types that other programs read, where values have 64 bits."""
    if values.dtype.names or values.dtype.itemsize < 8:
        return values
    low = int(values.min(initial=0))
    high = int(values.max(initial=0))
    kinds: tuple[Any, ...] = (np.uint8, np.uint16, np.int16, np.int32, np.int64)
    return values.astype(
        next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max), copy=False
    )
