"""Plain JPEGs read without Pillow's cost in Python, which is most of a small file's: the same headers and pixels."""

import re
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import features

from eyespot.data.formats.image import decode_image, image_header
from eyespot.data.formats.jpeg_scans import is_cut_short
from eyespot.data.header import AS_STATED, MAX_VALUES, Decoded, Header, ReadOptions, Unreadable

SAMPLING = (b"\x11", b"\x11\x11\x11", b"\x21\x11\x11", b"\x22\x11\x11")
"""Grey, 4:4:4, 4:2:2 and 4:2:0: those of which every libjpeg-turbo makes the same pixels."""
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""In the coded pixels: neither a coded 255 nor a restart."""


class Plain(NamedTuple):
    """A baseline JPEG of 8 bits, grey or colour, that has nothing to be undone when it is read."""

    height: int
    width: int
    channels: int
    start: int
    """Where the coded pixels start."""


def is_jpeg(content: bytes) -> bool:
    return content[:3] == b"\xff\xd8\xff"


def jpeg_header(content: bytes, digest: bytes) -> Header:
    """Read the header only. Raises Unreadable."""
    plain = _plain(content)
    if plain is None:
        return image_header(content, digest)
    return Header(digest, "JPEG", (plain.height, plain.width), plain.channels, "uint8")


CUT = "it is cut short: its last pixels are missing, and decoders fill them in grey"


def decode_jpeg(content: bytes, size: int | None = None, options: ReadOptions = AS_STATED) -> Decoded:
    """See `decode_image`. Raises Unreadable for a file without its last pixels, which decoders read as grey."""
    decoded = _decode(content, size, options)
    if is_cut_short(content, decoded.array, lambda changed: _decode(changed, size, options).array):
        raise Unreadable(CUT)
    return decoded


def _decode(content: bytes, size: int | None, options: ReadOptions) -> Decoded:
    plain = _plain(content)
    if plain is None or not _same_library() or (size and min(plain.height, plain.width) >= 4 * size):
        return decode_image(content, size, options)
    end = MARKER.search(content, plain.start)
    if end is None or end[0] != b"\xff\xd9":  # several scans; or cut short, which imagecodecs does not report
        return decode_image(content, size, options)
    import imagecodecs

    try:
        array = np.asarray(imagecodecs.jpeg8_decode(content))
    except Exception:  # damaged: Pillow says how
        return decode_image(content, size, options)
    return Decoded(array.reshape(plain[:3]))


@cache
def _same_library() -> bool:
    """Other libraries than libjpeg-turbo round differently; without imagecodecs, Pillow makes the same pixels."""
    try:
        import imagecodecs

        return bool(features.check("libjpeg_turbo")) and "turbo" in imagecodecs.jpeg8_version()
    except ImportError:  # built without, or not installed
        return False


def _plain(content: bytes) -> Plain | None:
    """None for whatever is not plain: EXIF, Adobe's colours, progressive, damaged, ..."""
    at = 2
    frame = 0
    while len(head := content[at : at + 4]) == 4:
        kind = head[1]
        length = head[2] << 8 | head[3]
        if head[0] != 0xFF or length < 2:
            return None
        if kind == 0xDA:  # the pixels follow
            start = at + 2 + length
            return _from_frame(content, frame, start) if frame and start < len(content) else None
        if kind == 0xC0 and not frame:
            frame = at
        elif not _harmless(kind, content[at + 4 : at + 2 + length]):
            return None
        at += 2 + length
    return None


def _harmless(kind: int, segment: bytes) -> bool:
    """Whether a segment changes nothing that Pillow reports: tables, comment, JFIF, colour profile."""
    if kind == 0xDB:  # quantisation
        return len(segment) % 65 == 0 and max(segment[::65], default=0) < 16
    if kind == 0xE0:
        return len(segment) == 14 and segment[:5] == b"JFIF\0"
    if kind == 0xE2:
        return len(segment) >= 14 and segment[:12] == b"ICC_PROFILE\0"
    return kind in (0xC4, 0xDD, 0xFE)


def _from_frame(content: bytes, at: int, start: int) -> Plain | None:
    """at   position of the segment with the size, the bits, and the channels with their sampling"""
    length = content[at + 3]
    bits = content[at + 4]
    height = int.from_bytes(content[at + 5 : at + 7])
    width = int.from_bytes(content[at + 7 : at + 9])
    channels = content[at + 9]
    if bits != 8 or length != 8 + 3 * channels or content[at + 11 : at + 2 + length : 3] not in SAMPLING:
        return None
    return Plain(height, width, channels, start) if 0 < height * width <= MAX_VALUES else None
