"""Masks as TIFF files, and the resolution of the images that they belong to; by Pillow where tifffile is not installed."""

import io
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyespot.data.header import Array

# Numbers of TIFF tags
X_RESOLUTION = 282
Y_RESOLUTION = 283
UNIT = 296
NO_UNIT = 1
MOST_DOTS = 10**6
"""Per inch: more is a mistake, and fits in no PNG."""
Source = Path | io.BytesIO
"""A file, or the content of one."""


def tiff_bytes(values: Array, how: dict[str, Any], colours: bool) -> bytes:
    """One map as the content of a TIFF file. Raises ModuleNotFoundError where that takes tifffile, and it is missing.

    how       the resolution, as `resolution_of` gives it
    colours   whether the last axis is red, green and blue: a volume may be three voxels wide
    """
    buffer = io.BytesIO()
    try:
        import tifffile
    except ModuleNotFoundError:
        if not colours and (values.ndim != 2 or values.dtype not in (np.uint8, np.uint16)):
            raise
        Image.fromarray(values).save(buffer, "TIFF", compression="tiff_adobe_deflate", **_as_pillows(how))
        return buffer.getvalue()
    photometric = "rgb" if colours else "minisblack"
    tifffile.imwrite(buffer, values, photometric=photometric, compression="zlib", **how)
    return buffer.getvalue()


def _as_pillows(how: dict[str, Any]) -> dict[str, Any]:
    if not how:
        return {}
    x, y = how["resolution"]
    return {"x_resolution": x, "y_resolution": y, "resolution_unit": how["resolutionunit"]}


def dots_per_inch(source: Source) -> dict[str, Any]:
    """The resolution of an image, as Pillow writes it; empty where it has none."""
    try:
        with Image.open(source) as image:
            dpi = image.info.get("dpi", ())
            return {"dpi": dpi} if dpi and all(isfinite(n) and 0 < n < MOST_DOTS for n in dpi) else {}
    except (OSError, Image.DecompressionBombError):
        return {}


def resolution_of(source: Source) -> dict[str, Any]:
    """The resolution of an image, as tifffile writes it; empty where it has none."""
    try:
        import tifffile
    except ModuleNotFoundError:
        return _by_pillow(source)
    try:
        with tifffile.TiffFile(source) as file:
            tags = file.pages.first.tags
            ratios = [_ratio(tags[name].value) for name in ("XResolution", "YResolution") if name in tags]
            if len(ratios) == 2 and all(ratios):
                unit = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else NO_UNIT
                known = int(unit) if isinstance(unit, int) else NO_UNIT
                return {"resolution": tuple(ratios), "resolutionunit": known}
    except (OSError, tifffile.TiffFileError):
        return _of_dots(source)
    return {}


def _ratio(value: Any) -> float:
    """Of a tag's two whole numbers, or its only one, as some programs write it; 0 where it is neither."""
    numbers = value if isinstance(value, tuple) else (value,)
    if len(numbers) not in (1, 2) or not all(isinstance(n, int | float) and n > 0 for n in numbers):
        return 0.0
    return numbers[0] / numbers[1] if len(numbers) == 2 else float(numbers[0])


def _by_pillow(source: Source) -> dict[str, Any]:
    try:
        with Image.open(source) as image:
            tags = getattr(image, "tag_v2", None)
    except (OSError, Image.DecompressionBombError):
        return {}
    if tags is None:
        return _of_dots(source)
    ratios = tuple(float(tags.get(number, 0)) for number in (X_RESOLUTION, Y_RESOLUTION))
    if not all(isfinite(ratio) and ratio for ratio in ratios):
        return {}
    return {"resolution": ratios, "resolutionunit": int(tags.get(UNIT, NO_UNIT))}


def _of_dots(source: Source) -> dict[str, Any]:
    dpi = dots_per_inch(source).get("dpi")
    return {"resolution": tuple(map(float, dpi)), "resolutionunit": 2} if dpi and all(dpi) else {}
