"""Volumes in NIfTI files, with the size of their voxels."""

import gzip
import zlib

import numpy as np

from eyespot.data.header import Decoded, Header, Unreadable, as_depth, check_size, depth_of


def is_nifti(content: bytes) -> bool:
    head = gzip_head(content) if content[:2] == b"\x1f\x8b" else content[:352]
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] == b"n+2\0"


def gzip_head(content: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(content, 352)
    except zlib.error:
        return b""


def decode_nifti(content: bytes) -> Decoded:
    """(D, H, W, C), axes in the order of superior, anterior, right; spacing in millimetres"""
    image = open_nifti(content)
    values = np.asarray(image.dataobj)
    values = values if values.ndim == 4 else values[..., None]
    spacing = tuple(float(z) for z in image.header.get_zooms()[:3])
    return Decoded(as_depth(values.transpose(2, 1, 0, 3)), spacing[::-1] if min(spacing) > 0 else ())


def open_nifti(content: bytes):
    """The file as nibabel reads it, with its axes in the order of the body's."""
    try:
        import nibabel
    except ImportError as error:
        raise Unreadable("it is NIfTI, which needs one more package: pip install 'eyespot[nifti]'") from error
    raw = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    kind = nibabel.Nifti2Image if raw[4:8] == b"n+2\0" else nibabel.Nifti1Image
    image = nibabel.as_closest_canonical(kind.from_bytes(raw))
    if len(image.shape) not in (3, 4):
        raise Unreadable(
            f"its array of shape {image.shape} is not a volume: give three axes, or four with channels"
        )
    return image


def nifti_header(content: bytes, digest: bytes) -> Header:
    image = open_nifti(content)
    shape = image.shape[2::-1]
    check_size(shape)
    spacing = tuple(float(z) for z in image.header.get_zooms()[2::-1])
    channels = image.shape[3] if len(image.shape) == 4 else 1
    scaled = image.dataobj.slope not in (1, None) or image.dataobj.inter not in (0, None)
    depth = "float32" if scaled else depth_of(image.get_data_dtype())
    return Header(digest, "NIfTI", shape, channels, depth, spacing=spacing if min(spacing) > 0 else ())
