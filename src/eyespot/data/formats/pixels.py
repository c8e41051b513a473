"""What the tags of a file do to its values, at any depth: orientation, transparency, inversion, print colours."""

import numpy as np

from eyespot.data.header import BACKGROUNDS, Array

TURNED_SIDEWAYS = (5, 6, 7, 8)
"""EXIF and TIFF orientations after which height and width are swapped."""


def turned(array: Array, orientation: int) -> Array:
    """(..., H, W, C) stored with an EXIF or TIFF orientation (1-8) -> upright."""
    if orientation in TURNED_SIDEWAYS:
        array = np.swapaxes(array, -3, -2)
    if orientation in (3, 4, 7, 8):
        array = np.flip(array, -3)
    if orientation in (2, 3, 6, 7):
        array = np.flip(array, -2)
    return array


def laid_on(array: Array, background: str, premultiplied: bool = False) -> Array:
    """(..., C + 1) of unsigned integers, the last channel alpha -> (..., C) on a background.

    premultiplied   whether colours were multiplied by alpha already (TIFF: associated alpha)
    """
    top = np.iinfo(array.dtype).max
    alpha = array[..., -1:].astype(np.float32) / top
    colours = array[..., :-1] if premultiplied else array[..., :-1] * alpha
    values = colours + BACKGROUNDS[background] * top * (1 - alpha)
    return np.rint(values.clip(0, top)).astype(array.dtype)


def inverted(array: Array, bits: int) -> Array:
    """Values of which zero means white -> zero means black."""
    if array.dtype == bool:
        return ~array
    if array.dtype.kind != "u":
        return array
    return (array.dtype.type(2**bits - 1) - array).astype(array.dtype)


def rgb_of_cmyk(array: Array) -> Array:
    """(..., 4) of unsigned integers: the amounts of ink -> (..., 3) red, green and blue, without a colour profile."""
    top = np.float32(np.iinfo(array.dtype).max)
    ink = array[..., :3].astype(np.float32)
    black = array[..., 3:4].astype(np.float32)
    return np.rint((top - ink) * (top - black) / top).astype(array.dtype)
