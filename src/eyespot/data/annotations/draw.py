"""Objects of an image, each with an area of its own, drawn into one mask."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.read import load_bytes, read_header
from eyespot.data.header import Unreadable
from eyespot.data.masks.mapping import Mapping
from eyespot.data.sources.samples import Sample

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
    ignored whether its pixels are not counted
    beyond  whether its outline leaves the image
    """

    name: str
    inside: NDArray[np.bool_]
    start: tuple[int, ...]
    order: float = 0
    ignored: bool = False
    beyond: bool = False


@dataclass(frozen=True)
class Contents:
    """What the file of a mask that is drawn says about it.

    tool        what it is called, such as "a COCO annotation file"
    names       of the classes that occur
    ids         the number of each class of the file by its name, where it has one
    crowds      groups of objects that were not told apart
    boxes       objects of which only a bounding box is known
    rectangles  outlines that are rectangles along the axes
    outlines    objects with an outline, rectangles too
    flat        marks without an area
    notes       what was left out of the file
    """

    tool: str
    names: frozenset[str]
    ids: dict[str, int] = field(default_factory=dict)
    crowds: int = 0
    boxes: int = 0
    rectangles: int = 0
    outlines: int = 0
    flat: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """A mask that was drawn.

    values   (*S) 0 outside all objects
    objects  how many were drawn
    hidden   of them have no pixel: they are too small, outside the image or below others
    covered  pixels that belong to some object
    shared   of them are claimed by several
    beyond   objects whose outline leaves the image
    """

    values: NDArray[np.int64]
    objects: int = 0
    hidden: int = 0
    covered: int = 0
    shared: int = 0
    beyond: int = 0


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
        claims[box] += area.inside & (not area.ignored)
    values = _value_of_each(numbered, mapping)[numbers]
    counted = [number for number, area in numbered if not area.ignored]
    pixels = np.bincount(numbers.ravel(), minlength=len(numbered) + 1)[counted]
    covered, shared = (int(np.count_nonzero(claims > n)) for n in (0, 1))
    hidden = int(np.count_nonzero(pixels == 0))
    beyond = sum(area.beyond for _, area in numbered)
    return Drawn(values, len(counted), hidden, covered, shared, beyond)


def _value_of_each(numbered: list[tuple[int, Area]], mapping: Mapping) -> NDArray[np.int64]:
    """(objects + 1,) the value that each object is drawn with, and that of the background before them"""
    value_of = values_by_name(mapping)
    values = [value_of(area.name) for _, area in numbered]
    if mapping.objects:
        values = [number for number, _ in numbered]
    values = [IGNORED if area.ignored else value for value, (_, area) in zip(values, numbered, strict=True)]
    background = dict(zip(mapping.classes, mapping.values, strict=True)).get(BACKGROUND, 0)
    return np.array([background, *values], np.int64)


def image_shape(sample: Sample, dim: int) -> tuple[int, ...]:
    """(*S) of a sample's image. Raises Unreadable."""
    header = read_header(load_bytes(sample.path)).taken_as(dim)
    if header is None:
        raise Unreadable(f"its image does not have {dim} axes")
    return header.shape


def values_by_name(mapping: Mapping) -> Callable[[str], int]:
    """The value of each class in a mapping, by its name; of one class on a background, objects without a class are too."""
    known = dict(zip(mapping.classes, mapping.values, strict=True))

    def value(name: str) -> int:
        if name in known:
            return known[name]
        if mapping.has_objects and OBJECT in (name, mapping.classes[1]):
            return mapping.values[1]
        raise Unreadable(
            f"its annotations have the class {name!r}, which is not one of {', '.join(mapping.classes)}"
        )

    return value
