"""Pictures: JPEG, PNG, WebP, BMP, GIF, and TIFF of 8 bits."""

import io
import warnings
import zlib
from contextlib import suppress
from functools import cache

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from eyespot.data.formats.damage import is_ours
from eyespot.data.formats.foreign import foreign_kind, is_heic
from eyespot.data.formats.pixels import laid_on, turned
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
        if image.format == "TIFF":  # of which Pillow gives the size after it is turned
            width = image.tag_v2[256]  # type: ignore[attr-defined]
            height = image.tag_v2[257]  # type: ignore[attr-defined]
        if _orientation(image) >= 5:  # a quarter turn
            width, height = height, width
        return Header(
            digest,
            (image.format or "image").replace("MPO", "JPEG"),
            (height, width),
            1 if image.mode in GREY else 3,
            "uint16" if deep or image.mode.startswith("I") else "float32" if image.mode == "F" else "uint8",
            _frames(image),
            _orientation(image) != 1,
            _notes(image),
        )


def decode_image(content: bytes, size: int | None = None, options: ReadOptions = AS_STATED) -> Decoded:
    """The pixels, upright, alpha laid on white: (H, W, C) of uint8, uint16 or float32.

    size   where a JPEG is larger than twice this many pixels, decode it at a half, a quarter or an eighth
    """
    with open_image(content) as image:
        frames = _frames(image)
        remarks = (f"it has {frames} pages or frames, of which only the first is read",) if frames > 1 else ()
        if png_depth(content) == 16:
            return Decoded(_decode_deep_png(content, _orientation(image), options), remarks=remarks)
        if size:
            image.draft(None, (2 * size, 2 * size))
        values = _as_stored(image) if options.raw else upright(image, options.background)
        return Decoded(values, remarks=remarks)


GROUNDS = {"white": (255, 255, 255, 255), "black": (0, 0, 0, 255), "grey": (128, 128, 128, 255)}
"""The backgrounds as Pillow writes them."""
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")


def _frames(image: Image.Image) -> int:
    return getattr(image, "n_frames", 1) if image.format in ("TIFF", "GIF", "WEBP", "PNG") else 1


READ = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM")
"""Formats that are read with Pillow; others that it knows are named."""


def open_image(content: bytes) -> Image.Image:
    """The image as Pillow reads it. Raises Unreadable."""
    heic = is_heic(content) and _can_read_heic()
    if not heic and (known := foreign_kind(content)):
        raise Unreadable(known)
    try:
        image = Image.open(io.BytesIO(content), formats=["HEIF"] if heic else READ)
    except Image.DecompressionBombError as error:
        raise Unreadable(
            f"it claims more than {MAX_VALUES / 1e6:.0f} million pixels; cut it into smaller images"
        ) from error
    except UnidentifiedImageError as error:
        raise Unreadable(_unknown(content)) from error
    except Exception as error:
        if is_ours(error):
            raise
        raise Unreadable(reason(error)) from error
    check_size((image.height, image.width))
    return image


def _unknown(content: bytes) -> str:
    """What Pillow calls an image that is not read here, if it is one."""
    known = "its content is not an image of a known kind"
    with suppress(Exception), Image.open(io.BytesIO(content)) as image:
        known = f"it is {image.format_description or image.format}, which is not read: save it as PNG or TIFF"
    return known


@cache
def _can_read_heic() -> bool:
    """Whether the package for HEIC is installed, which is then made known to Pillow."""
    try:
        from pillow_heif import register_heif_opener  # type: ignore[import-not-found]
    except ImportError:
        return False
    register_heif_opener()
    return True


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


def _as_stored(image: Image.Image) -> Array:
    """The values (H, W, C) of a Pillow image, upright, with nothing else done to them."""
    image = ImageOps.exif_transpose(image) if _orientation(image) != 1 else image
    values = np.asarray(image.convert("L") if image.mode == "1" else image)
    return values.reshape(image.height, image.width, -1)


def upright(image: Image.Image, background: str = "white") -> Array:
    """A Pillow image as an upright (H, W, C) array, transparent pixels laid on a background."""
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
        ground = Image.new("RGBA", rgba.size, GROUNDS[background])
        flat = Image.alpha_composite(ground, rgba)
        return np.asarray(flat.convert("L" if image.mode in GREY else "RGB")).reshape(
            image.height, image.width, -1
        )
    flat = image.convert("L" if image.mode in GREY else "RGB")
    return np.asarray(flat).reshape(image.height, image.width, -1)


def png_depth(content: bytes) -> int:
    """Bits per sample, from byte 24 of a PNG; 0 for other files. Pillow keeps only 8 of 16 bits of colour."""
    return content[24] if content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) > 24 else 0


def _decode_deep_png(content: bytes, orientation: int, options: ReadOptions) -> Array:
    array = _deep_values(content)
    array = turned(array if array.ndim == 3 else array[..., None], orientation)
    if options.raw or array.shape[2] not in (2, 4):
        return array
    return laid_on(array, options.background)


def _deep_values(content: bytes) -> Array:
    """The values of a PNG of 16 bits. Raises ModuleNotFoundError where these take imagecodecs, and it is missing."""
    try:
        import imagecodecs
    except ModuleNotFoundError:
        if not _is_whole_grey_png(content):
            raise
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            return np.asarray(image, np.uint16)
    return np.asarray(imagecodecs.png_decode(content))


def _is_whole_grey_png(content: bytes) -> bool:
    """Whether a PNG is grey without transparency, of which Pillow keeps all 16 bits, and nothing in it is damaged."""
    if content[25] != 0:
        return False
    at = 8
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4])
        body = content[at + 4 : at + 8 + size]
        name = body[:4]
        if zlib.crc32(body) != int.from_bytes(content[at + 8 + size : at + 12 + size]) or name == b"tRNS":
            return False
        if name == b"IEND":
            return True
        at += 12 + size
    return False
