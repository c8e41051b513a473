"""Arrays of any number of axes in NumPy files."""

import io

import numpy as np

from eyespot.data.header import (
    Array,
    Decoded,
    Header,
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
    loaded = np.load(io.BytesIO(content), allow_pickle=False)
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


def numpy_header(content: bytes, digest: bytes) -> Header:
    array = load_numpy(content)
    if not array.size:
        raise Unreadable(f"its array of shape {array.shape} is empty")
    if array.dtype.kind not in "buif":
        raise Unreadable(f"its values are of the type {array.dtype}, which is not numeric")
    return header_of_array(Header(digest, "NumPy", (), 1, depth_of(array.dtype)), array.shape)


def decode_numpy(content: bytes, dim: int) -> Decoded:
    return Decoded(as_depth(channels_last(load_numpy(content), dim)))
