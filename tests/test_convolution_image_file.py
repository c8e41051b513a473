"""`eyespot convolve`: image files in, images or arrays out."""

import numpy as np
import pytest
from PIL import Image

from eyespot.convolution import convolve, convolve_file
from eyespot.convolution.image_file import parse_kernel
from eyespot.errors import UserError


@pytest.fixture
def photo(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png", levels


def test_numbers_are_exact_and_channels_apart(photo, tmp_path):
    path, levels = photo
    written = convolve_file(path, "1 -1", tmp_path / "edges.npy")
    result = np.load(tmp_path / "edges.npy")
    assert result.shape == written.result_shape == (12, 16, 3)
    for c in range(3):
        assert (result[..., c] == convolve(levels[..., c], [[1, -1]], mode="same", boundary="reflect")).all()
    assert (written.low, written.high) == (result.min(), result.max())


def test_grey_levels_show_zero_as_mid_grey_where_values_are_negative(photo, tmp_path):
    path, levels = photo
    Image.fromarray(levels[..., 0]).save(path)
    written = convolve_file(path, "1 -1", tmp_path / "edges.png", operation="correlate", stride=2)
    edges = convolve(levels[..., 0], [[-1, 1]], mode="same", boundary="reflect")
    drawn = np.asarray(Image.open(tmp_path / "edges.png")).astype(int)
    assert drawn.shape == (6, 8)
    assert "128" in str(written) and "12 x 16 -> 6 x 8" in str(written)
    most = max(-written.low, written.high)
    correlated = levels[::2, :-1:2, 0].astype(int) - levels[::2, 1::2, 0]
    assert np.abs(drawn - (128 + correlated * 127 / most)).max() <= 0.5
    assert edges.shape == levels.shape[:2]


@pytest.mark.parametrize("kernel,factor", [("1", 1), ("0.5", 0.5), ("4", 1)])
def test_other_grey_levels_are_kept_or_stretched(photo, tmp_path, kernel, factor):
    path, levels = photo
    convolve_file(path, kernel, tmp_path / "out.png")
    drawn = np.asarray(Image.open(tmp_path / "out.png")).astype(float)
    most = levels.max() * float(kernel)
    expected = levels * factor if most <= 255 else levels * float(kernel) * 255 / most
    assert np.abs(drawn - expected).max() <= 0.5


def test_the_kernels_text():
    assert parse_kernel("0 1 0; 1 -4 1; 0 1 0").tolist() == [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    assert parse_kernel("1, 2;").dtype == np.int64
    assert parse_kernel(".25 .75").dtype == np.float64


@pytest.mark.parametrize(
    "kernel,message",
    [
        ("1 2; 3", "rows of 2, 1 numbers"),
        ("", "rows of 0 numbers"),
        ("1 a", "is not rows of numbers"),
        ("1 nan", "not finite"),
    ],
)
def test_other_text_is_refused(kernel, message):
    with pytest.raises(UserError, match=message):
        parse_kernel(kernel)


def test_files_that_cannot_be_read_or_written_are_named(photo, tmp_path):
    path, _ = photo
    with pytest.raises(UserError, match=r"none\.png does not exist"):
        convolve_file(tmp_path / "none.png", "1", tmp_path / "out.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UserError, match=r"text\.png cannot be read as an image"):
        convolve_file(tmp_path / "text.png", "1", tmp_path / "out.png")
    with pytest.raises(UserError, match=r"out\.xyz cannot be written"):
        convolve_file(path, "1", tmp_path / "out.xyz")
    with pytest.raises(UserError, match="did you mean 'valid'"):
        convolve_file(path, "1", tmp_path / "out.png", mode="vald")
    with pytest.raises(UserError, match=r"image \(3, 12, 16\) and kernel \(1, 17\)"):
        convolve_file(path, "1 " * 17, tmp_path / "out.png", mode="valid")
