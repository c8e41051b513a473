"""One file to one array. What cannot be read is reported with its reason, never replaced by something else."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from eyespot.data.formats.image import decode_image, image_header
from eyespot.data.formats.jpeg import decode_jpeg, is_jpeg, jpeg_header
from eyespot.data.formats.nifti import decode_nifti, is_nifti, nifti_header
from eyespot.data.formats.numpy_file import decode_numpy, is_numpy, numpy_header
from eyespot.data.formats.signal import (
    decode_table,
    decode_wav,
    is_wav,
    looks_like_table,
    table_header,
    wav_header,
)
from eyespot.data.formats.tiff import decode_tiff, is_tiff, tiff_header
from eyespot.data.header import Decoded, Header, Unreadable, reason

R = TypeVar("R")
KINDS = (
    # recognises content, reads the header, decodes values for so many axes at about this size
    (is_jpeg, jpeg_header, lambda content, dim, size: decode_jpeg(content, size)),
    (is_tiff, tiff_header, decode_tiff),
    (is_wav, wav_header, lambda content, dim, size: decode_wav(content)),
    (is_numpy, numpy_header, lambda content, dim, size: decode_numpy(content, dim)),
    (is_nifti, nifti_header, lambda content, dim, size: decode_nifti(content)),
    (looks_like_table, table_header, lambda content, dim, size: decode_table(content)),
    (lambda content: True, image_header, lambda content, dim, size: decode_image(content, size)),
)
"""The kinds of file, recognised by their content and not by their name; anything else is tried as a picture."""


def load_bytes(path: Path) -> bytes:
    """The file's content. Raises Unreadable for what is missing, empty or forbidden."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower()) from error
    if not content:
        raise Unreadable("the file is empty (0 bytes)")
    return content


def read_header(content: bytes) -> Header:
    """A file's header. Raises Unreadable."""
    digest = sha256(content).digest()  # processors have instructions for it
    return or_unreadable(next(read for recognises, read, _ in KINDS if recognises(content)), content, digest)


def decode(content: bytes, dim: int = 2, size: int | None = None) -> Decoded:
    """The values as something with `dim` axes, channels last. Raises Unreadable.

    size   large JPEGs are decoded at a reduced size that is still twice as large
    """
    return or_unreadable(
        next(read for recognises, _, read in KINDS if recognises(content)), content, dim, size
    )


def or_unreadable(read: Callable[..., R], *about: Any) -> R:
    """read(*about), with Unreadable for whatever it raises on a damaged file"""
    try:
        return read(*about)
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever they like
        raise Unreadable(reason(error)) from error
