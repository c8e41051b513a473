"""What is known of a file before and after its values are decoded."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
WORD = {1: "signal", 2: "image", 3: "volume"}
"""What a thing with so many axes is called."""
MAX_VALUES = 178_956_970
"""Larger files are refused: a few kilobytes of PNG can claim gigabytes. (Pillow's own limit.)"""


class Unreadable(Exception):
    """A file that is not a whole image, signal or volume; the message is the reason, without the file's name."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file's header says, before any value is decoded."""

    digest: bytes
    """BLAKE2b of the whole file: equal files have equal digests."""
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
    """alpha, palette, CMYK, ...: what is undone when the file is read."""
    spacing: tuple[float, ...] = ()
    """From sample to sample along each axis, in seconds or millimetres; empty where the file does not say."""
    others: tuple["Header", ...] = ()
    """The same file taken as something of another number of axes, where it can be."""

    @property
    def dim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> str:
        """Width first, as people say it: 640x480."""
        return "x".join(map(str, reversed(self.shape)))

    def taken_as(self, dim: int) -> "Header | None":
        """This file as something with so many axes, if it can be."""
        return next((f for f in (self, *self.others) if f.dim == dim), None)


@dataclass(frozen=True)
class Decoded:
    """Values (*S, C) of uint8, uint16 or float32, and the spacing of the samples along each axis, if known."""

    array: Array
    spacing: tuple[float, ...] = ()


def reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"it is damaged or cut short ({text})"


def depth_of(dtype: np.dtype) -> str:
    """The type that values are kept in."""
    return {"u1": "uint8", "b1": "uint8", "u2": "uint16"}.get(dtype.str[1:], "float32")


def as_depth(array: Array) -> Array:
    """In the type that values are kept in. Raises Unreadable for what is not a finite number."""
    if array.dtype.kind not in "buif":
        raise Unreadable(f"its values are of the type {array.dtype}, which is no number")
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Unreadable("it holds values that are not finite (NaN or infinity)")
    return array.astype(depth_of(array.dtype), copy=False)


def check_size(shape: tuple[int, ...]) -> None:
    """Raise Unreadable for something too large to decode whole."""
    if np.prod(shape, dtype=float) > MAX_VALUES:
        raise Unreadable(
            f"it is {' x '.join(map(str, reversed(shape)))}, more than {MAX_VALUES / 1e6:.0f} million "
            f"{'pixels' if len(shape) == 2 else 'values'}; cut it into smaller {WORD.get(len(shape), 'file')}s"
        )


def as_axes(stored: tuple[int, ...], dim: int) -> tuple[tuple[int, ...], int | None]:
    """How an array's axes are taken for `dim` spatial ones: their sizes, and which axis holds channels, if one does.

    Channels are the shorter of the first and the last axis. Raises Unreadable where the number of axes does not fit.
    """
    if len(stored) == dim:
        return stored, None
    if len(stored) != dim + 1:
        raise Unreadable(
            f"an array of shape {stored} is no {WORD[dim]}: give {dim} axes, or {dim + 1} of which one holds channels"
        )
    at = 0 if stored[0] < stored[-1] else len(stored) - 1
    return stored[:at] + stored[at + 1 :], at


def channels_last(array: Array, dim: int) -> Array:
    """(*S), (C, *S) or (*S, C) -> (*S, C)"""
    _, at = as_axes(array.shape, dim)
    return array[..., None] if at is None else np.moveaxis(array, at, -1)


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


def of_stored(facts: Header, stored: tuple[int, ...]) -> Header:
    """The facts of an array file, each way that its axes can be taken, the likeliest first."""
    ways = []
    for dim in likely_dims(stored):
        shape, at = as_axes(stored, dim)
        ways.append(replace(facts, shape=shape, channels=1 if at is None else stored[at]))
    if not ways:
        raise Unreadable(f"an array of shape {stored} is no signal, image or volume: give one to four axes")
    check_size(stored)
    return replace(ways[0], others=tuple(ways[1:]))
