"""Sounds: WAV recordings."""

import io
import warnings

import numpy as np

from eyespot.data.header import Array, Decoded, Header, Unreadable, as_depth, check_size


def is_wav(content: bytes) -> bool:
    return content[:4] in (b"RIFF", b"RIFX") and content[8:12] == b"WAVE"


def decode_wav(content: bytes) -> Decoded:
    """(L, C) between -1 and 1"""
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that are no sound
        rate, values = wavfile.read(io.BytesIO(content))
    if not len(values) or not rate:
        raise Unreadable("it holds no samples")
    if values.dtype == np.uint8:
        values = values.astype(np.float32) / 128 - 1
    elif values.dtype.kind == "i":
        values = values / np.float32(np.iinfo(values.dtype).max + 1)
    array = as_depth(values.reshape(len(values), -1).astype(np.float32))
    return Decoded(array, (1 / rate,))


def wav_header(content: bytes, digest: bytes) -> Header:
    return _header(decode_wav(content), digest, "WAV")


def _header(decoded: Decoded, digest: bytes, kind: str) -> Header:
    array: Array = decoded.array
    check_size(array.shape[:1])
    return Header(digest, kind, array.shape[:1], array.shape[1], "float32", spacing=decoded.spacing)
