"""Volumes in NIfTI files: their values in the axes of the body, and the way back to the file's own axes."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from eyespot.missing import extra

HEAD = 544
"""Bytes that hold the header of either version."""
ROUNDED = 1e-3
"""How far the values of a mask may be from whole numbers: a slope that fits 16 bits to labels 0 to 50 rounds by up to 4e-4."""
FOURTH_AXIS = Guess(
    "fourth axis of NIfTI",
    "channels",
    "the files do not state whether it is time or channels",
    "save each frame as a file of its own",
)
TIME_AXIS = Guess(
    "fourth axis of NIfTI",
    "time, each frame as a channel",
    "its unit is one of time",
    "save each frame as a file of its own",
)
NO_FORM = Guess(
    "orientation of NIfTI",
    "left, anterior, superior",
    "neither sform nor qform is set, and this is then the rule of the format",
    "set the sform of the files",
)
TWO_FORMS = Guess(
    "orientation of NIfTI",
    "as the sform says",
    "the qform places the voxels elsewhere, and the sform goes first",
    "save the files with the qform alone",
)
TIME_UNITS = (8, 16, 24)
"""Seconds, milliseconds and microseconds, in the header's number of the unit."""
APART = 0.05
"""Voxels by which the two forms may place a corner apart."""
UNITS = {1: 1000.0, 2: 1.0, 3: 0.001}
"""Millimetres of metres, millimetres and micrometres, by the header's number of the unit; others are taken as millimetres."""


def is_nifti(content: bytes) -> bool:
    """Whether content, of which the first 64 kB are enough, is that of a NIfTI file, alone or one of a pair."""
    head = unpacked_head(content)
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def unpacked_head(content: bytes) -> bytes:
    """The first bytes of the header."""
    if content[:2] != b"\x1f\x8b":
        return content[:HEAD]
    try:
        return zlib.decompressobj(wbits=31).decompress(content, HEAD)
    except zlib.error:
        return b""


@dataclass(frozen=True)
class VoxelGrid:
    """Where the voxels of a file lie.

    shape   voxels along each axis of the file (I, J, K)
    affine  (4, 4) from voxel indices as stored to millimetres towards right, anterior and superior
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]

    def _axes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of superior, anterior and right: the file's axis, and which of these three point the other way."""
        from nibabel.orientations import io_orientation

        orientation = io_orientation(self.affine)
        order = [int(np.flatnonzero(orientation[:, 0] == axis)[0]) for axis in (2, 1, 0)]
        turned = [place for place, axis in enumerate(order) if orientation[axis, 1] < 0]
        return tuple(order), tuple(turned)

    def to_body(self, values: Array) -> Array:
        """(I, J, K, ...) as stored -> (D, H, W, ...), axes towards superior, anterior and right"""
        order, turned = self._axes()
        return np.flip(values.transpose(*order, *range(3, values.ndim)), turned)

    def as_stored(self, values: Array) -> Array:
        """(D, H, W, ...) in the body's axes -> (I, J, K, ...), the order of the file; the inverse of `to_body`"""
        order, turned = self._axes()
        back = [order.index(axis) for axis in range(3)]
        return np.flip(values, turned).transpose(*back, *range(3, values.ndim))

    @property
    def body_shape(self) -> tuple[int, ...]:
        """(D, H, W)"""
        return tuple(self.shape[axis] for axis in self._axes()[0])

    @property
    def axis_codes(self) -> str:
        """Where the axes of the file point, such as LPS: left, posterior, superior."""
        from nibabel.orientations import aff2axcodes

        return "".join(str(code) for code in aff2axcodes(self.affine))


def read_grid(head: Any, affine: Any = None) -> VoxelGrid:
    """The grid of a header that nibabel read. Raises Unreadable for other than three axes, or four with channels.

    affine   where it is not the header's own
    """
    stored = tuple(int(n) for n in head.get_data_shape())
    several = [n for n in stored[3:] if n != 1]  # a vector for each voxel is the fifth axis, after one time
    if len(stored) < 3 or len(several) > 1:
        raise Unreadable(
            f"its array of shape {stored} is not a volume: give three axes, or four with channels"
        )
    if min(stored) < 1:
        raise Unreadable(f"its array of shape {stored} is empty")
    affine = np.asarray(head.get_best_affine() if affine is None else affine, float)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise Unreadable(
            "its affine has no inverse, so its orientation is unknown: correct its sform or qform, or the size of its voxels"
        )
    return VoxelGrid(stored[:3], affine)


