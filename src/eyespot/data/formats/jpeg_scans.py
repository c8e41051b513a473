"""Whether a JPEG has all its pixels. Of one that was cut short and closed again, libjpeg makes grey without a word."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from eyespot.data.header import Array, Unreadable

FILLER = bytes(np.random.default_rng(0).integers(1, 255, 512, dtype=np.uint8))
"""Coded pixels for a test: where a file has all its own, these change nothing."""
END = b"\xff\xd9"
CORNER = slice(4)
END_CORNER = slice(-4, None)


class Scan(NamedTuple):
    """One pass over the pixels: the channels, the frequencies (first, last) and the bits that it leaves for later."""

    channels: tuple[int, ...]
    first: int
    last: int
    left: int


def is_cut_short(content: bytes, decoded: Array, decode: Callable[[bytes], Array]) -> bool:
    """Whether scans are missing, or the coded pixels end before the last one.

    decoded   (H, W, C) what `decode` made of the content
    """
    channels, progressive, scans, end = _scans(content)
    if not channels or not scans:
        return False  # the decoder says what is wrong
    if progressive:
        exact = {(c, f) for s in scans if not s.left for c in s.channels for f in range(s.first, s.last + 1)}
        missing = not {(c, f) for c in channels for f in range(64)} <= exact
    else:
        missing = {c for s in scans for c in s.channels} != set(channels)
    if missing or end is None:
        return missing
    if not progressive and not _has_flat_corner(decoded):
        return False
    try:
        return not np.array_equal(decode(content[:end] + FILLER + content[end:]), decoded)
    except (OSError, Unreadable):  # pixels that were missing were filled in
        return True


def _has_flat_corner(decoded: Array) -> bool:
    """Whether the pixels of a corner are all equal, as filled in ones are; it is the last unless the image was turned."""
    corners = [decoded[rows, columns] for rows in (CORNER, END_CORNER) for columns in (CORNER, END_CORNER)]
    return any(bool((corner == corner[0, 0]).all()) for corner in corners)


def _scans(content: bytes) -> tuple[tuple[int, ...], bool, list[Scan], int | None]:
    """The channels, whether the file is progressive, its scans, and where its end marker is."""
    channels: tuple[int, ...] = ()
    progressive = False
    scans: list[Scan] = []
    at = 2
    while len(head := content[at : at + 4]) == 4 and head[0] == 0xFF and head[1] != 0xD9:
        kind = head[1]
        length = int.from_bytes(head[2:])
        segment = content[at + 4 : at + 2 + length]
        at += 2 + length
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC) and len(segment) > 5:
            channels = tuple(segment[6::3][: segment[5]])
            progressive = kind in (0xC2, 0xC6, 0xCA, 0xCE)
        elif kind == 0xDA and len(segment) >= 4 + 2 * segment[0]:
            n = segment[0]
            first, last, bits = segment[1 + 2 * n : 4 + 2 * n]
            scans.append(Scan(tuple(segment[1 : 1 + 2 * n : 2]), first, last, bits & 15))
            at = _next_marker(content, at)
    return channels, progressive, scans, at if content[at : at + 2] == END else None


def _next_marker(content: bytes, at: int) -> int:
    """Where coded pixels end: 255 before a byte that is neither 0 nor a restart."""
    while (at := content.find(b"\xff", at)) >= 0:
        following = content[at + 1 : at + 2]
        if following and following not in b"\0\xff" and not 0xD0 <= following[0] <= 0xD7:
            return at
        at += 1
    return len(content)
