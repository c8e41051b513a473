"""Every kind of file becomes the array that it should, or says why not."""

import contextlib
import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from eyespot.data.formats.read import decode as decode_file
from eyespot.data.formats.read import read_header
from eyespot.data.header import Decoded, Unreadable
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.errors import UserError
from eyespot.prediction.windows import open_windows

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (9, 13, 3), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (9, 13), dtype=np.uint16)


def decode(content: bytes, size: int | None = None) -> np.ndarray:
    return decode_file(content, 2, size).array


def encoded(image: Image.Image, form: str, **settings) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **settings)
    return buffer.getvalue()


def tiff(array: np.ndarray, **settings) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **settings)
    return buffer.getvalue()


def png(array: np.ndarray) -> bytes:
    return bytes(imagecodecs.png_encode(array))


@pytest.mark.parametrize(
    "form,settings", [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]
)
def test_lossless_colour_is_exact(form, settings):
    content = encoded(Image.fromarray(COLOUR), form, **settings)
    np.testing.assert_array_equal(decode(content), COLOUR)
    found = read_header(content)
    assert (found.shape, found.channels, found.depth) == ((9, 13), 3, "uint8")


def test_jpeg_and_gif_are_near():
    smooth = np.add.outer(np.arange(9), np.arange(13))[..., None].repeat(3, 2).astype(np.uint8) * 8
    for form in ("JPEG", "GIF"):
        got = decode(encoded(Image.fromarray(smooth), form))
        assert got.shape == (9, 13, 3) and np.abs(got.astype(int) - smooth).mean() < 4