def nifti_grid(content: bytes) -> VoxelGrid:
    """The grid of a file, of whose content the first 64 kB are enough. Raises Unreadable."""
    return read_grid(nifti_head(content))


def nifti_header(content: bytes, digest: bytes) -> Header:
    """Read the header only. Raises Unreadable."""
    head = nifti_head(content)
    grid = read_grid(head)
    check_size(grid.shape)
    dtype = head.get_data_dtype()
    if dtype.kind not in "buif":
        raise Unreadable(f"its voxels are of the type {_type_name(dtype)}, which is not one number each")
    channels = int(np.prod(head.get_data_shape()[3:], dtype=int))
    slope, intercept = head.get_slope_inter()
    scaled = slope not in (1, None) or intercept not in (0, None)
    depth = "float32" if scaled else depth_of(dtype)
    spacing = _spacing(grid, head)
    guesses = tuple(_guesses(head, grid, channels))
    return Header(digest, "NIfTI", grid.body_shape, channels, depth, spacing=spacing, guesses=guesses)


def _guesses(head: Any, grid: VoxelGrid, channels: int) -> Iterator[Guess]:
    """What the header leaves open."""
    if channels > 1:
        yield TIME_AXIS if int(head["xyzt_units"]) & 56 in TIME_UNITS else FOURTH_AXIS
    if not head["sform_code"] and not head["qform_code"]:
        yield NO_FORM
    if head["sform_code"] and head["qform_code"]:
        there = np.linalg.solve(grid.affine, head.get_qform()) - np.eye(4)
        ends = np.array([*product(*((0, n - 1) for n in grid.shape))])
        if np.abs(ends @ there[:3, :3].T + there[:3, 3]).max() > APART:
            yield TWO_FORMS


def decode_nifti(content: bytes, options: ReadOptions = AS_STATED) -> Decoded:
    """(D, H, W, C), axes towards superior, anterior and right; spacing in millimetres. Raises Unreadable.

    Raw values, as masks need them, are the file's after slope and intercept: whole numbers where they were stored
    with a slope that rounds them.
    """
    nifti_head(content)
    raw = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    return of_nibabel(nifti_kind(content).from_bytes(raw), options)


def of_nibabel(image: Any, options: ReadOptions = AS_STATED) -> Decoded:
    """`decode_nifti` of an image that nibabel has loaded. Raises Unreadable."""
    grid = read_grid(image.header, image.affine)
    dtype = np.dtype(image.get_data_dtype())
    if dtype.kind not in "buif":
        raise Unreadable(f"its voxels are of the type {_type_name(dtype)}, which is not one number each")
    values = np.asarray(image.dataobj)  # after slope and intercept
    values = grid.to_body(values.reshape(*grid.shape, -1))
    values = _whole_numbers(values) if options.raw else as_depth(values)
    return Decoded(np.ascontiguousarray(values), _spacing(grid, image.header))


def _whole_numbers(values: Array) -> Array:
    """The nearest whole numbers where all values are nearly whole: a slope, or 32-bit arithmetic, rounded them."""
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        return values
    nearest = np.rint(values)
    return nearest if np.abs(values - nearest).max() < ROUNDED else values


def nifti_head(content: bytes) -> Any:
    """The header as nibabel reads it, without the values. Raises Unreadable for one of a pair of files."""
    head = unpacked_head(content)
    if head[344:348] == b"ni1\0" or head[4:8] == b"ni2\0":
        raise Unreadable(
            "it is the header of a NIfTI pair (.hdr and .img), which is not read: save both as one .nii or .nii.gz file"
        )
    kind = nifti_kind(content).header_class
    return kind(head[: kind.template_dtype.itemsize])


def nifti_kind(content: bytes) -> Any:
    """nibabel's class for the version of the file. Raises Unreadable where nibabel is not installed."""
    try:
        import nibabel
    except ImportError as error:
        raise Unreadable(f"it is NIfTI, which needs one more package: {extra('nifti')}") from error
    return nibabel.Nifti2Image if unpacked_head(content)[4:8] == b"n+2\0" else nibabel.Nifti1Image


def _spacing(grid: VoxelGrid, head: Any) -> tuple[float, ...]:
    """Millimetres from voxel to voxel along (D, H, W), by the affine."""
    unit = int(head["xyzt_units"]) & 7 if "xyzt_units" in head else 2
    sizes = np.sqrt((grid.affine[:3, :3] ** 2).sum(0)) * UNITS.get(unit, 1.0)
    order = grid._axes()[0]
    return tuple(float(sizes[axis]) for axis in order)


def _type_name(dtype: np.dtype) -> str:
    return "RGB" if dtype.names else str(dtype)
