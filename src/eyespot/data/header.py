"""A file's header, and its decoded values."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.guesses import Guess
from eyespot.plurals import count

Array = NDArray[Any]
WORD = {1: "signal", 2: "image", 3: "volume"}
"""What a sample with so many axes is called."""
MAX_VALUES = 178_956_970
"""Larger files are refused: a few kilobytes of PNG can claim gigabytes. (Pillow's own limit.)"""
ADDRESS = re.compile(r"<([\w.]+) object at 0x[0-9a-f]+>")
"""How Python shows an object without a text of its own."""


class Unreadable(Exception):
    """A file that is not a whole image, signal or volume; the message is the reason, without the file's name."""


class NeedsPackage(Unreadable):
    """A file that may be whole, and is read with a package that is not installed."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file's header says, before any value is decoded."""

    digest: bytes
    """SHA-256 of the whole file: equal files have equal digests."""
    kind: str
    shape: tuple[int, ...]
    """Samples along each axis: (L), (H, W) or (D, H, W)."""
    channels: int
    """1 grey, 3 colour, or as many as the file has; alpha not counted."""
    depth: str
    """uint8, uint16 or float32: the type of the decoded array."""
    frames: int = 1
    """Of which only the first is read."""
    rotated: bool = False
    notes: tuple[str, ...] = ()
    """alpha, palette, CMYK, ...: what is converted when the file is read."""
    spacing: tuple[float, ...] = ()
    """From sample to sample along each axis, in seconds or millimetres; empty where the file does not have it."""
    guesses: tuple[Guess, ...] = ()
    """What the file does not state about how it is read."""
    others: tuple["Header", ...] = ()
    """The same file taken as a sample with another number of axes, where it can be."""

    @property
    def dim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> str:
        """Width first, as is usual: 640x480."""
        return "x".join(map(str, reversed(self.shape)))

    def taken_as(self, dim: int) -> "Header | None":
        """This file as a sample with so many axes, if it can be."""
        return next((header for header in (self, *self.others) if header.dim == dim), None)


@dataclass(frozen=True)
class ReadOptions:
    """How values are read, where files do not state it; the same for all files of a data set.

    axes        of TIFF stacks, in their order, such as "TZCYX"; empty for what the files say of themselves
    background  that transparent pixels are laid on: a key of BACKGROUNDS
    raw         the values as stored, which masks need: their own type, no palette, transparency, inversion or colours
                applied; only the orientation is
    columns     of tables that are channels, such as "2,4-6" or names; empty to choose them
    decimal     "comma" or "point" where commas in tables could be decimals or separate columns; empty to choose
    rate        samples per second of tables and arrays; 0 for what the files say, if anything
    nan         what replaces values that are missing or not finite; None where these are refused
    """

    axes: str = ""
    background: str = "white"
    raw: bool = False
    columns: str = ""
    decimal: str = ""
    rate: float = 0.0
    nan: float | None = None


AS_STATED = ReadOptions()
BACKGROUNDS = {"white": 1.0, "black": 0.0, "grey": 0.5}
"""The share of the largest value that a background has."""


@dataclass(frozen=True)
class Decoded:
    """Values (*S, C) of uint8, uint16 or float32, and the spacing of the samples along each axis, if known.

    remarks   sentences about what was left out or changed, which the user should know
    """

    array: Array
    spacing: tuple[float, ...] = ()
    remarks: tuple[str, ...] = ()


def reason(error: Exception) -> str:
    """Why a file cannot be read, from what its decoder raised.

    >>> reason(ValueError("malformed node: <ast.Call object at 0x7fae344bbb20>"))
    'it is damaged or cut short (malformed node: ast.Call)'
    """
    text = ADDRESS.sub(r"\1", " ".join(str(error).split())) or type(error).__name__
    if isinstance(error, NotImplementedError):
        return f"it uses a feature of its format that is not read ({text}); save it as PNG or plain TIFF"
    if isinstance(error, ImportError):
        return f"a package that it needs is missing ({text})"
    return f"it is damaged or cut short ({text})"


def depth_of(dtype: np.dtype) -> str:
    """The type that values are kept in."""
    return {"u1": "uint8", "b1": "uint8", "u2": "uint16"}.get(dtype.str[1:], "float32")


def as_depth(array: Array) -> Array:
    """In the type that values are kept in. Raises Unreadable for what is not numbers."""
    if array.dtype.kind not in "buif":
        raise Unreadable(f"its values are of the type {array.dtype}, which is not numeric")
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which `finite` refuses
        return array.astype(depth_of(array.dtype), copy=False)


def finite(array: Array, instead: float | None = None, remedy: str = "") -> Array:
    """The array with `instead` in place of NaN and infinite values. Raises Unreadable where there are some and it is None."""
    if array.dtype.kind != "f":
        return array
    odd = ~np.isfinite(array)
    n = int(odd.sum())
    if not n:
        return array
    if instead is None:
        raise Unreadable(
            f"{n:,} of its {array.size:,} values {'is' if n == 1 else 'are'} not finite (NaN or infinity){remedy}"
        )
    return np.where(odd, array.dtype.type(instead), array)


def stored_as(values: Array, dtype: np.dtype) -> Array:
    """In a type of values: whole numbers rounded, and kept within its range."""
    if dtype.kind in "ui":
        limits = np.iinfo(dtype)
        values = values.round().clip(limits.min, limits.max)
    return np.ascontiguousarray(values.astype(dtype))


def refuse_empty(shape: tuple[int, ...]) -> None:
    """Raise Unreadable for something without values."""
    if not all(shape):
        raise Unreadable(f"it is {' x '.join(map(str, reversed(shape)))}, and has no values")


def check_size(shape: tuple[int, ...]) -> None:
    """Raise Unreadable for something too large to decode whole, or empty."""
    refuse_empty(shape)
    if np.prod(shape, dtype=float) > MAX_VALUES:
        raise Unreadable(
            f"it is {' x '.join(map(str, reversed(shape)))}, more than {MAX_VALUES / 1e6:.0f} million "
            f"{'pixels' if len(shape) == 2 else 'values'}; cut it into smaller {WORD.get(len(shape), 'file')}s"
        )


def as_axes(stored: tuple[int, ...], dim: int) -> tuple[tuple[int, ...], int | None]:
    """The sizes of an array's `dim` spatial axes, and which axis has channels, if one does.

    Channels are the shorter of the first and the last axis. Raises Unreadable where the number of axes does not fit.
    """
    if len(stored) == dim:
        return stored, None
    if len(stored) != dim + 1:
        raise Unreadable(
            f"an array of shape {stored} is not {'an' if dim == 2 else 'a'} {WORD[dim]}: give {dim} axes, or {dim + 1} of which one has channels"
        )
    if dim == 1 and stored[0] == stored[1]:
        raise Unreadable(
            f"its two axes are equally long ({stored[0]}), so either could have the channels: save it longer or shorter"
        )
    channel_axis = 0 if stored[0] < stored[-1] else len(stored) - 1
    return stored[:channel_axis] + stored[channel_axis + 1 :], channel_axis


def channels_last(array: Array, dim: int) -> Array:
    """(*S), (C, *S) or (*S, C) -> (*S, C)"""
    _, channel_axis = as_axes(array.shape, dim)
    return array[..., None] if channel_axis is None else np.moveaxis(array, channel_axis, -1)


def likely_dims(stored: tuple[int, ...]) -> tuple[int, ...]:
    """The numbers of spatial axes that an array may have, the likeliest first.

    Two axes of which one is 8 times the other are a signal of several channels, else an image; three are an image
    where the first or the last has 4 or fewer values, else a volume.
    """
    if len(stored) == 2:
        return (1, 2) if max(stored) >= 8 * min(stored) else (2, 1)
    if len(stored) == 3:
        return (2, 3) if min(stored[0], stored[-1]) <= 4 else (3, 2)
    return {1: (1,), 4: (3,)}.get(len(stored), ())


def _about_axes(stored: tuple[int, ...], channels: int) -> Guess:
    """How an array of two axes is read as a signal."""
    shape = "(channels, samples)" if stored[0] < stored[-1] else "(samples, channels)"
    value = f"{shape}, {count(channels, 'channel')}"
    return Guess("axes of arrays", value, "the shorter axis has the channels", "--dim 2 for images")


def header_of_array(header: Header, stored: tuple[int, ...]) -> Header:
    """The header of an array file: the likeliest meaning of its axes, with the others in `others`."""
    headers = []
    for dim in likely_dims(stored):
        if dim == 1 < len(stored) and stored[0] == stored[1]:
            continue  # either axis could have the channels
        shape, channel_axis = as_axes(stored, dim)
        channels = 1 if channel_axis is None else stored[channel_axis]
        guesses = (
            (*header.guesses, _about_axes(stored, channels)) if dim == 1 < len(stored) else header.guesses
        )
        headers.append(replace(header, shape=shape, channels=channels, guesses=guesses))
    if not headers:
        raise Unreadable(
            f"an array of shape {stored} is not a signal, image or volume: give one to four axes"
        )
    check_size(stored)
    return replace(headers[0], others=tuple(headers[1:]))
