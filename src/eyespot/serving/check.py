"""What a client's file claims, checked before it is decoded: its size, and that it is one file on its own."""

import gzip
import io
import zipfile
import zlib
from math import prod

import numpy as np
from numpy.lib import format as npy

from eyespot.data.formats.channel_files import contents_of, is_joined, join
from eyespot.data.formats.damage import or_unreadable
from eyespot.data.formats.nifti import is_nifti
from eyespot.data.formats.read import read_header
from eyespot.data.header import WORD, Header, Unreadable
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.serving.limits import MEGA, Limits

BYTES = 8
"""Of a value, at most."""
CHANNELS = 4
"""For every pixel allowed, so many values may be decoded: channels, frames or pages."""
HEAD = 20_000
"""Bytes that hold the header of any .npy file that NumPy reads."""
ZIP = b"PK\x03\x04"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
GZIP = b"\x1f\x8b"


def checked(content: bytes, preprocessing: Preprocessing, limits: Limits) -> bytes:
    """The content, unpacked where it is a packed volume. Raises Unreadable for what is too large or not a file.

    The content of several files is that of an image whose channels they are, as `body` has joined it: where the images
    trained on have one file each, a client wrote it.
    """
    names = preprocessing.channel_files
    if not is_joined(content):
        return _checked_file(content, preprocessing, limits)
    if not names:
        raise Unreadable("its content is not an image of a known kind")
    files = [
        (name, _checked_file(file, preprocessing, limits))
        for name, file in or_unreadable(contents_of, content)
    ]
    return join(files)


def _checked_file(content: bytes, preprocessing: Preprocessing, limits: Limits) -> bytes:
    if not content:
        raise Unreadable("the file is empty (0 bytes)")
    if is_joined(content):
        raise Unreadable("its content is not an image of a known kind")
    content = or_unreadable(_unpacked, content, limits)
    or_unreadable(_check_arrays, content, limits)
    if content[:4] in TIFF:
        or_unreadable(_check_tiles, content, limits)
    header = read_header(content, preprocessing.read_options)
    _check_size(header.taken_as(preprocessing.dim) or header, limits)
    return content


def _check_size(header: Header, limits: Limits) -> None:
    """Raises Unreadable for more pixels, or more values in all channels and pages, than are allowed."""
    pages = header.frames if header.kind.startswith("TIFF") else 1
    _refuse_more(prod(header.shape), limits.pixels, header.dim)
    _refuse_more(prod(header.shape) * header.channels * pages, CHANNELS * limits.pixels, header.dim)


def _refuse_more(n: int, most: int, dim: int = 0) -> None:
    if n > most:
        unit = "pixels" if dim == 2 else "values"
        raise Unreadable(
            f"it has {n / MEGA:,.0f} million {unit}, and this server takes up to {most / MEGA:,.0f} million: "
            f"send a smaller {WORD.get(dim, 'file')}"
        )


def _unpacked(content: bytes, limits: Limits) -> bytes:
    """A packed NIfTI file as it is inside, which is then known not to be larger than it may."""
    if content[:2] != GZIP or not is_nifti(content):
        return content
    most = CHANNELS * limits.pixels * BYTES
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            inside = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable("it is damaged or cut short (its compressed content does not end)") from error
    if len(inside) > most:
        raise Unreadable("its compressed content is larger than this server takes")
    return inside


def _check_arrays(content: bytes, limits: Limits) -> None:
    """Raises Unreadable for NumPy files that would take more memory than is allowed, or hold Python objects."""
    if content[:6] == npy.MAGIC_PREFIX:
        _check_array(content, len(content), limits)
    elif content[:4] == ZIP:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _refuse_more(sum(e.file_size for e in archive.infolist()) // BYTES, CHANNELS * limits.pixels)
            for entry in archive.infolist():
                if entry.filename.endswith(".npy"):
                    with archive.open(entry) as file:
                        _check_array(file.read(HEAD), entry.file_size, limits)


def _check_array(head: bytes, size: int, limits: Limits) -> None:
    """size   bytes of the file that begins so, which may claim more"""
    file = io.BytesIO(head)
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if np.dtype(dtype).hasobject:
        raise Unreadable("it holds Python objects, which are not read: save an array of numbers")
    _refuse_more(prod(shape), CHANNELS * limits.pixels)
    if prod(shape) * np.dtype(dtype).itemsize > size:
        raise Unreadable("it is cut short: values are missing at its end")


def _check_tiles(content: bytes, limits: Limits) -> None:
    """Raises Unreadable for a TIFF whose strips or tiles are larger than an image may be."""
    from eyespot.data.formats.tiff import opened  # tifffile is not on a machine that only predicts

    with opened(content) as file:
        for page in file.pages:
            chunks = page.aspage().chunks
            if not all(isinstance(n, int) for n in chunks):
                raise Unreadable("it is damaged or cut short (the size of its tiles is not a number)")
            _refuse_more(prod(chunks), CHANNELS * limits.pixels)