@pytest.mark.parametrize(
    "content,expected",
    [
        (png(GREY16), GREY16[..., None]),
        (tiff(GREY16), GREY16[..., None]),
        (tiff(GREY16, compression="zlib"), GREY16[..., None]),
        (png(np.dstack([GREY16] * 3)), np.dstack([GREY16] * 3)),
        (tiff(np.dstack([GREY16] * 3), photometric="rgb"), np.dstack([GREY16] * 3)),
        (tiff(GREY16.astype(np.float32) / 7), (GREY16.astype(np.float32) / 7)[..., None]),
        (
            tiff(np.dstack([GREY16] * 5), photometric="minisblack", planarconfig="contig"),
            np.dstack([GREY16] * 5),
        ),
        (
            tiff(np.stack([GREY16 // 3] * 4), photometric="minisblack", planarconfig="separate"),
            np.dstack([GREY16 // 3] * 4),
        ),
    ],
    ids=["png16", "tiff16", "tiff16-zlib", "png16-rgb", "tiff16-rgb", "tiff-float", "tiff-5", "tiff-planes"],
)
def test_deep_images_keep_every_bit(content, expected):
    got, found = decode(content), read_header(content)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == expected.dtype == found.depth
    assert found.channels == expected.shape[2]


def test_transparency_is_laid_on_white():
    rgba = np.dstack([COLOUR, np.zeros((9, 13), np.uint8)])
    rgba[0, 0, 3] = 255
    got = decode(encoded(Image.fromarray(rgba), "PNG"))
    assert (got[1:] == 255).all() and (got[0, 0] == COLOUR[0, 0]).all()
    assert "alpha" in read_header(encoded(Image.fromarray(rgba), "PNG")).notes
    deep = np.dstack([GREY16, GREY16, GREY16, np.zeros_like(GREY16)])
    assert (decode(png(deep)) == 65535).all()


def test_palette_cmyk_and_bits_are_converted():
    for image in (Image.fromarray(COLOUR).convert("P"), Image.fromarray(COLOUR).convert("CMYK")):
        form = "PNG" if image.mode == "P" else "TIFF"
        content = encoded(image, form)
        assert decode(content).shape == (9, 13, 3)
        assert read_header(content).notes == (("palette",) if image.mode == "P" else ("CMYK",))
    bits = encoded(Image.fromarray(COLOUR).convert("1"), "PNG")
    assert set(np.unique(decode(bits))) <= {0, 255} and read_header(bits).channels == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_image_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(COLOUR), "PNG", exif=exif)
    got, found = decode(content), read_header(content)
    assert got.shape[:2] == found.shape == ((9, 13) if orientation < 5 else (13, 9))
    assert found.rotated == (orientation != 1)
    turns = {
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        6: np.rot90(COLOUR, -1),
        8: np.rot90(COLOUR),
    }
    if orientation in turns:
        np.testing.assert_array_equal(got, turns[orientation])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("how", [{"imagej": True}, {"ome": True}])
def test_pages_that_are_channels_are_channels(dtype, how, tmp_path):
    """(Z, C, Y, X) as ImageJ and OME write it: a volume of channels; (C, Y, X): an image of channels"""
    values = (np.arange(4 * 3 * 9 * 7) % 251).reshape(4, 3, 9, 7).astype(dtype)
    for axes, array, dim in (("ZCYX", values, 3), ("CYX", values[0], 2)):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, metadata={"axes": axes}, photometric="minisblack", **how)
        content, path = buffer.getvalue(), tmp_path / f"{axes}.tif"
        found, expected = read_header(content), np.moveaxis(array, -3, -1)
        assert (found.shape, found.channels, found.frames) == (expected.shape[:-1], 3, 1)
        np.testing.assert_array_equal(decode_file(content, dim).array, expected)
        path.write_bytes(content)
        window = open_windows(path, dim)
        np.testing.assert_array_equal(window((slice(1, 3),) * dim), expected[(slice(1, 3),) * dim])


def test_pages_are_counted_and_the_first_is_read():
    content = tiff(np.stack([GREY16, GREY16 // 2]), photometric="minisblack")
    found = read_header(content).taken_as(2)
    assert found and (found.frames, found.shape) == (2, (9, 13))
    np.testing.assert_array_equal(decode(content)[..., 0], GREY16)


def test_a_large_jpeg_is_decoded_smaller():
    content = encoded(Image.new("RGB", (1600, 1200), "red"), "JPEG")
    assert decode(content, 100).shape == (300, 400, 3)
    assert decode(content).shape == (1200, 1600, 3)
    assert read_header(content).size == "1600x1200"


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "content,reason",
    [
        (b"this is a text named .jpg", "not an image of a known kind"),
        (encoded(Image.fromarray(COLOUR.repeat(20, 0)), "JPEG")[:700], "damaged or cut short"),
        (encoded(Image.fromarray(COLOUR), "PNG")[:-300], "damaged or cut short"),
        (tiff(GREY16)[:100], "damaged or cut short"),
        (bomb(20_000, 20_000), "million pixels"),
        (bomb(30_000, 5_000), "cut short"),
        (tiff(np.full((4, 4), np.nan, np.float32)), "not finite"),
    ],
    ids=["text", "jpeg", "png", "tiff", "bomb", "below-the-limit", "nan"],
)
def test_what_cannot_be_read_says_why(content, reason):
    with pytest.raises(Unreadable, match=reason):
        read_header(content)
        decode(content)


def archive(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, values=array)
    return buffer.getvalue()


def nifti(array: np.ndarray) -> bytes:
    nibabel = pytest.importorskip("nibabel")
    return nibabel.Nifti1Image(array, np.eye(4)).to_bytes()


NOISE = np.random.default_rng(0).integers(0, 60_000, (20, 21, 22)).astype(np.uint16)


@pytest.mark.parametrize("kind", [archive, tiff, nifti])
@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_file_says_so_or_is_read(kind, seed):
    """Some bytes of a file are changed: it is read, or Unreadable tells why; nothing else comes through."""
    rng = np.random.default_rng(seed)
    content = bytearray(kind(NOISE))
    for place in rng.integers(0, len(content) if seed % 2 else 400, 12):
        content[place] = rng.integers(256)
    for read in (read_header, lambda content: decode_file(content, 3)):
        with contextlib.suppress(Unreadable):
            read(bytes(content))


@pytest.mark.parametrize("shape", [(9, 13), (13, 9), (7, 7), (8, 8), (1, 40)])
@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("dtype,channels", [("uint8", 3), ("uint8", 1), ("uint16", 2), ("float32", 1)])
def test_every_picture_becomes_the_square(shape, fit, dtype, channels):
    image = np.full((*shape, channels), 100, dtype)
    square = Preprocessing(8, fit, channels, (channels,), dtype).of_decoded(Decoded(image))
    assert square.shape == (8, 8, channels) and square.dtype == dtype
    assert set(np.unique(square)) <= ({100} if fit != "pad" or shape[0] == shape[1] else {0, 100})


def test_pad_loses_nothing_and_crop_loses_the_ends():
    image = np.zeros((10, 30, 1), np.uint8)
    image[:, :3] = 255
    assert Preprocessing(30, "pad", 1, (1,)).of_decoded(Decoded(image)).max() == 255
    assert Preprocessing(30, "crop", 1, (1,)).of_decoded(Decoded(image)).max() == 0


def test_depth_is_widened_without_loss_and_channels_are_strict():
    colour = Preprocessing(8, channels=3, accepts=(1, 3), depth="uint16", scaling="full")
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    np.testing.assert_array_equal(colour.of_decoded(Decoded(grey)), grey.astype(np.uint16).repeat(3, 2) * 257)
    with pytest.raises(Unreadable, match=r"2 channels.*3 channels"):
        Preprocessing(8).of_decoded(Decoded(grey.repeat(2, -1)))
    with pytest.raises(Unreadable, match="floating-point"):
        Preprocessing(8, channels=1, accepts=(1,)).of_decoded(Decoded(grey + np.float32(0.5)))
    with pytest.raises(UserError, match="did you mean 'stretch'"):
        Preprocessing(8, "strech")
