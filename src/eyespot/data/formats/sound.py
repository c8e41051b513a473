"""Sounds: WAV, where it is unusual by SciPy; other codecs, and FLAC, OGG, MP3, AIFF and others by soundfile, which is an extra."""

import io
import re
import warnings
from typing import Any

import numpy as np

from eyespot.data.formats.wave import BY_SOUNDFILE, FLOAT, PCM, SLACK, as_whole, is_wav, read_chunks
from eyespot.data.formats.wave_samples import plain_samples
from eyespot.data.header import Decoded, Header, Unreadable, as_depth, check_size
from eyespot.missing import extra

CONVERT = "which is not read: convert it to FLAC or a WAV in PCM"
UNSUPPORTED = ("unsupported", "unimplemented", "unknown", "not supported")
"""Words of libsndfile about a file that is not damaged."""
MAGIC: tuple[tuple[bytes, int, bytes, str], ...] = (
    # how the content begins, what is at a later place, and what kind it is
    (b"fLaC", 0, b"", "FLAC"),
    (b"OggS", 0, b"", "OGG"),
    (b"ID3", 0, b"", "MP3"),
    (b"FORM", 8, b"AIF", "AIFF"),
    (b".snd", 0, b"", "AU"),
    (b"caff", 0, b"", "CAF"),
    (b"riff\x2e\x91\xcf\x11", 0, b"", "W64"),
)
KINDS = frozenset(["WAV", *(kind for _, _, _, kind in MAGIC)])
"""The kinds of file that are sounds."""


def kind_of_sound(content: bytes) -> str | None:
    """The kind of sound that a file is, or None."""
    if is_wav(content):
        return "WAV"
    for begins, at, also, kind in MAGIC:
        if content.startswith(begins) and content[at : at + len(also)] == also:
            return "FLAC" if kind == "MP3" and b"fLaC" in content[:4096] else kind
    return "MP3" if _is_mpeg_frame(content) else None


def is_sound(content: bytes) -> bool:
    return kind_of_sound(content) is not None


def _is_mpeg_frame(content: bytes) -> bool:
    """Whether a frame of MPEG layer III begins here: its sync bits, with a bit rate and a sampling rate that exist."""
    if len(content) < 4 or content[0] != 0xFF or content[1] & 0xE6 != 0xE2 or content[1] & 0x18 == 0x08:
        return False
    return content[2] >> 4 not in (0, 15) and content[2] >> 2 & 3 != 3


def decode_sound(content: bytes) -> Decoded:
    """(L, C) between -1 and 1. Raises Unreadable for an empty or cut file, and for codecs that are not read."""
    if is_wav(content):
        wave = read_chunks(content)
        content = as_whole(content, wave)
        if wave.codec in (PCM, FLOAT):
            return _of_samples(*(plain_samples(content) or _by_scipy(content)))
        kind = f"a WAV in {wave.codec_name}"
        if wave.codec not in BY_SOUNDFILE:
            raise Unreadable(f"it is {kind}, {CONVERT}")
    else:
        kind = kind_of_sound(content) or "a sound"
    return _by_soundfile(content, kind)


def _by_scipy(content: bytes) -> tuple[int, np.ndarray]:
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that are no sound
        return wavfile.read(io.BytesIO(content))


def _of_samples(rate: int, values: np.ndarray) -> Decoded:
    """The samples as stored, brought between -1 and 1."""
    if values.dtype == np.uint8:
        values = values.astype(np.float32) / 128 - 1
    elif values.dtype.kind == "i":
        values = values / np.float32(np.iinfo(values.dtype).max + 1)
    return _decoded(values.reshape(len(values), -1), rate)


def _by_soundfile(content: bytes, kind: str) -> Decoded:
    soundfile = _soundfile(kind)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            expected = file.frames
            rate = file.samplerate
            values = file.read(expected, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        if any(word in str(error).lower() for word in UNSUPPORTED):
            raise Unreadable(f"it is {kind} in a codec {CONVERT}") from error
        said = re.sub(r"Error opening <[^>]*>: ", "", str(error)).rstrip(".")
        raise Unreadable(f"it is damaged or cut short ({said})") from error
    if len(values) < expected:
        raise Unreadable(f"it is cut short: it has {len(values):,} of {expected:,} samples; copy it again")
    if _ends_early(content, kind):
        raise Unreadable("it is cut short (the file ends before its sound does): copy or encode it again")
    return _decoded(values, rate)


def _ends_early(content: bytes, kind: str) -> bool:
    """Whether a file is shorter than it says, where libsndfile reads it without a word."""
    if kind == "AIFF":
        return len(content) + SLACK < 8 + int.from_bytes(content[4:8])
    if kind != "OGG":
        return False
    page = content.rfind(b"OggS")
    lengths = content[page + 27 : page + 27 + content[page + 26]] if page + 26 < len(content) else b""
    is_last = page + 5 < len(content) and bool(content[page + 5] & 4)
    return not is_last or page + 27 + len(lengths) + sum(lengths) > len(content)


def _soundfile(kind: str) -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the library that the package needs is not there
        raise Unreadable(f"it is {kind}, which needs one more package: {extra('sound')}") from error
    return soundfile


def _decoded(values: np.ndarray, rate: int) -> Decoded:
    if not len(values) or not rate:
        raise Unreadable("it holds no samples")
    return Decoded(as_depth(values.astype(np.float32)), (1 / rate,))


def sound_header(content: bytes, digest: bytes) -> Header:
    """The header of a sound. Raises Unreadable as `decode_sound` does."""
    decoded = decode_sound(content)
    length, channels = decoded.array.shape
    check_size((length,))
    kind = kind_of_sound(content) or "WAV"
    return Header(digest, kind, (length,), channels, "float32", spacing=decoded.spacing)
