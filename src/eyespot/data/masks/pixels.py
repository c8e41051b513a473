"""The values of a mask file, as they are stored: no alpha laid on white, no inverted or coloured values, no rounding."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyespot.data.formats.image import open_image, png_depth
from eyespot.data.formats.nifti import is_nifti
from eyespot.data.formats.numpy_file import is_numpy, load_numpy
from eyespot.data.formats.read import decode_any, or_unreadable
from eyespot.data.formats.tiff import JPEG, PALETTE, is_tiff, opened
from eyespot.data.header import Array, ReadOptions, Unreadable, channels_last
from eyespot.data.masks.mapping import COLOUR
from eyespot.plurals import count

Values = NDArray[np.int64]
MOST_COLOURS = 64
"""More colours than this where a file has transparency are those of a photograph, and its mask is the alpha channel."""
ORIENTATION = 0x0112
"""The tag of EXIF and TIFF."""


def read_mask(content: bytes, dim: int, axes: str = "") -> tuple[Values, str]:
    """The values (*S) of a mask, palette indices and colours as numbers, and what is special about it.

    The second is "palette", "JPEG", "colours", "alpha" where the alpha channel is the mask, "hidden" where the colours
    are and transparency is not used, "opaque" for an alpha channel that says nothing, or "". Raises Unreadable.
    """
    return or_unreadable(_read, content, dim, axes)


def orientation(content: bytes) -> int:
    """How an image is turned to be shown, 1 (not at all) to 8: the tag of EXIF or TIFF."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # no picture, or a damaged one, which is reported where it is read
        return 1
    return value if value in range(1, 9) else 1


def _read(content: bytes, dim: int, axes: str) -> tuple[Values, str]:
    if is_numpy(content):
        return _of_channels(channels_last(load_numpy(content), dim)), ""
    array = decode_any(content, dim, options=ReadOptions(axes, raw=True)).array
    kind = ""
    alpha = False
    if dim > 1 and is_tiff(content):
        kind, alpha = _kind_of_tiff(content)
    elif dim == 2 and not is_nifti(content):
        kind, alpha = _kind_of_picture(content)
    if alpha and array.shape[-1] in (2, 4):
        values = _of_channels(array[..., :-1])
        return _without_alpha(values, array[..., -1].astype(np.int64), int(np.iinfo(array.dtype).max))
    values = _of_channels(array)
    return values, kind or ("colours" if (values >= COLOUR).any() else "")


def _kind_of_picture(content: bytes) -> tuple[str, bool]:
    """What kind of file it is, and whether its last channel is alpha."""
    with open_image(content) as image:
        if image.mode == "P":
            return "palette", False
        kind = "JPEG" if image.format in ("JPEG", "MPO") else ""
        return kind, "A" in image.mode or png_depth(content) == 16


def _kind_of_tiff(content: bytes) -> tuple[str, bool]:
    """See `_kind_of_picture`."""
    with opened(content) as file:
        page = file.pages.first
        kind = "palette" if page.photometric == PALETTE else "JPEG" if page.compression in JPEG else ""
        return kind, any(int(extra) in (1, 2) for extra in page.extrasamples)


def _of_channels(array: Array) -> Values:
    """(*S, C) -> (*S): the values of one channel, or colours as numbers from COLOUR on, but for grey ones."""
    values = _whole(array)
    if values.shape[-1] == 3:
        red, green, blue = np.moveaxis(values, -1, 0)
        if (red == green).all() and (green == blue).all():
            return np.ascontiguousarray(red)
        if values.min() < 0 or values.max() > 255:
            if (values % 257).any():
                raise Unreadable("its colours have 16 bits: save it with 8 bits, or with one value per class")
            red = red // 257
            green = green // 257
            blue = blue // 257
        return COLOUR + (red << 16 | green << 8 | blue)
    if values.shape[-1] != 1:
        raise Unreadable(
            f"it has {count(values.shape[-1], 'channel')}, and a mask has one, or three for colours; give --multilabel if each is a class"
        )
    return np.ascontiguousarray(values[..., 0])


def _whole(array: Array) -> Values:
    """Whole numbers. Raises Unreadable for others."""
    if array.dtype == bool:
        return array.astype(np.int64) * 255  # black and white, as in a file of 8 bits
    if array.dtype.kind not in "uif":
        raise Unreadable(f"its values are of the type {array.dtype}, which is not numeric")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            n = int((~np.isfinite(array)).sum())
            raise Unreadable(
                f"{n:,} of its values are NaN or infinite: save it with 0 there, or another whole number"
            )
        if (array != np.rint(array)).any():
            raise Unreadable(
                "it holds fractions, and values of a mask are whole numbers: save classes, such as probability > 0.5"
            )
    if array.size and (array.max() >= COLOUR or array.min() <= -COLOUR):
        raise Unreadable(f"it has the value {array.max()}, and those of a mask are below 2^62")
    return array.astype(np.int64)


def _without_alpha(values: Values, alpha: Values, top: int) -> tuple[Values, str]:
    """What a mask with transparency says: its colours, or its alpha channel where all else is equal.

    Raises Unreadable where the mask can be either.
    """
    if (alpha == top).all():
        return values, "opaque"
    colours = np.unique(values)
    if len(colours) == 1:
        return alpha, "alpha"
    if np.isin(values[alpha == 0], values[alpha > 0]).any():
        raise Unreadable(
            "it has transparent and opaque pixels of the same colour, so the mask may be its colours or its alpha "
            "channel: save the one that is meant without transparency"
        )
    if len(colours) > MOST_COLOURS:
        raise Unreadable(
            f"it has {len(colours):,} colours and transparency: save its alpha channel as the mask, without colours"
        )
    return values, "hidden"
