"""Which images are worth showing beside each other: those that do not look like one that is shown already."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from eyespot.data.duplicates.pairs import thumbnail
from eyespot.data.header import Array

OF_OBJECTS = (0.985,)
"""Correlation of two thumbnails from which one of two images of an object is enough: images of one digit have 0.95."""
OF_SCENES = (0.9, 0.97, 0.995)
"""The same for scenes, of which neighbouring frames of a film have 0.92; where too few differ so much, the next one."""
SMALLEST = 12
"""Samples along an axis, at least, for which thumbnails say whether images look alike."""
COMPARED = 500
"""Images that are compared, at the most."""


@dataclass(frozen=True)
class Looked:
    """What is compared of an image: its shape, a hash of its values, and its thumbnail (T,)."""

    shape: tuple[int, ...]
    values: int
    thumb: NDArray[np.float32]


def look(array: Array) -> Looked:
    return Looked(array.shape, hash(array.tobytes()), thumbnail(array))


def distinct(arrays: Iterable[Array], most: int, similar: Sequence[float] = OF_OBJECTS) -> list[int]:
    """Positions of the first images (*S, C), at most so many, that do not look like one before.

    similar   correlations from which two images look alike: the first, or where it leaves fewer images a later one

    Images of under 12 samples along an axis look alike only if they are equal.
    """
    looked: list[Looked] = []
    chosen: list[int] = []
    rest = iter(arrays)
    for limit in similar:
        seen: list[Looked] = []
        chosen = []
        for i in range(COMPARED):
            if len(chosen) == most:
                return chosen
            if i == len(looked):
                looked += [look(array) for array in islice(rest, 1)]
            if i == len(looked):
                break
            if not any(_alike(looked[i], other, limit) for other in seen):
                chosen.append(i)
                seen.append(looked[i])
    return chosen


def _alike(a: Looked, b: Looked, limit: float) -> bool:
    if a.shape == b.shape and a.values == b.values:
        return True
    is_small = min(*a.shape[:-1], *b.shape[:-1]) < SMALLEST
    if is_small or a.thumb.shape != b.thumb.shape:
        return False
    return float(a.thumb @ b.thumb) > limit
