"""`eyespot convolve`: an image file through a kernel, into an image file or an array."""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from eyespot.convolution.geometry import flips
from eyespot.convolution.operation import convolve, correlate
from eyespot.errors import UserError
from eyespot.files import check_not_input, refuse_existing, write_file

GREY_MODES = ("L", "I;16", "I", "F")  # Pillow's modes of 8, 16 and 32-bit integers and floating point


@dataclass(frozen=True)
class Written:
    """The result of convolve_file: the shapes, the smallest and largest value, and how values became grey levels."""

    path: Path
    shape: tuple[int, ...]
    result_shape: tuple[int, ...]
    low: float
    high: float
    scale: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"path": str(self.path)}

    def __str__(self) -> str:
        shapes = f"{' x '.join(map(str, self.shape))} -> {' x '.join(map(str, self.result_shape))}"
        return f"{self.path}: {shapes}, values {self.low:g} to {self.high:g}, {self.scale}"


def parse_kernel(text: str) -> np.ndarray:
    """A kernel written as rows of numbers with ';' between the rows; integers stay integers.

    >>> parse_kernel("1 0 -1; 2 0 -2; 1 0 -1")
    array([[ 1,  0, -1],
           [ 2,  0, -2],
           [ 1,  0, -1]])
    """
    rows = [row.replace(",", " ").split() for row in text.strip().strip(";").split(";")]
    if len({len(row) for row in rows}) != 1 or not rows[0]:
        raise UserError(f"the kernel {text!r} has rows of {', '.join(str(len(row)) for row in rows)} numbers")
    try:
        kernel = np.array([[float(number) for number in row] for row in rows])
    except ValueError as error:
        raise UserError(
            f"the kernel {text!r} is not rows of numbers, such as '1 -1' or '0 1 0; 1 -4 1; 0 1 0'"
        ) from error
    if not np.isfinite(kernel).all():
        raise UserError(f"the kernel {text!r} contains a number that is not finite")
    is_integer = (kernel == np.rint(kernel)).all() and np.abs(kernel).max() < 2**31
    return kernel.astype(np.int64) if is_integer else kernel


def read_image(path: Path) -> np.ndarray:
    """(H, W) grey levels or (H, W, 3) colours, in the file's own integers."""
    try:
        with Image.open(path) as image:
            if image.mode == "1":
                return np.asarray(image.convert("L"))
            return np.asarray(image if image.mode in GREY_MODES else image.convert("RGB"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"{path} cannot be read as an image: {error}") from error


def convolve_file(
    image_path: str | Path,
    kernel_text: str,
    out_path: str | Path,
    *,
    mode: str = "same",
    boundary: str = "reflect",
    stride: int = 1,
    operation: str = "convolve",
    force: bool = True,
) -> Written:
    """Convolve each channel of an image and write the result, as an image or, to a .npy file, as the exact numbers.

    In an 8-bit image file, a result without negative values keeps its grey levels where they fit into 0 to 255;
    other results are stretched: to the largest value, or with negative values so that mid-grey (128) is zero.
    A file that exists is overwritten, unless `force` is false: then UserError is raised.
    """
    image = read_image(Path(image_path))
    kernel = parse_kernel(kernel_text)
    channels = np.moveaxis(image, 2, 0) if image.ndim == 3 else image
    apply = convolve if flips(operation) else correlate
    result = apply(channels, kernel, mode=mode, boundary=boundary, stride=stride, dim=2)
    result = np.moveaxis(result, 0, 2) if image.ndim == 3 else result
    check_not_input(Path(out_path), [Path(image_path)])
    refuse_existing(Path(out_path), force)
    scale = write(result, Path(out_path))
    return Written(Path(out_path), image.shape, result.shape, float(result.min()), float(result.max()), scale)


def write(values: np.ndarray, path: Path) -> str:
    """Write an array (.npy) or an 8-bit image, and return how its grey levels are scaled."""
    content = io.BytesIO()
    if path.suffix == ".npy":
        np.save(content, values)
        scale = "stored exactly"
    else:
        levels, scale = to_levels(values)
        try:
            Image.fromarray(levels).save(content, Image.registered_extensions().get(path.suffix.lower()))
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{path} cannot be written: {error}") from error
    write_file(path, content.getvalue())
    return scale


def to_levels(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Values as uint8 grey levels, and the scale in words."""
    most = float(np.abs(values).max()) or 1.0
    if values.min() < 0:
        levels = 128 + values * (127 / most)
        scale = f"drawn with 0 as grey 128 and {most:g} as 255"
    elif most <= 255:
        levels = values
        scale = "drawn without scaling"
    else:
        levels = values * (255 / most)
        scale = f"drawn with {most:g} as 255"
    return np.rint(levels).astype(np.uint8), scale
