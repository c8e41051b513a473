"""One file to one array. What cannot be read is reported with its reason, never replaced by something else."""

from hashlib import sha256
from pathlib import Path

from eyespot.data.formats.channel_files import (
    channel_names,
    check_grids,
    contents_of,
    files_of,
    is_joined,
    join,
    joined_arrays,
    joined_header,
)
from eyespot.data.formats.damage import or_unreadable
from eyespot.data.formats.foreign import is_foreign, refuse_foreign
from eyespot.data.formats.image import decode_image, image_header
from eyespot.data.formats.jpeg import decode_jpeg, is_jpeg, jpeg_header
from eyespot.data.formats.nifti import decode_nifti, is_nifti, nifti_header
from eyespot.data.formats.numpy_file import decode_numpy, is_numpy, numpy_header
from eyespot.data.formats.sound import decode_sound, is_sound, sound_header
from eyespot.data.formats.tables.table import decode_table, looks_like_table, table_header
from eyespot.data.formats.tiff import decode_tiff, is_tiff, tiff_header
from eyespot.data.header import AS_STATED, Decoded, Header, ReadOptions, Unreadable, finite, refuse_empty

KINDS = (
    # recognises content; reads the header; decodes values for so many axes, at about this size, with these options
    (is_jpeg, lambda c, digest, _: jpeg_header(c, digest), lambda c, dim, *rest: decode_jpeg(c, *rest)),
    (is_tiff, tiff_header, decode_tiff),
    (is_sound, lambda c, digest, _: sound_header(c, digest), lambda c, *_: decode_sound(c)),
    (is_numpy, numpy_header, lambda c, dim, size, options: decode_numpy(c, dim, options)),
    (
        is_nifti,
        lambda c, digest, _: nifti_header(c, digest),
        lambda c, dim, size, options: decode_nifti(c, options),
    ),
    (is_foreign, refuse_foreign, refuse_foreign),  # before tables, since many begin with lines of text
    (looks_like_table, table_header, lambda c, dim, size, options: decode_table(c, options)),
    (
        lambda c: True,
        lambda c, digest, _: image_header(c, digest),
        lambda c, dim, size, options: decode_image(c, size, options),
    ),
)
"""The kinds of file, recognised by their content and not by their name; anything else is tried as a picture."""


def load_bytes(path: Path) -> bytes:
    """The file's content, or that of the several files of a path. Raises Unreadable for what is missing, empty or forbidden."""
    files = files_of(path)
    if len(files) > 1:
        return join([(name, _load(file)) for name, file in zip(channel_names(path), files, strict=True)])
    return _load(path)


def _load(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower()) from error
    if not content:
        raise Unreadable("the file is empty (0 bytes)")
    return content


def content_digest(content: bytes) -> bytes:
    """SHA-256 of a file's content, for which processors have instructions."""
    return sha256(content).digest()


def read_header(content: bytes, options: ReadOptions = AS_STATED) -> Header:
    """A file's header. Raises Unreadable."""
    digest = content_digest(content)
    if is_joined(content):
        files = contents_of(content)
        or_unreadable(check_grids, files)
        return joined_header(digest, [(name, read_header(file, options)) for name, file in files])
    read = next(read for recognises, read, _ in KINDS if recognises(content))
    return or_unreadable(read, content, digest, options)


def decode(
    content: bytes, dim: int = 2, size: int | None = None, options: ReadOptions = AS_STATED
) -> Decoded:
    """The values as something with `dim` axes, channels last. Raises Unreadable, also for values that are not finite.

    size   large JPEGs are decoded at a reduced size that is still twice as large
    """
    decoded = decode_any(content, dim, size, options)
    finite(decoded.array)
    return decoded


def decode_any(
    content: bytes, dim: int = 2, size: int | None = None, options: ReadOptions = AS_STATED
) -> Decoded:
    """`decode` for callers that replace or refuse values that are not finite themselves."""
    if is_joined(content):
        files = contents_of(content)
        or_unreadable(check_grids, files)
        return joined_arrays([(name, decode_any(file, dim, size, options)) for name, file in files])
    read = next(read for recognises, _, read in KINDS if recognises(content))
    decoded: Decoded = or_unreadable(read, content, dim, size, options)
    refuse_empty(decoded.array.shape[:-1])
    return decoded
