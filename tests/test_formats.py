"""Tags, axes, half files and foreign kinds: what a file is comes from its content, and nothing of it is lost unsaid."""

import io
import zipfile
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from eyespot.data.formats import image, read, tiff
from eyespot.data.formats.foreign import foreign_kind
from eyespot.data.formats.pixels import turned
from eyespot.data.formats.read import decode, read_header
from eyespot.data.header import Decoded, ReadOptions, Unreadable
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.prediction.windows import open_windows

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 65536, (6, 10), dtype=np.uint16)
COLOUR = RNG.integers(0, 65536, (6, 10, 3), dtype=np.uint16)
SMOOTH = np.asarray(Image.fromarray(RNG.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((150, 120)))


def write_tiff(array: np.ndarray, **settings) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **settings)
    return buffer.getvalue()


def encoded(array: np.ndarray, form: str, **settings) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **settings)
    return buffer.getvalue()


def agree(content: bytes, dim: int, expected: np.ndarray) -> None:
    """The header and the values say the same."""
    header, decoded = read_header(content).taken_as(dim), decode(content, dim)
    assert header is not None
    assert (*header.shape, header.channels) == decoded.array.shape == expected.shape
    assert header.depth == str(decoded.array.dtype)
    np.testing.assert_array_equal(decoded.array, expected)


ORIENTED = [(274, "H", 1, 1, True)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_tiff_is_applied_at_every_depth(orientation, planar, dtype):
    """As the tag defines it: where the first row and the first column of the file lie."""
    stored = COLOUR.astype(dtype)
    values = np.moveaxis(stored, -1, 0) if planar == "separate" else stored
    tag = [(274, "H", 1, orientation, True)]
    content = write_tiff(values, photometric="rgb", planarconfig=planar, extratags=tag)
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(stored),
    }[orientation]
    agree(content, 2, upright)
    np.testing.assert_array_equal(turned(stored, orientation), upright)
    assert read_header(content).rotated == (orientation != 1)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.uint32])
def test_white_is_zero_is_inverted_unless_raw(dtype):
    stored = GREY > 30_000 if dtype is bool else GREY.astype(dtype)
    content = write_tiff(stored, photometric="miniswhite")
    top = 255 if dtype is bool else np.iinfo(dtype).max
    values = stored.astype(np.uint8) * 255 if dtype is bool else stored
    expected = (top - values.astype(np.int64)).astype(np.float32 if dtype == np.uint32 else values.dtype)
    agree(content, 2, expected[..., None])
    raw = decode(content, 2, options=ReadOptions(raw=True)).array
    assert raw.dtype == values.dtype and (raw[..., 0] == values).all()


