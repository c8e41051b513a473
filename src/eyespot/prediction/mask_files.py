"""Predicted label maps on their way out: files of the inputs' names, with the masks' own values."""

import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyespot.console import say, track
from eyespot.data.formats.channel_files import files_of, name_without_channels
from eyespot.data.header import Array, Decoded, Unreadable
from eyespot.data.masks.multilabel import folder_of
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.errors import UserError
from eyespot.files import make_folder, write_file
from eyespot.missing import install, missing_package, require
from eyespot.plurals import count
from eyespot.prediction.inputs import Remarks
from eyespot.prediction.nifti_output import ENDING as NIFTI
from eyespot.prediction.nifti_output import is_nifti_file, nifti_colours, nifti_like
from eyespot.prediction.segmenter import MEMORY_MB, Segmenter
from eyespot.prediction.tiff_output import dots_per_inch, resolution_of, tiff_bytes
from eyespot.prediction.tiled_file import TiledFile
from eyespot.prediction.windows import WindowReader, in_depth, open_windows
from eyespot.watershed import BYTES

SEEN = 256
"""Samples on either side of the middle of a file whose values are compared with those trained on."""
LARGE = 2**25
"""Samples from which an image is read and written in parts."""


def write_maps(
    segmenter: Segmenter,
    files: Iterable[Path],
    out: Path,
    common: Path | None,
    instances: bool | None = None,
    probabilities: bool = False,
    *,
    force: bool = False,
) -> tuple[dict[str, str], list[Path], list[Path]]:
    """Write the map of each file; the reason for each unreadable one, what was written, and what existed before.

    Of multi-label masks a map for each class, in a folder of its name: the layout in which masks are read.

    common          the folder below which the inputs lie; their own folders below it are kept
    instances       ids of objects in place of classes; None for ids where the training masks numbered objects
    probabilities   write NAME_probabilities.tif (or .nii.gz) beside each map: a channel per class, in 255ths
    force           overwrite files that exist; else the images that they belong to are skipped
    """
    unread: dict[str, str] = {}
    written: list[Path] = []
    existing: list[Path] = []
    remarks = Remarks()
    if instances is None:
        instances = segmenter.mapping.objects
    if instances:
        segmenter.check_objects()
    dim = segmenter.preprocessing.dim
    if probabilities and dim == 2:
        require("tifffile", "--probabilities, which writes TIFF,")
    for file in distinct(files, out, common, dim):
        path = target(file, out, common, dim)
        tables = _tables(segmenter, path, out)
        try:
            write = _write_nifti if path.name.endswith(NIFTI) else _write_file
            written += write(segmenter, file, path, tables, instances, probabilities, remarks, force)
        except Unreadable as reason:
            unread[str(file)] = str(reason)
        except FileExistsError as error:
            existing.append(error.args[0])
        except ModuleNotFoundError as error:
            if not (package := missing_package(error)):
                raise
            unread[str(file)] = f"writing its mask needs {install(package)}"
    return unread, written, existing


def distinct(files: Iterable[Path], out: Path, common: Path | None, dim: int) -> Iterator[Path]:
    """The files one by one. Raises UserError where the map of one would have the name of another's."""
    taken: set[Path] = set()
    for file in files:
        path = target(file, out, common, dim)
        if path in taken:
            raise UserError(
                f"two inputs would be written to {path}: give their common folder, or one at a time"
            )
        taken.add(path)
        yield file


def _tables(segmenter: Segmenter, path: Path, out: Path) -> dict[Path, Array]:
    """Each file that is written of a map: of every label, the value that it has there"""
    mapping = segmenter.mapping
    if not mapping.multilabel:
        values = mapping.value_of()
        return {_holding(path, values.dtype): values}
    bits = np.arange(1 << len(mapping.classes))
    return {
        out / folder_of(name) / path.relative_to(out): ((bits >> k & 1) * 255).astype(np.uint8)
        for k, name in enumerate(mapping.classes)
    }


