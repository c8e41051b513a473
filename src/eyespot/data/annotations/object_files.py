"""A mask that is a folder with a file per object, as Kaggle's nuclei have."""

import re
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyespot.data.annotations.draw import OBJECT, Area, Contents, Drawn, draw, image_shape
from eyespot.data.formats.read import load_bytes
from eyespot.data.header import Unreadable
from eyespot.data.masks.mapping import COLOUR, Mapping
from eyespot.data.masks.pixels import read_mask
from eyespot.data.sources.samples import TABLES, Sample, is_known, visible

ANY_NUMBER = "_*"
"""What follows the name of an image in the path of a mask whose files are ID_1.png, ID_2.png, ..."""
NUMBERED = re.compile(r"[ _.-]+(?:(?:mask|object|obj|instance|inst|cell|nucleus)[ _.-]*)?\(?\d+\)?$")


def is_object_files(sample: Sample, mask: Path) -> bool:
    """Whether a mask is a folder of files, or a pattern of their names."""
    return mask.is_dir() or (mask.name.endswith(ANY_NUMBER) and mask.parent.is_dir())


def stems_before_number(path: Path) -> list[str]:
    """The names that the image of a numbered mask may have; none where a mask has no number."""
    stem = Path(path.name.removesuffix(".gz")).stem
    match = NUMBERED.search(stem)
    return [stem[: match.start()]] if match else []


def object_files(folder: Path) -> list[Path]:
    """The files of a folder that may each hold an object, in the order of their names; or those of a pattern."""
    if folder.name.endswith(ANY_NUMBER) and not folder.is_dir():
        image = folder.name.removesuffix(ANY_NUMBER)
        return [path for path in object_files(folder.parent) if image in stems_before_number(path)]
    paths = (Path(entry.path) for entry in visible(folder) if entry.is_file())
    return [path for path in paths if is_known(path) and path.suffix.lower() not in TABLES]


def draw_object_files(sample: Sample, folder: Path, dim: int, mapping: Mapping) -> Drawn:
    """The objects of all files in one mask; an empty folder is an image without objects. Raises Unreadable."""
    areas = []
    shape = None
    for path in object_files(folder):
        inside = _inside(path, dim)
        shape = shape or inside.shape
        if inside.shape != shape:
            raise Unreadable(f"its file {path.name} has another size than the others")
        areas.append(_area(inside))
    if shape is None:
        shape = image_shape(sample, dim)
    return draw(areas, shape, mapping)


def digest_of_object_files(sample: Sample, folder: Path) -> bytes:
    """Of the content of all files. Raises Unreadable."""
    digest = sha256()
    for path in object_files(folder):
        digest.update(sha256(load_bytes(path)).digest())
    return digest.digest()


def _inside(path: Path, dim: int) -> NDArray[np.bool_]:
    try:
        values, _ = read_mask(load_bytes(path), dim)
    except Unreadable as reason:
        raise Unreadable(f"its file {path.name}: {reason}") from reason
    inside = (values != 0) & (values != COLOUR)  # black, where the file has colours
    one = values[inside].max(initial=0)
    if ((values != one) & inside).any():
        distinct = np.unique(values)
        examples = ", ".join(map(str, distinct[:5])) + ", ..." * (len(distinct) > 5)
        raise Unreadable(
            f"its file {path.name} holds the values {examples}, and the file of one object has 0 outside and one value inside"
        )
    return inside


def _area(inside: NDArray[np.bool_]) -> Area:
    """The part of a mask that has anything in it."""
    bounds = []
    for axis in range(inside.ndim):
        others = tuple(a for a in range(inside.ndim) if a != axis)
        there = np.flatnonzero(inside.any(others))
        bounds.append((int(there[0]), int(there[-1]) + 1) if len(there) else (0, 0))
    box = tuple(slice(*bound) for bound in bounds)
    return Area(OBJECT, inside[box].copy(), tuple(low for low, _ in bounds))


def contents_of_object_files(sample: Sample, folder: Path) -> Contents:
    """What is known of a folder's masks before they are read."""
    return Contents("a file per object", frozenset({OBJECT}))
