"""The last channel of a TIFF is transparency only where the file says so and its values agree, or the user does."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from eyespot.config import Config
from eyespot.data.formats.read import decode, read_header
from eyespot.data.header import ReadOptions
from eyespot.data.surveys.survey_data import survey_data
from eyespot.prediction.windows import open_windows

RNG = np.random.default_rng(5)


def written(array: np.ndarray, **settings) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **settings)
    return buffer.getvalue()


def bands(dtype, top: int) -> np.ndarray:
    """(H, W, 4) of measurements"""
    return RNG.integers(top // 9, top // 2, (12, 14, 4)).astype(dtype)


def cut_out(dtype) -> np.ndarray:
    """(H, W, 4) of which the last channel is opaque or clear"""
    image = bands(dtype, np.iinfo(dtype).max)
    image[..., 3] = 0
    image[3:9, 3:9, 3] = np.iinfo(dtype).max
    return image


def without_extra_samples(content: bytes) -> bytes:
    """The TIFF with the tag ExtraSamples renamed to one that nobody reads."""
    changed = content.replace(
        (338).to_bytes(2, "little") + b"\3\0", (65000).to_bytes(2, "little") + b"\3\0", 1
    )
    assert changed != content
    return changed


LAYOUTS = {
    "planes, as tifffile writes them": lambda a: written(
        np.moveaxis(a, -1, 0), photometric="rgb", planarconfig="separate"
    ),
    "pixels, as tifffile writes them": lambda a: written(a, photometric="rgb"),
    "unspecified": lambda a: written(a, photometric="rgb", extrasamples=["unspecified"]),
    "unnamed": lambda a: without_extra_samples(written(a, photometric="rgb")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_four_measurements_are_four_channels(layout, dtype):
    image = bands(dtype, np.iinfo(dtype).max)
    content = LAYOUTS[layout](image)
    header = read_header(content)
    assert header.channels == 4 and "alpha" not in header.notes
    assert [g.value for g in header.guesses] == ["a channel like the others"]
    np.testing.assert_array_equal(decode(content).array, image)
    asked = ReadOptions(axes=header.guesses[0].option.split()[1])  # what the guess offers
    assert read_header(content, asked).channels == 3 and not read_header(content, asked).guesses
    assert decode(content, options=asked).array.shape == (12, 14, 3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_opaque_or_clear_is_transparency_unless_the_axes_name_channels(layout, dtype, tmp_path):
    image = cut_out(dtype)
    content = LAYOUTS[layout](image)
    header = read_header(content)
    assert header.channels == 3 and "alpha" in header.notes
    assert bool(header.guesses) == (layout != "pixels, as tifffile writes them")
    wanted = np.where(image[..., 3:] > 0, image[..., :3], np.iinfo(dtype).max)
    np.testing.assert_array_equal(decode(content).array, wanted)
    (tmp_path / "a.tif").write_bytes(content)
    windows = open_windows(tmp_path / "a.tif", 2)
    np.testing.assert_array_equal(windows((slice(0, 12), slice(0, 14))), wanted)
    options = [g.option.split()[1] for g in header.guesses] or ["YXC"]
    for axes in (options[0], "CYX", "YXC"):
        asked = ReadOptions(axes=axes)
        if "planes" in layout and axes == "YXC":
            continue
        assert read_header(content, asked).channels == 4 and not read_header(content, asked).guesses
        np.testing.assert_array_equal(decode(content, options=asked).array, image)


def test_grey_of_four_planes_has_no_transparency():
    image = cut_out(np.uint16)
    for planes in (
        written(np.moveaxis(image, -1, 0), photometric="minisblack", planarconfig="separate"),
        written(image, photometric="minisblack", extrasamples=["unspecified", "unspecified", "unassalpha"]),
        written(np.moveaxis(image, -1, 0), imagej=True, metadata={"axes": "CYX"}),
        written(np.moveaxis(image, -1, 0), ome=True, metadata={"axes": "CYX"}),
    ):
        assert read_header(planes).channels == 4
        np.testing.assert_array_equal(decode(planes).array, image)


def test_planes_are_slices_where_the_axes_say_so():
    content = written(np.moveaxis(bands(np.uint16, 4000), -1, 0), photometric="rgb", planarconfig="separate")
    assert read_header(content, ReadOptions(axes="ZYX")).shape == (4, 12, 14)
    assert decode(content, 3, options=ReadOptions(axes="ZYX")).array.shape == (4, 12, 14, 1)


def test_colours_have_no_guess_and_pillows_transparency_is_laid_on_white():
    assert not read_header(written(bands(np.uint8, 255)[..., :3], photometric="rgb")).guesses
    buffer = io.BytesIO()
    Image.fromarray(cut_out(np.uint8)).save(buffer, "TIFF")
    header = read_header(buffer.getvalue())
    assert header.channels == 3 and not header.guesses
    grey = io.BytesIO()
    Image.fromarray(cut_out(np.uint8)[..., 2:]).save(grey, "TIFF")
    assert read_header(grey.getvalue()).channels == 1 and decode(grey.getvalue()).array[0, 0] == 255


def notes(folder) -> str:
    return " | ".join(p.text for p in survey_data(folder).problems)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_an_alpha_channel_that_is_opaque_everywhere_is_no_transparency(tmp_path, ending):
    for i in range(16):
        image = RNG.integers(0, 200, (16, 16, 4)).astype(np.uint8)
        image[..., 3] = 255
        path = tmp_path / "d" / "ab"[i % 2] / f"{i}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    said = notes(tmp_path / "d")
    assert (
        "with transparency" not in said
        and "16 images with an alpha channel that is opaque everywhere" in said
    )
    image[5, 5, 3] = 254
    Image.fromarray(image).save(path)
    assert "with transparency: laid on white (--background)" in notes(tmp_path / "d")


@pytest.mark.parametrize("axes", ["YXC", "YXS", "SYX", "CYX"])
def test_the_axes_that_guesses_offer_are_accepted(axes):
    assert Config(axes=axes).axes == axes
