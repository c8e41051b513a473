"""Predicted label maps on their way out: files of the inputs' names, with the masks' own values."""

import io
from collections.abc import Iterable
from math import prod
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from eyespot.console import say, track
from eyespot.data.facts import Array, Decoded, Unreadable
from eyespot.data.masks import Mapping
from eyespot.errors import UserError
from eyespot.files import cannot_write, write_whole
from eyespot.prediction.masks import MaskPredictor
from eyespot.prediction.stream import write_labels
from eyespot.prediction.windows import open_windows

LARGE = 2**25
"""Samples from which an image is read and written in parts."""


def write_maps(
    predictor: MaskPredictor, files: Iterable[Path], out: Path, common: Path | None
) -> tuple[dict[str, str], list[Path]]:
    """Write the map of each file; return the reason for each unreadable one, and what was written.

    common   the folder below which the inputs lie; their own folders below it are kept
    """
    unread: dict[str, str] = {}
    written: list[Path] = []
    for file in files:
        path = target(file, out, common, predictor.reading.dim)
        if path in written:
            raise UserError(
                f"two inputs would be written to {path}: give their common folder, or one at a time"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(cannot_write(path, error)) from error
        try:
            written.append(_write_file(predictor, file, path))
        except Unreadable as reason:
            unread[str(file)] = str(reason)
    return unread, written


def _write_file(predictor: MaskPredictor, file: Path, path: Path) -> Path:
    """Predict one file, read and written in parts where it is large, and say where its map is."""
    windows = open_windows(file, predictor.reading.dim)
    values = predictor.mapping.value_of()
    if prod(windows.shape) < LARGE or len(windows.shape) == 1 or values.ndim > 1:
        array = windows(tuple(slice(0, n) for n in windows.shape))
        write_map(
            predictor.labels(predictor.reading.of_decoded(Decoded(array))), predictor.mapping, path, file
        )
        return path
    path = path.with_suffix(".tif")
    plan = predictor.plan(windows.shape)
    say(f"{file}: {plan}")
    bands = (values[band] for band in predictor.bands(windows, windows.shape))
    write_labels(
        path,
        track(bands, plan.rows, f"predicting {file.name}, rows of tiles"),
        windows.shape,
        windows.spacing,
    )
    return path


def target(source: Path, out: Path, common: Path | None, dim: int) -> Path:
    """Where the map of an input goes: PNG for images, TIFF for stacks and images that are TIFF, else NumPy."""
    inside = source.relative_to(common) if common and source.is_relative_to(common) else Path(source.name)
    tiff = source.suffix.lower() in (".tif", ".tiff")
    ending = ".npy" if dim == 1 else source.suffix if tiff else ".png" if dim == 2 else ".tif"
    stem = inside.name[:-7] if inside.name.lower().endswith(".nii.gz") else inside.stem
    return out / inside.with_name(stem + ending)


def write_map(labels: NDArray[np.uint8], mapping: Mapping, path: Path, source: Path) -> None:
    """One label map, whole, with the resolution of the image that it belongs to where that has one."""
    values = mapping.value_of()[labels]
    if path.suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, values)
    elif path.suffix == ".png":
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "PNG", **_resolution(source))
    else:
        buffer = _tiff(values, source)
    write_whole(path, buffer.getvalue())


def _resolution(source: Path) -> dict:
    try:
        with Image.open(source) as image:
            return {"dpi": image.info["dpi"]} if "dpi" in image.info else {}
    except OSError:
        return {}


def _tiff(values: Array, source: Path) -> io.BytesIO:
    buffer, kept = io.BytesIO(), {}
    try:
        with tifffile.TiffFile(source) as file:
            tags = file.pages.first.tags
            ratios = [tags[name].value for name in ("XResolution", "YResolution") if name in tags]
            if len(ratios) == 2 and all(r[0] and r[1] for r in ratios):
                unit = int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 1
                kept = {"resolution": tuple(r[0] / r[1] for r in ratios), "resolutionunit": unit}
    except (OSError, tifffile.TiffFileError):
        kept = {}
    colours = values.ndim > 2 and values.shape[-1] == 3 and values.dtype == np.uint8
    photometric = "rgb" if colours else "minisblack"
    tifffile.imwrite(buffer, values, photometric=photometric, compression="zlib", **kept)
    return buffer
