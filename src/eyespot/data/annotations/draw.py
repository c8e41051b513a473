"""Objects of an image, each with an area of its own, drawn into one mask."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Unreadable
from eyespot.data.masks import Mapping

OBJECT = "object"
"""The class of objects whose file does not say what they are."""
BACKGROUND = "background"
IGNORED = -1
"""The value of pixels that are not counted; no file of a mask that is drawn has it."""


@dataclass(frozen=True)
class Area:
    """One object of an image: the pixels of its bounding box, and where in the image that box begins.

    name    its class
    inside  (*S) of the bounding box, boolean
    start   of the box, in pixels along each axis
    order   objects of a higher one lie above the others
    """

    name: str
    inside: NDArray[np.bool_]
    start: tuple[int, ...]
    order: float = 0
    ignored: bool = False


@dataclass(frozen=True)
class Contents:
    """What the file of a mask that is drawn says about it.

    tool     what wrote it, such as "a COCO annotation file"
    ids      of each class that occurs, by its name; 0 where the file gives it none
    ignored  whether some pixels are not to be counted
    """

    tool: str
    ids: dict[str, int]
    ignored: bool = False


@dataclass(frozen=True)
class Drawn:
    """A mask that was drawn.

    values   (*S) 0 outside all objects
    objects  how many were drawn
    hidden   of them have no pixel: they are too small, outside the image or below others
    covered  pixels that belong to some object
    shared   of them are claimed by several
    """

    values: NDArray[np.int64]
    objects: int = 0
    hidden: int = 0
    covered: int = 0
    shared: int = 0


def draw(areas: Iterable[Area], shape: tuple[int, ...], mapping: Mapping) -> Drawn:
    """Draw objects of an image (*S): numbered 1, 2, ... in the order given, or with the value of their class.

    Of overlapping objects the smaller one lies on top, unless the file orders them. Raises Unreadable for a class that the
    mapping does not have.
    """
    values = np.zeros(shape, np.int64)
    claims = np.zeros(shape, np.uint16)
    numbers = np.zeros(shape, np.int64)
    claims = np.zeros(shape, np.uint16)
    numbered = list(enumerate(areas, 1))
    for number, area in sorted(numbered, key=lambda item: (item[1].order, -np.count_nonzero(item[1].inside))):
        box = tuple(slice(a, a + n) for a, n in zip(area.start, area.inside.shape, strict=True))
        numbers[box][area.inside] = number
        claims[box] += area.inside
    seen = int(np.count_nonzero(np.bincount(numbers.ravel(), minlength=len(numbered) + 1)[1:]))
    values = _value_of_each(numbered, mapping)[numbers]
    covered = int(np.count_nonzero(claims))
    return Drawn(values, len(numbered), len(numbered) - seen, covered, int(np.count_nonzero(claims > 1)))


def _value_of_each(numbered: list[tuple[int, Area]], mapping: Mapping) -> NDArray[np.int64]:
    """(objects + 1,) the value that each object is drawn with, and that of the background before them"""
    value_of = values_by_name(mapping)
    values = [value_of(area.name) for _, area in numbered]
    if mapping.objects:
        values = [number for number, _ in numbered]
    values = [IGNORED if area.ignored else value for value, (_, area) in zip(values, numbered, strict=True)]
    background = dict(zip(mapping.classes, mapping.values, strict=True)).get(BACKGROUND, 0)
    return np.array([background, *values], np.int64)


def values_by_name(mapping: Mapping) -> Callable[[str], int]:
    """The value of each class in a mapping, by its name; of one class on a background, objects without a class are too."""
    known = dict(zip(mapping.classes, mapping.values, strict=True))

    def value(name: str) -> int:
        if name in known:
            return known[name]
        if mapping.things and OBJECT in (name, mapping.classes[1]):
            return mapping.values[1]
        raise Unreadable(
            f"its annotations have the class {name!r}, which is not one of {', '.join(mapping.classes)}"
        )

    return value
