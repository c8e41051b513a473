"""Masks that are brought to the voxels of their images: by the affines of NIfTI files, not by the shape of arrays alone."""

from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.channel_files import files_of
from eyespot.data.formats.nifti import VoxelGrid, is_nifti, nifti_grid
from eyespot.data.formats.read import or_unreadable
from eyespot.data.formats.tiff import is_tiff
from eyespot.data.header import Array, Unreadable

HEAD = 1 << 16
"""Bytes of a file that hold a NIfTI header, compressed or not."""
SMALL = 0.05
"""Voxels by which a corner of the mask may be elsewhere: headers round their numbers, and labels change from 0.5 on."""
AFFINE = "affine"
ARRAY = "array"


def grid_of(path: Path) -> VoxelGrid | None:
    """Where the voxels of a NIfTI file lie; None for other files. Raises Unreadable."""
    head = _head(path)
    return or_unreadable(nifti_grid, head) if is_nifti(head) else None


def aligned(values: Array, mask: Path, image: Path, align: str | None) -> Array:
    """The values (*S) of a mask as `read_mask` gives them, on the voxels of its image as `decode` gives those.

    align   "affine": the mask is turned, or sampled at the nearest voxel, as its affine and the image's say;
            "array": voxels of equal indices in the files belong together; None: either, where both agree

    Raises Unreadable for a mask that does not fit, and where `align` is None and affines differ.
    """
    if values.ndim != 3:
        return values
    of_mask = grid_of(mask)
    of_image = grid_of(image)
    if of_mask is None and of_image is None:
        return values
    if of_mask is None or of_image is None:
        return _without_affine(values, (mask, of_mask), (image, of_image), align)
    stored = of_mask.as_stored(values)
    if align == ARRAY:
        return of_image.to_body(stored)
    if not _differ(of_mask, of_image):
        return of_image.to_body(stored)
    if align != AFFINE:
        raise Unreadable(_difference(mask.name, of_mask, of_image))
    return of_image.to_body(_nearest(stored, mask.name, of_mask, of_image))


def _head(path: Path) -> bytes:
    """The first bytes; none of what is no file: a mask may be a folder, or an entry of a document."""
    try:
        with files_of(path)[0].open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def _without_affine(
    values: Array,
    mask: tuple[Path, VoxelGrid | None],
    image: tuple[Path, VoxelGrid | None],
    align: str | None,
) -> Array:
    """Where one of the two files has no affine, only the order of the arrays is known."""
    mask_path, of_mask = mask
    image_path, of_image = image
    if align != ARRAY:
        with_affine = "its mask" if of_mask else "it"
        without = f"its mask {mask_path.name}" if of_image else "it"
        raise Unreadable(
            f"{with_affine} is NIfTI and {without} has no affine, so it is unknown how their axes correspond: save both as "
            "NIfTI, or use --align array if both arrays have the same axes as stored"
        )
    if of_mask:
        stored = of_mask.as_stored(values)
        return stored.transpose(2, 1, 0) if is_tiff(_head(image_path)) else stored
    assert of_image
    return of_image.to_body(values.transpose(2, 1, 0) if is_tiff(_head(mask_path)) else values)


def _to_mask(of_mask: VoxelGrid, of_image: VoxelGrid) -> NDArray[np.float64]:
    """(4, 4) from voxel indices of the image to those of the mask"""
    return np.linalg.solve(of_mask.affine, of_image.affine).astype(np.float64)


def _corners(of_mask: VoxelGrid, of_image: VoxelGrid) -> NDArray[np.float64]:
    """(8, 2, 3) the outermost voxels of the image: their indices, and the places that they have in the mask"""
    own = np.array(list(product(*((0, n - 1) for n in of_image.shape))), float)
    there = own @ _to_mask(of_mask, of_image)[:3, :3].T + _to_mask(of_mask, of_image)[:3, 3]
    return np.stack([own, there], 1)


def _differ(of_mask: VoxelGrid, of_image: VoxelGrid) -> bool:
    own, there = _corners(of_mask, of_image).transpose(1, 0, 2)
    return of_mask.shape != of_image.shape or bool(np.abs(own - there).max() > SMALL)


def _difference(name: str, of_mask: VoxelGrid, of_image: VoxelGrid) -> str:
    """What differs, and which options there are."""
    own, there = _corners(of_mask, of_image).transpose(1, 0, 2)
    if of_mask.axis_codes != of_image.axis_codes:
        what = f"its orientation is {of_mask.axis_codes}, and the image's {of_image.axis_codes}"
    elif np.abs(own - there).max() > SMALL:
        away = np.sqrt(((own - there) ** 2).sum(1)).max()
        what = f"the outermost voxels are up to {away:.3g} voxels apart"
    else:
        what = f"its voxels are {_sizes(of_mask)}, and the image's {_sizes(of_image)}"
    return f"its mask {name} has another affine or size than the image ({what}); {_remedy(of_mask, of_image)}"


def _remedy(of_mask: VoxelGrid, of_image: VoxelGrid) -> str:
    """The options that bring a mask to its image, as far as its affine and its shape allow."""
    options = []
    if _covers(of_mask, of_image):
        options.append("use --align affine to place it by its affine")
    if of_mask.shape == of_image.shape:
        options.append("use --align array if voxels of equal indices belong together")
    known = "" if _covers(of_mask, of_image) else "by their affines it does not cover the image: "
    return known + (", or ".join(options) or "save a mask of all of the image")


def _sizes(grid: VoxelGrid) -> str:
    return " x ".join(map(str, grid.shape))


def _covers(of_mask: VoxelGrid, of_image: VoxelGrid) -> bool:
    """Whether every voxel of the image lies in one of the mask."""
    there = _corners(of_mask, of_image)[:, 1]
    ends = np.array(of_mask.shape) - 0.5
    return bool((there > -0.5 - SMALL).all() and (there < ends + SMALL).all())


def _nearest(stored: Array, name: str, of_mask: VoxelGrid, of_image: VoxelGrid) -> Array:
    """(I, J, K) the value of the mask's nearest voxel at each voxel of the image; exact for turned and reversed axes"""
    from scipy.ndimage import affine_transform

    if not _covers(of_mask, of_image):
        raise Unreadable(f"its mask {name} cannot be placed by its affine; {_remedy(of_mask, of_image)}")
    matrix = _to_mask(of_mask, of_image)
    return affine_transform(stored, matrix, output_shape=of_image.shape, order=0, mode="nearest")
