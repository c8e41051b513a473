"""Whether files look like label maps or like pictures, from the values of a few of them."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.read import load_bytes, read_header
from eyespot.data.header import NeedsPackage, Unreadable
from eyespot.data.masks.mapping import COLOUR
from eyespot.data.masks.pixels import read_mask

MOST_COLOURS = 12
NEAR = 2
"""Values of red, green and blue by which most pixels of a label map differ from its colours after JPEG."""
CONCENTRATED = 0.6
"""The share of pixels near the most frequent colours, from which a JPEG may be a label map."""
MOST_PIXELS = 1 << 16
LABELS = "labels"
PICTURES = "pictures"
UNCLEAR = "unclear"
MOST_BYTES = 1 << 26
"""Of a file that is opened to judge it."""
MOST_VALUES = 64
"""Different values of a label map whose values are classes."""
BLANK = frozenset((0, 1, 255, 65535, COLOUR, COLOUR + 0xFFFFFF))
"""The values of masks that are all background or all object; an image of another one is of one colour."""
FLAT = 0.6
"""The share of neighbours with equal values, from which an area counts as flat."""
UNEVEN = 0.5


def judged(paths: Sequence[Path], most: int = 3) -> str:
    """LABELS where all files are flat areas of few values, PICTURES where one is neither, else UNCLEAR.

    A few of the files, spread over them, are decoded. Files that cannot be read say nothing.
    """
    step = max(1, len(paths) // most)
    kinds = {kind for path in paths[::step][:most] if (kind := _judge(path))}
    if PICTURES in kinds:
        return PICTURES
    return LABELS if kinds == {LABELS} else UNCLEAR


def same_shapes(pairs: Sequence[tuple[Path, Path]], most: int = 4) -> bool:
    """Whether a few pairs of files have the same sizes."""
    step = max(1, len(pairs) // most)
    try:
        return all(_shape(a) == _shape(b) for a, b in pairs[::step][:most])
    except NeedsPackage:
        raise
    except Unreadable:
        return False


def _shape(path: Path) -> tuple[int, ...]:
    return read_header(load_bytes(path)).shape


def _judge(path: Path) -> str | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return _judge_once(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1024)
def _judge_once(path: Path, size: int, time: int) -> str | None:
    """A file is judged by several layouts, and decoded once while its size and time stay."""
    read = _values(path)
    if read is None or not read[0].size:
        return None
    values, kind = read
    distinct = len(np.unique(values))
    if distinct == 1 and values.flat[0] not in BLANK:
        return UNCLEAR
    flat = _flatness(values)
    if kind == "JPEG" and distinct > MOST_VALUES and _concentration(values) >= CONCENTRATED:
        return UNCLEAR  # a label map, of which JPEG has spread the colours
    if distinct <= MOST_VALUES and flat >= FLAT:
        return LABELS
    if distinct > MOST_VALUES // 2 and flat < UNEVEN:
        return PICTURES
    return LABELS if flat >= 0.9 and distinct < values.size / 50 else UNCLEAR


def _values(path: Path) -> tuple[NDArray[np.int64], str] | None:
    """The values as a mask has them, and the kind of file; None where the file cannot be read so."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        content = load_bytes(path)
        return read_mask(content, read_header(content).dim)
    except NeedsPackage:
        raise
    except (OSError, Unreadable):
        return None


def _concentration(values: NDArray[np.int64]) -> float:
    """The share of pixels that have nearly one of the few most frequent colours."""
    colours = np.stack([values >> shift & 255 for shift in (16, 8, 0)], -1).reshape(-1, 3)
    colours = colours[:: max(1, len(colours) // MOST_PIXELS)]
    left = colours
    for _ in range(MOST_COLOURS):
        if not len(left):
            break
        distinct, counts = np.unique(left, axis=0, return_counts=True)
        left = left[(np.abs(left - distinct[counts.argmax()]) > NEAR).any(-1)]
    return 1 - len(left) / len(colours)


def _flatness(values: NDArray[np.int64]) -> float:
    """The share of neighbours along the last axis that are equal."""
    if values.shape[-1] < 2:
        return 1.0
    return float((values[..., 1:] == values[..., :-1]).mean())