def test_stacks_have_their_tags_applied_to_every_page():
    stored = np.stack([GREY, GREY // 2, GREY // 3])
    tag = [(274, "H", 1, 6, True)]
    content = write_tiff(stored, photometric="miniswhite", extratags=tag, metadata={"axes": "ZYX"})
    agree(content, 3, np.stack([np.rot90(65535 - page, -1) for page in stored])[..., None])


@pytest.mark.parametrize("kind,premultiplied", [("assocalpha", True), ("unassalpha", False)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparency_is_laid_on_the_background(dtype, kind, premultiplied):
    top = np.iinfo(dtype).max
    alpha = np.linspace(0, top, 60).reshape(6, 10, 1).astype(dtype)
    colours = (COLOUR % (top // 2)).astype(dtype)
    share = alpha / top
    stored = np.rint(colours * share).astype(dtype) if premultiplied else colours
    content = write_tiff(np.dstack([stored, alpha]), photometric="rgb", extrasamples=[kind])
    for name, value in (("white", top), ("black", 0)):
        got = decode(content, 2, options=ReadOptions(background=name)).array
        assert got.dtype == dtype and got.shape == (6, 10, 3)
        wanted = colours * share + value * (1 - share)
        assert np.abs(got - wanted).max() <= (2 if dtype == np.uint8 else 1)
    assert "alpha" in read_header(content).notes


def test_sixteen_bit_png_is_turned_and_laid_on_the_background():
    stored = np.dstack([COLOUR, np.zeros((6, 10), np.uint16)])
    assert (decode(bytes(imagecodecs.png_encode(stored)), 2).array == 65535).all()
    black = decode(bytes(imagecodecs.png_encode(stored)), 2, options=ReadOptions(background="black")).array
    assert (black == 0).all()
    plain = bytes(imagecodecs.png_encode(COLOUR))
    exif = Image.Exif()
    exif[274] = 6
    data = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = len(data).to_bytes(4) + b"eXIf" + data + zlib.crc32(b"eXIf" + data).to_bytes(4)
    agree(plain[:33] + chunk + plain[33:], 2, np.rot90(COLOUR, -1))


def test_print_colours_of_sixteen_bits_become_red_green_and_blue():
    inks = np.zeros((2, 3, 4), np.uint16)
    inks[0, 0] = (65535, 0, 0, 0)
    inks[0, 1] = (0, 0, 0, 65535)
    got = decode(write_tiff(inks, photometric="separated"), 2).array
    assert got[0, 0].tolist() == [0, 65535, 65535] and got[0, 1].tolist() == [0, 0, 0]
    assert (got[1] == 65535).all()
    agree(write_tiff(inks, photometric="separated"), 2, got)


def test_colours_that_are_not_read_are_named():
    content = write_tiff(COLOUR, photometric="cielab")
    with pytest.raises(Unreadable, match="CIELAB"):
        read_header(content)
    with pytest.raises(Unreadable, match="CIELAB"):
        decode(content, 2)


VALUES = np.arange(2 * 3 * 4 * 6 * 10).reshape(2, 3, 4, 6, 10).astype(np.uint16)
"""T, Z, C, Y, X"""
STACKS = {
    "TZCYX": (3, VALUES[0].transpose(0, 2, 3, 1), 2),
    "TZYX": (3, VALUES[0, :, 0][..., None], 2),
    "ZYX": (3, VALUES[0, :, 0][..., None], 1),
    "TYX": (2, VALUES[0, 0, 0][..., None], 2),
    "TCYX": (2, VALUES[0, 0].transpose(1, 2, 0), 2),
    "CYX": (2, VALUES[0, 0].transpose(1, 2, 0), 1),
    "ZCYX": (3, VALUES[0].transpose(0, 2, 3, 1), 1),
}


def stored(axes: str) -> np.ndarray:
    return VALUES[tuple(slice(None) if letter in axes else 0 for letter in "TZCYX")]


@pytest.mark.parametrize("axes", STACKS)
@pytest.mark.parametrize("how", [{"imagej": True}, {"ome": True}, {}, {"ome": True, "compression": "zlib"}])
def test_axes_are_what_the_file_names_them(how, axes, tmp_path):
    dim, expected, times = STACKS[axes]
    content = write_tiff(stored(axes), photometric="minisblack", metadata={"axes": axes}, **how)
    header = read_header(content)
    assert header.dim == dim and header.frames == times and not header.guesses
    agree(content, dim, expected)
    remarks = decode(content, dim).remarks
    assert [("2 time points" in r) for r in remarks] == ([True] if times > 1 else [])
    (tmp_path / "a.tif").write_bytes(content)
    window = (slice(1, 3),) * dim
    reader = open_windows(tmp_path / "a.tif", dim)
    np.testing.assert_array_equal(reader(window), expected[window])
    assert reader.remarks == remarks


def test_other_orders_of_axes_are_understood():
    swapped = np.ascontiguousarray(VALUES.swapaxes(0, 2))  # C, Z, T
    content = write_tiff(swapped, photometric="minisblack", ome=True, metadata={"axes": "CZTYX"})
    agree(content, 3, VALUES[0].transpose(0, 2, 3, 1))


def test_the_axes_option_overrules_the_file():
    content = write_tiff(stored("TYX"), photometric="minisblack", imagej=True, metadata={"axes": "TYX"})
    options = ReadOptions(axes="ZYX")
    assert read_header(content, options).shape == (2, 6, 10)
    np.testing.assert_array_equal(decode(content, 3, options=options).array[..., 0], stored("TYX"))
    unnamed = write_tiff(stored("TYX"), photometric="minisblack", metadata=None)
    assert read_header(unnamed).shape == (2, 6, 10) and read_header(unnamed).guesses
    taken = read_header(unnamed, ReadOptions(axes="TYX"))
    assert taken.shape == (6, 10) and taken.frames == 2 and not taken.guesses
    image_axes = ReadOptions(axes="TZCYX")  # of the image; its mask has no channels
    assert read_header(write_tiff(stored("TZYX"), photometric="minisblack"), image_axes).shape == (3, 6, 10)
    with pytest.raises(Unreadable, match="names 5"):
        read_header(unnamed, ReadOptions(axes="TZCYX"))


def test_several_axes_without_names_are_refused_with_the_option():
    content = write_tiff(VALUES[:, :, 0], photometric="minisblack")
    for work in (read_header, decode):
        with pytest.raises(Unreadable, match="--axes, such as TZYX"):
            work(content)
    np.testing.assert_array_equal(
        decode(content, 3, options=ReadOptions(axes="TZYX")).array[..., 0], VALUES[0, :, 0]
    )


def test_pages_without_names_are_a_guess_with_an_option():
    grey, colour = (
        write_tiff(stored("TYX"), photometric="minisblack"),
        np.stack([COLOUR.astype(np.uint8)] * 3),
    )
    header = read_header(grey)
    assert header.shape == (2, 6, 10) and "--axes" in header.guesses[0].option
    header = read_header(write_tiff(colour, photometric="rgb"))
    assert header.shape == (6, 10) and header.frames == 3 and "--dim 3" in header.guesses[0].option


def test_many_channels_are_a_guess():
    content = write_tiff(np.stack([GREY] * 30), imagej=True)  # which calls the first axis channels
    header = read_header(content)
    assert header.channels == 30 and "--axes ZYX" in header.guesses[0].option
    assert read_header(content, ReadOptions(axes="ZYX")).shape == (30, 6, 10)


def test_the_first_series_is_read_and_the_others_are_said():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(GREY)
        file.write(GREY[:3, :4])
    content = buffer.getvalue()
    agree(content, 2, GREY[..., None])
    assert "2 series" in decode(content, 2).remarks[0] and "series 2" in read_header(content).notes


@pytest.mark.parametrize("how", [{"imagej": True}, {}, {"compression": "zlib"}, {"metadata": None}])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_stack_that_is_cut_short_is_no_shorter_stack(how, share):
    pages = RNG.integers(0, 65536, (9, 40, 40), dtype=np.uint16)
    settings = {"metadata": {"axes": "ZYX"}} | how
    content = write_tiff(pages, photometric="minisblack", **settings)
    with pytest.raises(Unreadable, match="cut short"):
        decode(content[: int(len(content) * share)], 3)


def jpeg(**settings) -> bytes:
    return encoded(SMOOTH, "JPEG", **settings)


EXIF = Image.Exif()
EXIF[274] = 3
JPEGS = [{}, {"progressive": True}, {"restart_marker_blocks": 4}, {"exif": EXIF}, {"subsampling": 0}]


@pytest.mark.parametrize("settings", JPEGS, ids="plain progressive restarts exif subsampling".split())
@pytest.mark.parametrize("share", [0.4, 0.7, 0.9])
@pytest.mark.parametrize("closed", [b"", b"\xff\xd9"])
def test_a_jpeg_without_its_last_pixels_is_named(closed, share, settings):
    content = jpeg(**settings)
    decode(content, 2)
    with pytest.raises(Unreadable, match="cut short"):
        decode(content[: int(len(content) * share)] + closed, 2)


def test_whole_jpegs_with_flat_corners_are_read():
    flat = np.full((90, 120, 3), 128, np.uint8)
    flat[:20, :20] = SMOOTH[:20, :20]
    for settings in JPEGS:
        assert decode(encoded(flat, "JPEG", **settings), 2).array.shape == (90, 120, 3)
        assert decode(encoded(flat[..., 0].copy(), "JPEG", **settings), 2).array.shape == (90, 120, 1)


@pytest.mark.parametrize("form,settings", [("PNG", {}), ("GIF", {}), ("WEBP", {}), ("BMP", {}), ("TIFF", {})])
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_other_files_that_are_cut_short_are_named(form, settings, share):
    content = encoded(SMOOTH, form, **settings)
    with pytest.raises(Unreadable, match="cut short"):
        decode(content[: int(len(content) * share)], 2)
    deep = bytes(imagecodecs.png_encode(COLOUR.repeat(9, 0)))
    with pytest.raises(Unreadable, match="cut short"):
        decode(deep[: int(len(deep) * share)], 2)


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", content)
    return buffer.getvalue()


FOREIGN = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50),
    "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0mif1avif" + bytes(50),
    "video": b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2" + bytes(50),
    "JPEG XL": b"\xff\x0a" + bytes(range(60)),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
    "DICOM": bytes(128) + b"DICM" + bytes(60),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(60),
    "NRRD": b"NRRD0004\ntype: float\ndimension: 3\n",
    "MetaImage": b"ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\n",
    "CZI": b"ZISRAWFILE" + bytes(60),
    "ND2": b"\xda\xce\xbe\x0a" + bytes(60),
    "LIF": b"\x70\0\0\0" + bytes(60),
    "PDF": b"%PDF-1.4\n%\xe2\xe3",
    "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    "Photoshop": b"8BPS\0\x01" + bytes(60),
    "ZIP": zipped(b"words"),
    "7z": b"7z\xbc\xaf\x27\x1c" + bytes(60),
    "gzip": b"\x1f\x8b\x08\0" + bytes(60),
    "web page": b"\n<!DOCTYPE html>\n<html><body>404</body></html>",
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 12345\n",
    "JSON": b'{"shapes": [], "imagePath": "a.png"}',
    "XML": b"<annotation><folder>a</folder></annotation>",
    "pickle": b"\x80\x04\x95" + bytes(60),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_kinds_that_are_not_read_are_named_by_their_content(name, monkeypatch):
    monkeypatch.setattr(image, "_can_read_heic", lambda: False)
    for work in (read_header, decode):
        with pytest.raises(Unreadable, match=name) as refused:
            work(FOREIGN[name])
        assert "damaged" not in str(refused.value)


def test_what_is_read_is_not_called_foreign():
    for form in ("PNG", "BMP", "GIF", "WEBP", "JPEG", "TIFF", "PPM"):
        assert foreign_kind(encoded(SMOOTH, form)) is None
        assert decode(encoded(SMOOTH, form), 2).array.shape == SMOOTH.shape
    with pytest.raises(Unreadable, match=r"TGA|Targa"):
        decode(encoded(SMOOTH, "TGA"), 2)


@pytest.mark.parametrize(
    "mistake", [TypeError, AttributeError, NameError, AssertionError, IndexError, KeyError]
)
def test_a_mistake_of_ours_is_not_called_damage(mistake, monkeypatch):
    def wrong(*_):
        raise mistake("of ours")

    monkeypatch.setattr(image, "upright", wrong)
    monkeypatch.setattr(tiff, "stack_of", wrong)
    for content in (encoded(SMOOTH, "PNG"), write_tiff(GREY)):
        with pytest.raises(mistake, match="of ours"):
            decode(content, 2)


def test_what_a_library_raises_on_content_is_damage(monkeypatch):
    monkeypatch.setattr(read, "KINDS", [(lambda c: True, None, lambda *_: np.zeros(3).reshape(2))])
    with pytest.raises(Unreadable, match="damaged"):
        decode(b"x", 2)
    monkeypatch.setattr(
        read, "KINDS", [(lambda c: True, None, lambda *_: tifffile.TiffFile(io.BytesIO(b"x")))]
    )
    with pytest.raises(Unreadable, match="damaged"):
        decode(b"x", 2)


def test_heic_is_read_where_the_package_is_there():
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(Image.fromarray(SMOOTH)).save(buffer, quality=95)
    got = decode(buffer.getvalue(), 2).array
    assert got.shape == SMOOTH.shape and np.abs(got.astype(int) - SMOOTH).mean() < 6
    assert read_header(buffer.getvalue()).shape == SMOOTH.shape[:2]


def test_grey_and_equal_channels_are_taken_and_remarked():
    grey = RNG.integers(0, 256, (8, 8, 1), dtype=np.uint8)
    colours = Preprocessing(8)
    np.testing.assert_array_equal(colours.of_decoded(Decoded(grey)), grey.repeat(3, 2))
    assert "grey" in colours.remarks(Decoded(grey))[0]
    greys = Preprocessing(8, channels=1, accepts=(1,))
    np.testing.assert_array_equal(greys.of_decoded(Decoded(grey.repeat(3, 2))), grey)
    assert "equal" in greys.remarks(Decoded(grey.repeat(3, 2)))[0]
    with pytest.raises(Unreadable, match="3 channels"):
        greys.of_decoded(Decoded(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)))
    assert Preprocessing(8, accepts=(1, 3)).remarks(Decoded(grey)) == []
