"""One file to one array. What cannot be read is said with its reason, never replaced by something else."""

import io
import warnings
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Array = NDArray[Any]
MAX_PIXELS = 178_956_970
"""Larger images are refused: a few kilobytes of PNG can claim gigabytes. (Pillow's own limit.)"""

# Pillow warns from half this limit on; the limit itself is kept, and `look` shows the sizes.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Unreadable(Exception):
    """A file that is not a whole image; the message is the reason, without the file's name."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file's header says, before any pixel is decoded."""

    digest: bytes
    """BLAKE2b of the whole file: equal files have equal digests."""
    kind: str
    width: int
    height: int
    channels: int
    """1 grey, 3 colour, or as many as the file has; alpha not counted."""
    depth: str
    """uint8, uint16 or float32: the type of the decoded array."""
    frames: int = 1
    rotated: bool = False
    notes: tuple[str, ...] = ()
    """alpha, palette, CMYK, ...: what is undone when the file is read."""


def load_bytes(path: Path) -> bytes:
    """The file's content. Raises Unreadable for what is missing, empty or forbidden."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower()) from error
    if not content:
        raise Unreadable("the file is empty (0 bytes)")
    return content


def facts(content: bytes) -> Facts:
    """Read the header only. Raises Unreadable."""
    digest = blake2b(content, digest_size=16).digest()
    if _needs_tifffile(content):
        return _tiff_facts(content, digest)
    with _open(content) as image:
        deep = _png_depth(content) == 16
        notes = _notes(image)
        channels = 1 if image.mode in GREY else 3
        kind = (image.format or "image").replace("MPO", "JPEG")
        depth = (
            "uint16" if deep or image.mode.startswith("I") else "float32" if image.mode == "F" else "uint8"
        )
        turned = _orientation(image) != 1
        width, height = image.size
        if _orientation(image) >= 5:  # a quarter turn
            width, height = height, width
        frames = getattr(image, "n_frames", 1) if image.format in ("TIFF", "GIF", "WEBP", "PNG") else 1
        return Facts(digest, kind, width, height, channels, depth, frames, turned, notes)


def decode(content: bytes, size: int | None = None) -> Array:
    """The pixels, upright, alpha laid on white: (H, W, C) of uint8, uint16 or float32. Raises Unreadable.

    size   where a JPEG is larger than twice this many pixels, decode it at a half, a quarter or an eighth
    """
    try:
        if _needs_tifffile(content):
            return _decode_tiff(content)
        if _png_depth(content) == 16:
            return _decode_deep_png(content)
        with _open(content) as image:
            if size:
                image.draft(None, (2 * size, 2 * size))
            return upright(image)
    except Unreadable:
        raise
    except MemoryError:
        raise
    except Exception as error:  # the decoders raise whatever they like on a damaged file
        raise Unreadable(_reason(error)) from error


GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")


def _open(content: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        raise Unreadable(
            f"it claims more than {MAX_PIXELS / 1e6:.0f} million pixels; cut it into smaller images"
        ) from error
    except UnidentifiedImageError as error:
        raise Unreadable("its content is not an image of a known kind") from error
    except Exception as error:
        raise Unreadable(_reason(error)) from error
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(
            f"it is {image.width} x {image.height}, more than {MAX_PIXELS / 1e6:.0f} million pixels; cut it into smaller images"
        )
    return image


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"it is damaged or cut short ({text})"


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
        return _checked(array[..., None])
    if "alpha" in _notes(image):
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        flat = Image.alpha_composite(white, rgba)
        return np.asarray(flat.convert("L" if image.mode in GREY else "RGB")).reshape(
            image.height, image.width, -1
        )
    flat = image.convert("L" if image.mode in GREY else "RGB")
    return np.asarray(flat).reshape(image.height, image.width, -1)


def _png_depth(content: bytes) -> int:
    """Bits per sample, from byte 24 of a PNG; 0 for other files. Pillow keeps only 8 of 16 bits of colour."""
    return content[24] if content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) > 24 else 0


def _decode_deep_png(content: bytes) -> Array:
    import imagecodecs

    array = np.asarray(imagecodecs.png_decode(content))
    array = array if array.ndim == 3 else array[..., None]
    return _without_alpha(array) if array.shape[2] in (2, 4) else array


def _without_alpha(array: Array) -> Array:
    """Lay the last channel of unsigned integers, alpha, on white."""
    top = np.iinfo(array.dtype).max
    alpha = array[..., -1:].astype(np.float32) / top
    return np.rint(array[..., :-1] * alpha + top * (1 - alpha)).astype(array.dtype)


def _is_tiff(content: bytes) -> bool:
    return content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _needs_tifffile(content: bytes) -> bool:
    """TIFFs of more than 8 bits or with unusual channels, of which Pillow reads a part or nothing."""
    if not _is_tiff(content):
        return False
    try:
        with Image.open(io.BytesIO(content)) as image:
            bits = image.tag_v2.get(258, (8,))  # type: ignore[attr-defined]
            return max(bits) > 8 or image.mode in ("I;16", "F", "I")
    except Exception:  # what Pillow cannot open, tifffile may
        return True


def _tiff_page(content: bytes) -> tuple[tifffile.TiffFile, tifffile.TiffPage]:
    try:
        file = tifffile.TiffFile(io.BytesIO(content))
        page = file.pages.first
    except Exception as error:
        raise Unreadable(_reason(error)) from error
    if page.imagewidth * page.imagelength > MAX_PIXELS:
        raise Unreadable(
            f"it is {page.imagewidth} x {page.imagelength}, more than {MAX_PIXELS / 1e6:.0f} million pixels; cut it into smaller images"
        )
    return file, page


def _tiff_facts(content: bytes, digest: bytes) -> Facts:
    file, page = _tiff_page(content)
    with file:
        dtype = page.dtype
        if dtype is None or dtype.kind not in "uifb":
            raise Unreadable(f"its pixels are of the type {dtype}, which is not a grey value or a colour")
        alpha = _has_alpha(page)
        return Facts(
            digest,
            "TIFF",
            page.imagewidth,
            page.imagelength,
            page.samplesperpixel - alpha,
            _depth(dtype),
            len(file.pages),
            notes=("alpha",) if alpha else (),
        )


def _has_alpha(page: tifffile.TiffPage) -> bool:
    """Whether the last channel is transparency (TIFF's ExtraSamples 1 or 2), not one more measurement."""
    kind = page.dtype.kind if page.dtype is not None else ""
    return kind == "u" and bool(page.extrasamples) and int(page.extrasamples[-1]) in (1, 2)


def _depth(dtype: np.dtype) -> str:
    return {"u1": "uint8", "b1": "uint8", "u2": "uint16"}.get(dtype.str[1:], "float32")


def _decode_tiff(content: bytes) -> Array:
    """The first page, channels last."""
    file, page = _tiff_page(content)
    with file:
        array = np.asarray(page.asarray())
        if array.ndim == 2:
            array = array[..., None]
        elif page.planarconfig == 2:  # channels stored as planes
            array = np.moveaxis(array, 0, -1)
        if _has_alpha(page):
            array = _without_alpha(array)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    return _checked(array.astype(_depth(array.dtype), copy=False))


def _checked(array: Array) -> Array:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Unreadable("it holds values that are not finite (NaN or infinity)")
    return array
