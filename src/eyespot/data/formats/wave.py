"""The chunks of a WAV file: its codec, and how many bytes of samples it should have and has."""

import struct
from dataclasses import dataclass

from eyespot.data.header import Unreadable

PCM = 1
FLOAT = 3
EXTENSIBLE = 0xFFFE
UNKNOWN_SIZE = 0xFFFFFFFF
CODECS = {
    PCM: "PCM",
    FLOAT: "floating point",
    2: "Microsoft ADPCM",
    6: "A-law",
    7: "mu-law",
    0x11: "IMA ADPCM",
    0x31: "GSM 6.10",
    0x40: "G.721 ADPCM",
    0x50: "MPEG",
    0x55: "MP3",
    0xFF: "AAC",
    0x161: "WMA",
    0x2000: "AC-3",
}
"""Codecs by their number in the file."""
BY_SOUNDFILE = frozenset((2, 6, 7, 0x11, 0x31, 0x40, 0x55))
"""Codecs that libsndfile reads."""
SLACK = 64
"""Bytes that may be missing: some programs count the header as samples."""


@dataclass(frozen=True)
class Wave:
    """What the chunks of a WAV file say.

    codec      its number, see CODECS
    declared   bytes of samples by the header; None where a stream was written, which does not say it
    there      bytes from the first sample to the end of the file
    start      where the chunk of samples begins
    """

    codec: int
    declared: int | None
    there: int
    start: int

    @property
    def codec_name(self) -> str:
        return CODECS.get(self.codec, f"the codec {self.codec:#06x}")


def is_wav(content: bytes) -> bool:
    return content[:4] in (b"RIFF", b"RIFX", b"RF64") and content[8:12] == b"WAVE"


def read_chunks(content: bytes) -> Wave:
    """Raises Unreadable for a file without samples, or one that ends before them."""
    order = ">" if content[:4] == b"RIFX" else "<"
    whole = struct.unpack_from(f"{order}I", content, 4)[0]
    codec = 0
    long_size = None
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from(f"{order}4sI", content, at)
        if name == b"ds64" and at + 24 <= len(content):
            long_size = struct.unpack_from("<Q", content, at + 16)[0]
        if name == b"fmt " and at + 24 <= len(content):
            codec = _codec(content[at + 8 : at + 8 + size], order)
        if name == b"data":
            streamed = size == UNKNOWN_SIZE or (size == 0 and whole in (0, UNKNOWN_SIZE))
            declared = long_size if long_size is not None else None if streamed else size
            return Wave(codec, declared, len(content) - at - 8, at)
        at += 8 + size + size % 2
    raise Unreadable("it is damaged or cut short (the file ends before its samples)")


def _codec(chunk: bytes, order: str) -> int:
    codec = struct.unpack_from(f"{order}H", chunk)[0]
    if codec == EXTENSIBLE and len(chunk) >= 26:
        codec = struct.unpack_from(f"{order}H", chunk, 24)[0]
    return codec


def as_whole(content: bytes, wave: Wave) -> bytes:
    """The content with the sizes that a stream leaves open filled in. Raises Unreadable where samples are missing."""
    if wave.declared == 0 or not wave.there:
        raise Unreadable("it holds no samples")
    if wave.declared is None:
        sizes = [(4, len(content) - 8), (wave.start + 4, wave.there)]
        order = ">" if content[:4] == b"RIFX" else "<"
        filled = bytearray(content)
        for at, size in sizes:
            struct.pack_into(f"{order}I", filled, at, size)
        return bytes(filled)
    if wave.there + SLACK < wave.declared:
        raise Unreadable(
            f"it is cut short: it has {wave.there:,} of {wave.declared:,} bytes of samples; copy it again"
        )
    return content
