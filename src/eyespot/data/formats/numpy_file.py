"""Arrays of any number of axes in NumPy files."""

import io
from dataclasses import replace

import numpy as np

from eyespot.data.header import (
    Array,
    Decoded,
    Header,
    ReadOptions,
    Unreadable,
    as_depth,
    channels_last,
    depth_of,
    header_of_array,
)


def is_numpy(content: bytes) -> bool:
    return content[:6] == b"\x93NUMPY" or content[:4] == b"PK\x03\x04"


def load_numpy(content: bytes) -> Array:
    """The array of an .npy file, or the only one of an .npz; Unreadable where there is not just one."""
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise Unreadable(
                "it holds Python objects, which are not read: save an array of numbers"
            ) from error
        raise
    if isinstance(loaded, np.ndarray):
        return loaded
    arrays = [
        name for name, file in zip(loaded.files, loaded.zip.namelist(), strict=True) if file.endswith(".npy")
    ]
    if not arrays:
        raise Unreadable("it is an archive (ZIP) without an array; unpack it")
    if len(arrays) != 1:
        raise Unreadable(f"it holds {len(arrays)} arrays and not one; save each in a file of its own")
    return loaded[arrays[0]]


def numpy_header(content: bytes, digest: bytes, options: ReadOptions) -> Header:
    array = load_numpy(content)
    if not array.size:
        raise Unreadable(f"its array of shape {array.shape} is empty")
    if array.dtype.kind not in "buif":
        raise Unreadable(f"its values are of the type {array.dtype}, which is not numeric")
    header = header_of_array(Header(digest, "NumPy", (), 1, depth_of(array.dtype)), array.shape)
    others = tuple(replace(other, spacing=_spacing(other.dim, options)) for other in header.others)
    return replace(header, spacing=_spacing(header.dim, options), others=others)


def _spacing(dim: int, options: ReadOptions) -> tuple[float, ...]:
    """Seconds from sample to sample of signals, where the user gave the rate."""
    return (1 / options.rate,) if dim == 1 and options.rate else ()


def decode_numpy(content: bytes, dim: int, options: ReadOptions) -> Decoded:
    array = as_depth(channels_last(load_numpy(content), dim))
    return Decoded(array, _spacing(dim, options))
