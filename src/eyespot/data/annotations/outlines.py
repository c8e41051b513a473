"""What annotation files have in common: images, the outlines of objects on each, and the names of their classes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from eyespot.plurals import count

Polygon = Sequence[float]
"""x0, y0, x1, y1, ... in pixels from the image's top left corner; the middle of the first pixel is at 0.5, 0.5."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Pixels as lengths of runs, outside and inside in turn, beginning outside.

    lengths    of the runs
    shape      (H, W) that the runs fill
    start      (top, left) of it in the image
    by_column  whether runs go down the columns, else along the rows
    """

    lengths: Sequence[int]
    shape: tuple[int, int]
    start: tuple[int, int] = (0, 0)
    by_column: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """One object: the name of its class, and its pixels as polygons or as runs.

    box        whether only a bounding box is known, which the polygon is
    rectangle  whether the polygon is a rectangle along the axes
    crowd      whether it is a group of objects that were not told apart
    order      outlines of a higher one lie above the others
    """

    name: str
    polygons: Sequence[Polygon] = ()
    runs: Runs | None = None
    box: bool = False
    rectangle: bool = False
    crowd: bool = False
    order: float = 0


@dataclass(frozen=True)
class AnnotatedImage:
    """An image as an annotation file lists it: its name there, its size (H, W) if known, and what is on it.

    scaled   whether coordinates are shares of the image's width and height
    flat     marks without an area, such as points and lines
    """

    file: str
    shape: tuple[int, int] | None
    outlines: Sequence[Outline] = ()
    scaled: bool = False
    flat: int = 0


@dataclass(frozen=True)
class AnnotationFile:
    """What an annotation file holds.

    tool    what it is called, such as "a COCO annotation file"
    images  in the order of the file
    ids     the number of each class by its name, where the file has one
    notes   what was left out of it, as sentences
    holds   what it holds in place of outlines, such as "captions"; "" if nothing else
    one_image  whether each image has a file of its own, which has its name but for the ending
    unread  whether it is of a tool whose files are not read
    """

    tool: str
    images: list[AnnotatedImage]
    ids: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    holds: str = ""
    one_image: bool = False
    unread: bool = False

    @cached_property
    def by_name(self) -> dict[str, list[AnnotatedImage]]:
        """The images by their names without folders, in small letters: some systems ignore the case."""
        named: dict[str, list[AnnotatedImage]] = {}
        for image in self.images:
            named.setdefault(folders_and_name(image.file)[-1].lower(), []).append(image)
        return named

    @property
    def outlined(self) -> bool:
        """Whether any object has an outline, and not a box only."""
        return any(not outline.box for image in self.images for outline in image.outlines)

    @property
    def boxed(self) -> bool:
        """Whether any object has a box only."""
        return any(outline.box for image in self.images for outline in image.outlines)


def folders_and_name(file: str) -> list[str]:
    """The names in a path that any system may have written."""
    return file.replace("\\", "/").split("/")


def common_end(path: Path, file: str) -> int:
    """How many names, from the end on, a path and one in an annotation file have in common."""
    pairs = zip(reversed(path.parts), reversed(folders_and_name(file)), strict=False)
    return next((n for n, (ours, theirs) in enumerate(pairs) if ours != theirs), len(folders_and_name(file)))


class Malformed(ValueError):
    """An annotation file that is of a known tool, and wrong; the message is the reason, without the file's name."""


def rectangle(left: float, top: float, right: float, bottom: float) -> list[float]:
    """The polygon of a rectangle along the axes."""
    return [left, top, right, top, right, bottom, left, bottom]


def is_rectangle(polygons: Sequence[Polygon]) -> bool:
    """Whether there is one polygon, and it is a rectangle along the axes."""
    if len(polygons) != 1 or len(polygons[0]) not in (8, 10):
        return False
    xs = polygons[0][0::2]
    ys = polygons[0][1::2]
    corners = {(round(x, 3), round(y, 3)) for x, y in zip(xs, ys, strict=True)}
    return len(corners) == 4 and len({x for x, _ in corners}) == 2 and len({y for _, y in corners}) == 2


def is_number(value: object) -> bool:
    """Whether a value of a file is a number that a coordinate may have."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e9 < value < 1e9


def polygon(values: object) -> list[float]:
    """A polygon of a file, checked. Raises Malformed for what is not pairs of finite numbers."""
    if not isinstance(values, list) or not all(is_number(v) for v in values):
        raise Malformed("has an outline that is not a list of numbers")
    numbers: list[float] = values
    if len(numbers) % 2:
        raise Malformed(
            f"has an outline of {count(len(numbers), 'number')}, and x and y of each corner are needed"
        )
    return numbers