def _write_file(
    segmenter: Segmenter,
    file: Path,
    path: Path,
    tables: dict[Path, Array],
    instances: bool,
    probabilities: bool,
    remarks: Remarks,
    force: bool,
) -> list[Path]:
    """Predict one file, read and written in parts where it is large, and say where its maps are.

    path     after which the file of probabilities is named
    """
    windows = opened(file, segmenter.preprocessing, remarks, instances)
    shape = windows.shape
    plain = all(values.ndim == 1 for values in tables.values())
    large = prod(shape) >= LARGE and len(shape) > 1 and plain and not instances
    soft = _probability_file(path, len(shape))
    tables = {p.with_suffix(".tif") if large else p: values for p, values in tables.items()}
    _check_free((*tables, *[soft] * probabilities), force)
    how: dict[str, Any] = {"spacing": windows.spacing, "resolution": resolution_of(file)}
    if large:
        plan = segmenter.plan(shape, probabilities)
        say(f"{file}: {plan}")
        how["key"] = _key(file, segmenter.digest, plan, [values.tolist() for values in tables.values()])
    bands_of_labels = []
    bands_of_shares = []
    with ExitStack() as stack:
        hard = [
            (stack.enter_context(TiledFile(to, shape, values.dtype, **how)), values)
            for to, values in (tables if large else {}).items()
        ]
        named = {"names": segmenter.classes, **how}
        pages = probabilities and len(shape) > 1
        softer = stack.enter_context(TiledFile(soft, shape, np.uint8, **named)) if pages else None
        first = min(f.rows for f in (*(f for f, _ in hard), *filter(None, [softer]))) if hard else 0
        if first:
            say(
                f"{file}: {first:,} of {count(windows.shape[0], 'row')} are there from a run that was stopped"
            )
        bands = segmenter.bands(windows, shape, first, probabilities)
        if large:
            bands = track(
                bands, segmenter.plan(shape, probabilities).rows, f"predicting {file.name}, rows of tiles"
            )
        for top, band, shares in bands:
            for to, values in hard:
                to.add(top, values[band])
            if not hard:
                bands_of_labels.append(band)
            if softer:
                softer.add(top, shares)  # type: ignore[arg-type]
            elif probabilities:
                bands_of_shares.append(shares)
    if bands_of_shares:
        write_file(soft, _npy(np.concatenate(bands_of_shares, 1)), replace=force)
    if large:
        return list(tables)
    labels = np.concatenate(bands_of_labels)
    if instances:
        return [write_map(_numbers(segmenter.ids(labels)), path, file, force)]
    return [write_map(values[labels], to, file, force, values.ndim > 1) for to, values in tables.items()]


def _write_nifti(
    segmenter: Segmenter,
    file: Path,
    path: Path,
    tables: dict[Path, Array],
    instances: bool,
    probabilities: bool,
    remarks: Remarks,
    force: bool,
) -> list[Path]:
    """`_write_file` of a NIfTI file, which is in memory as a whole, and whose maps are NIfTI."""
    windows = opened(file, segmenter.preprocessing, remarks, instances)
    shape = windows.shape
    soft = _probability_file(path, len(shape))
    _check_free((*tables, *[soft] * probabilities), force)
    bands = segmenter.bands(windows, shape, soft=probabilities)
    if prod(shape) >= LARGE:
        bands = track(
            bands, segmenter.plan(shape, probabilities).rows, f"predicting {file.name}, rows of tiles"
        )
    tops_labels_shares = list(bands)
    labels = np.concatenate([band for _, band, _ in tops_labels_shares])
    if probabilities:
        shares = [share for _, _, share in tops_labels_shares if share is not None]
        write_file(soft, nifti_like(np.moveaxis(np.concatenate(shares, 1), 0, -1), file), replace=force)
    if instances:
        return [write_map(_numbers(segmenter.ids(labels)), path, file, force)]
    return [write_map(values[labels], to, file, force, values.ndim > 1) for to, values in tables.items()]


