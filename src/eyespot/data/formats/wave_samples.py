"""The samples of ordinary WAV files, in NumPy alone; anything unusual is left to SciPy."""

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.wave import EXTENSIBLE, FLOAT, PCM

LAYOUT = {
    (PCM, 1): "u1",
    (PCM, 2): "i2",
    (PCM, 3): "i4",
    (PCM, 4): "i4",
    (FLOAT, 4): "f4",
    (FLOAT, 8): "f8",
}
"""The type of a sample by codec and bytes; three bytes are the upper ones of four."""
GUID = b"\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
"""The end of the names of codecs that have a number."""
SIZES = (16, 18, 40)
"""Bytes of the chunk that describes the samples."""


def plain_samples(content: bytes) -> tuple[int, NDArray[np.generic]] | None:
    """(samples per second, (L, C) samples as stored) of a file that is laid out as usual; None for another."""
    if content[:4] != b"RIFF" or struct.unpack_from("<I", content, 4)[0] + 8 != len(content):
        return None
    chunks = list(_chunks(content))
    names = [name for name, _ in chunks]
    if names.count(b"fmt ") != 1 or names.count(b"data") != 1 or names.index(b"fmt ") > names.index(b"data"):
        return None
    described, samples = (dict(chunks)[name] for name in (b"fmt ", b"data"))
    if len(described) not in SIZES:
        return None
    codec, channels, rate, bytes_per_second, frame, bits = struct.unpack_from("<HHIIHH", described)
    codec = _codec(codec, described)
    layout = LAYOUT.get((codec, bits // 8))
    if not channels or layout is None or bits % 8 or frame * 8 != channels * bits:
        return None
    if bytes_per_second != rate * frame or len(samples) % frame:
        return None
    return rate, _values(samples, bits // 8, layout).reshape(-1, channels)


def _values(samples: bytes, size: int, layout: str) -> NDArray[np.generic]:
    if size == 3:
        padded = np.zeros((len(samples) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(samples, np.uint8).reshape(-1, 3)
        samples = padded.tobytes()
    return np.frombuffer(samples, f"<{layout}")


def _codec(codec: int, described: bytes) -> int:
    if codec != EXTENSIBLE:
        return codec
    extension = struct.unpack_from("<H", described, 16)[0] if len(described) > 16 else 0
    return struct.unpack_from("<I", described, 24)[0] if extension >= 22 and described[28:40] == GUID else 0


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name and content of each chunk; of one that is cut short, a name that no chunk has."""
    at = 12
    while at < len(content):
        head = content[at : at + 8]
        size = int.from_bytes(head[4:], "little")
        whole = len(head) == 8 and at + 8 + size <= len(content)
        yield (head[:4], content[at + 8 : at + 8 + size]) if whole else (b"fmt ", b"")
        at += 8 + size + size % 2
