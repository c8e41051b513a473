"""Predicted label maps on their way out: files of the inputs' names, with the masks' own values."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from eyespot.data.facts import Array
from eyespot.data.masks import Mapping
from eyespot.errors import UserError
from eyespot.files import cannot_write, write_whole
from eyespot.prediction.masks import MaskPrediction


def write_maps(
    answers: Iterable[MaskPrediction], mapping: Mapping, out: Path, common: Path | None
) -> tuple[dict[str, str], list[Path]]:
    """Write each map as it comes; return the reason for each unreadable file, and what was written.

    common   the folder below which the inputs lie; their own folders below it are kept
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(cannot_write(out, error)) from error
    unread: dict[str, str] = {}
    written: list[Path] = []
    for answer in answers:
        if answer.labels is None:
            unread[answer.path] = answer.error or ""
            continue
        path = target(Path(answer.path), out, common, answer.labels.ndim)
        if path in written:
            raise UserError(
                f"two inputs would be written to {path}: give their common folder, or one at a time"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_map(answer.labels, mapping, path, Path(answer.path))
        written.append(path)
    return unread, written


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