def opened(file: Path, preprocessing: Preprocessing, remarks: Remarks, instances: bool) -> WindowReader:
    """The windows of a file as the network takes its values, and a warning of what is left out or changed.

    Raises UserError where objects are to be numbered, and the memory allowed is too small for that.
    """
    windows = in_depth(open_windows(file, preprocessing.dim, preprocessing.read_options), preprocessing)
    if instances:
        _check_memory_for_ids(file, prod(windows.shape))
    middle = tuple(slice(max(0, n // 2 - SEEN), n // 2 + SEEN) for n in windows.shape)
    values = windows(middle)
    notes = preprocessing.remarks(Decoded(values, windows.spacing, windows.remarks))
    remarks.of(str(file), [*notes, preprocessing.value_remark(values)])
    return windows


def _check_free(paths: tuple[Path, ...], force: bool) -> None:
    """Make the folders of files to write. Raises FileExistsError where one exists, unless forced or left by a stopped run."""
    stopped = any(path.with_name(f"{path.name}.partial").exists() for path in paths)
    for path in paths:
        if path.exists() and not stopped and not force:
            raise FileExistsError(path)
    for path in paths:
        make_folder(path.parent)


def _check_memory_for_ids(file: Path, samples: int) -> None:
    need = -(-samples * BYTES >> 20)
    if need > MEMORY_MB:
        raise UserError(
            f"ids of the objects in {file} take {need:,} MB, since they are computed on the whole image, and {MEMORY_MB:,} MB are allowed: set EYESPOT_MEMORY_MB={need}, or use --no-instances"
        )


def _numbers(ids: Array) -> Array:
    return ids.astype(np.uint16 if ids.max(initial=0) < 2**16 else np.uint32)


def _key(file: Path, *about: Any) -> str:
    """What a half-written prediction must have been made from, so that the rest fits"""
    digests = []
    for source in files_of(file):
        with source.open("rb") as content:
            digests.append(hashlib.file_digest(content, "sha256").hexdigest())
    return hashlib.sha256(repr((*digests, about)).encode()).hexdigest()


def target(source: Path, out: Path, common: Path | None, dim: int) -> Path:
    """Where the map of an input goes: PNG for images, NIfTI for NIfTI, TIFF for stacks and images that are TIFF, else NumPy."""
    inside = source.relative_to(common) if common and source.is_relative_to(common) else Path(source.name)
    inside = Path(*map(name_without_channels, inside.parts))
    tiff = source.suffix.lower() in (".tif", ".tiff")
    ending = ".npy" if dim == 1 else source.suffix if tiff else ".png" if dim == 2 else ".tif"
    if dim == 3 and is_nifti_file(source):
        ending = NIFTI
    return out / inside.with_name(_stem(inside) + ending)


def _stem(path: Path) -> str:
    """The name without its ending."""
    return path.name[: -len(NIFTI)] if path.name.lower().endswith(NIFTI) else path.stem


def _probability_file(path: Path, axes: int) -> Path:
    """Where the probabilities go that belong to the map at `path`."""
    ending = ".npy" if axes == 1 else NIFTI if path.name.endswith(NIFTI) else ".tif"
    return path.with_name(f"{_stem(path)}_probabilities{ending}")


def _holding(path: Path, dtype: np.dtype) -> Path:
    """The path, or one of a TIFF where PNG cannot hold the values: large ones, or below 0."""
    return path.with_suffix(".tif") if path.suffix == ".png" and dtype not in (np.uint8, np.uint16) else path


def write_map(values: Array, path: Path, source: Path, force: bool = False, colours: bool = False) -> Path:
    """One map, whole, with the resolution of the image that it belongs to where that has one; the file that it is in.

    colours   whether the last axis is red, green and blue
    """
    if (holding := _holding(path, values.dtype)) != path:
        path = holding
        _check_free((path,), force)
    if path.name.endswith(NIFTI):
        content = nifti_colours(values, source) if colours else nifti_like(values, source)
    elif path.suffix == ".png":
        content = encoded_map(values, ".png", dots_per_inch(source), colours)
    else:
        how = resolution_of(source) if path.suffix != ".npy" else {}
        content = encoded_map(values, path.suffix, how, colours)
    write_file(path, content, replace=force)
    return path


def encoded_map(values: Array, ending: str, how: dict | None = None, colours: bool = False) -> bytes:
    """One map as the content of a .npy, .png or else TIFF file.

    how       more for Pillow or tifffile, such as the resolution
    colours   whether the last axis is red, green and blue
    """
    if ending == ".npy":
        return _npy(values)
    if ending == ".png":
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "PNG", **(how or {}))
        return buffer.getvalue()
    return tiff_bytes(values, how or {}, colours)


def _npy(values: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()
