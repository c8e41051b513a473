"""Pictures: JPEG, PNG, WebP, BMP, GIF, and TIFF of 8 bits."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from eyespot.data.header import (
    AS_STATED,
    MAX_VALUES,
    Array,
    Decoded,
    Header,
    ReadOptions,
    Unreadable,
    as_depth,
    check_size,
    reason,
)

# Pillow warns from half this limit on; the limit itself is kept, and `look` shows the sizes.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def image_header(content: bytes, digest: bytes) -> Header:
    """Read the header only. Raises Unreadable."""
    with open_image(content) as image:
        deep = png_depth(content) == 16
        width, height = image.size
        if _orientation(image) >= 5:  # a quarter turn
            width, height = height, width
        return Header(
            digest,
            (image.format or "image").replace("MPO", "JPEG"),
            (height, width),
            1 if image.mode in GREY else 3,
            "uint16" if deep or image.mode.startswith("I") else "float32" if image.mode == "F" else "uint8",
            getattr(image, "n_frames", 1) if image.format in ("TIFF", "GIF", "WEBP", "PNG") else 1,
            _orientation(image) != 1,
            _notes(image),
        )


def decode_image(content: bytes, size: int | None = None, options: ReadOptions = AS_STATED) -> Decoded:
    """The pixels, upright, alpha laid on white: (H, W, C) of uint8, uint16 or float32.

    size   where a JPEG is larger than twice this many pixels, decode it at a half, a quarter or an eighth
    """
    if png_depth(content) == 16:
        return Decoded(_decode_deep_png(content))
    with open_image(content) as image:
        if size:
            image.draft(None, (2 * size, 2 * size))
        return Decoded(upright(image))


GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")


def open_image(content: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        raise Unreadable(
            f"it claims more than {MAX_VALUES / 1e6:.0f} million pixels; cut it into smaller images"
        ) from error
    except UnidentifiedImageError as error:
        raise Unreadable("its content is not an image of a known kind") from error
    except Exception as error:
        raise Unreadable(reason(error)) from error
    check_size((image.height, image.width))
    return image


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1-8; looked up only where a file has EXIF, since the look costs more than the header."""
    return image.getexif().get(0x0112, 1) if "exif" in image.info or image.format == "TIFF" else 1


def _notes(image: Image.Image) -> tuple[str, ...]:
    notes = []
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        notes.append("alpha")
    if image.mode in ("P", "PA"):
        notes.append("palette")
    if image.mode in ("CMYK", "LAB", "HSV"):
        notes.append(image.mode)
    return tuple(notes)


def upright(image: Image.Image) -> Array:
    """A Pillow image as an upright (H, W, C) array."""
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        array = np.asarray(image)
        if array.dtype.kind == "i":  # older Pillow reads 16-bit grey PNG as 32-bit integers
            array = (
                array.astype(np.uint16)
                if 0 <= array.min() and array.max() < 65536
                else array.astype(np.float32)
            )
        return as_depth(array[..., None])
    if "alpha" in _notes(image):
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        flat = Image.alpha_composite(white, rgba)
        return np.asarray(flat.convert("L" if image.mode in GREY else "RGB")).reshape(
            image.height, image.width, -1
        )
    flat = image.convert("L" if image.mode in GREY else "RGB")
    return np.asarray(flat).reshape(image.height, image.width, -1)


def png_depth(content: bytes) -> int:
    """Bits per sample, from byte 24 of a PNG; 0 for other files. Pillow keeps only 8 of 16 bits of colour."""
    return content[24] if content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) > 24 else 0


def _decode_deep_png(content: bytes) -> Array:
    import imagecodecs

    array = np.asarray(imagecodecs.png_decode(content))
    array = array if array.ndim == 3 else array[..., None]
    return without_alpha(array) if array.shape[2] in (2, 4) else array


def without_alpha(array: Array) -> Array:
    """Lay the last channel of unsigned integers, alpha, on white."""
    top = np.iinfo(array.dtype).max
    alpha = array[..., -1:].astype(np.float32) / top
    return np.rint(array[..., :-1] * alpha + top * (1 - alpha)).astype(array.dtype)
