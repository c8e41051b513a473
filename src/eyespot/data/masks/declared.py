"""What masks mean whose files say so: outlines with the names of their classes, or a file per object."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eyespot.config import Config
from eyespot.data.annotations.draw import BACKGROUND, IGNORED, OBJECT, Contents
from eyespot.data.guesses import Guess
from eyespot.data.header import Unreadable
from eyespot.data.masks.mapping import VOID, Mapping
from eyespot.data.masks.source import DrawnValues, reader_of
from eyespot.data.masks.statistics import MaskValues
from eyespot.data.sources.samples import Source
from eyespot.data.surveys.survey import ERROR, NOTE, WARNING, Problem
from eyespot.errors import UserError
from eyespot.plurals import count

LARGEST_ID = 65_535
"""Ids of classes up to this are the values of masks; where there are larger ones, the classes are numbered 1, 2, ..."""
MOST = 254
"""Classes beside the background: labels are bytes, and one of them means that a pixel does not count."""


@dataclass(frozen=True)
class Declared:
    """The classes of masks that are drawn, why they are so, and what is odd about their files."""

    mapping: Mapping
    reason: str
    guesses: tuple[Guess, ...]
    problems: tuple[Problem, ...]


OfMask = tuple[Path, Contents]


def declared_masks(source: Source, options: Config) -> Declared | None:
    """What the files of a source's masks say of their classes; None where masks are image files.

    Raises UserError where only some are image files, or the settings do not fit.
    """
    contents = _contents(source)
    if not contents:
        return None
    tool = contents[0][1].tool
    if options.multilabel or source.by_class:
        raise UserError(
            f"--multilabel is for masks that are image files, and {source.name} has {tool}: leave it out"
        )
    if options.void not in (None, "none"):
        raise UserError(
            f"--void is for masks that are image files, and {source.name} has {tool}: leave it out"
        )
    names = sorted({name for _, content in contents for name in content.names} - {BACKGROUND})
    if not names:
        raise UserError(
            f"no image of {source.name} has an object, by {contents[0][0]}: are these the annotations?"
        )
    objects = len(names) == 1 if options.objects is None else options.objects
    ignored = any(content.boxes or (objects and content.crowds) for _, content in contents)
    mapping = _mapping(names, _ids(contents), objects, ignored)
    reason = (
        f"{tool}: {'objects with a number each' if objects else count(len(names) + 1, 'class', 'classes')}"
    )
    guesses = () if options.objects is not None else (_guess(mapping, names, tool),)
    return Declared(mapping, reason, guesses, tuple(_problems(contents, objects)))


def _contents(source: Source) -> list[OfMask]:
    """Of each sample's mask, as far as its file lists the sample"""
    contents = []
    image_files = []
    for sample in source.samples:
        for mask in sample.mask_files:
            reader = reader_of(sample, mask)
            if reader is None:
                image_files.append(mask)
                continue
            try:
                contents.append((mask, reader.contents(sample, mask)))
            except Unreadable:  # reported with the file when the mask is read
                continue
    if contents and image_files:
        raise UserError(
            f"{source.name} has masks that are image files ({image_files[0]}) and {contents[0][1].tool} ({contents[0][0]}): "
            "use one kind"
        )
    return contents


def _ids(contents: list[OfMask]) -> dict[str, int]:
    """The number of each class; 0 where two files number it differently"""
    ids: dict[str, int] = {}
    for file in {id(content.ids): content.ids for _, content in contents}.values():
        for name, number in file.items():
            ids[name] = number if ids.setdefault(name, number) == number else 0
    return ids


def _mapping(names: list[str], ids: dict[str, int], objects: bool, ignored: bool) -> Mapping:
    void = IGNORED if ignored else None
    if objects:
        return Mapping((0, 1), (BACKGROUND, names[0] if len(names) == 1 else OBJECT), void, objects=True)
    if len(names) > MOST:
        raise UserError(
            f"the annotations have {len(names)} classes, and masks can have up to {MOST}: use --objects, or merge some"
        )
    numbers = [ids.get(name, 0) for name in names]
    usable = len(set(numbers)) == len(numbers) and all(0 < n <= LARGEST_ID and n != VOID for n in numbers)
    values = dict(zip(names, numbers if usable else range(1, len(names) + 1), strict=True))
    ordered = sorted(names, key=values.__getitem__)
    return Mapping((0, *(values[name] for name in ordered)), (BACKGROUND, *ordered), void)


def _guess(mapping: Mapping, names: list[str], tool: str) -> Guess:
    if mapping.objects:
        reason = f"there is {tool}" if names == [OBJECT] else f"{tool} outlines one class, {names[0]}"
        return Guess("masks", "numbered objects", reason, "--classes")
    pairs = [f"{value} {name}" for value, name in zip(mapping.values, mapping.classes, strict=True)]
    listed = ", ".join(pairs[:12]) + ", ..." * (len(pairs) > 12)
    return Guess("masks", f"classes ({listed})", f"{tool} outlines {count(len(names), 'class')}", "--objects")


def _problems(contents: list[OfMask], objects: bool) -> Iterator[Problem]:
    """What the files leave open."""
    for note in dict.fromkeys(f"{mask}: {note}" for mask, content in contents for note in content.notes):
        yield Problem(WARNING, note)
    outlines = sum(content.outlines for _, content in contents)
    rectangles = sum(content.rectangles for _, content in contents)
    if outlines and rectangles == outlines:
        text = f"every outline is a rectangle along the axes ({count(outlines, 'object')}): if these are bounding boxes, the masks are wrong"
        yield Problem(WARNING, text)
    if boxes := sum(content.boxes for _, content in contents):
        has = "has" if boxes == 1 else "have"
        yield Problem(
            WARNING,
            f"{count(boxes, 'object')} {has} a bounding box and no outline: pixels in such boxes are not counted",
        )
    if objects and (crowds := sum(content.crowds for _, content in contents)):
        are = "is" if crowds == 1 else "are"
        yield Problem(WARNING, f"{count(crowds, 'group')} of objects (iscrowd) {are} not counted")
    if flat := sum(content.flat for _, content in contents):
        has = "has" if flat == 1 else "have"
        yield Problem(
            WARNING,
            f"{count(flat, 'mark')} without an area (points, lines) {has} no pixels and {has} been skipped",
        )


def drawn_problems(masks: dict[str, MaskValues]) -> Iterator[Problem]:
    """Objects that overlap, and objects without a pixel."""
    drawn = {name: values for name, values in masks.items() if isinstance(values, DrawnValues)}
    sharing = tuple(name for name, values in drawn.items() if values.shared)
    if sharing:
        share = sum(v.shared for v in drawn.values()) / sum(v.covered for v in drawn.values())
        text = f"objects overlap in {count(len(sharing), 'mask')} ({share:.2%} of the objects' pixels)"
        if share > 0.5:
            yield Problem(
                ERROR, f"{text}: are these several masks of one object, or 255 outside of it?", sharing
            )
        else:
            yield Problem(WARNING, f"{text}: where several lie, the smallest is kept", sharing)
    hidden = {name: values.hidden for name, values in drawn.items() if values.hidden}
    if hidden:
        n = sum(hidden.values())
        has = "has" if n == 1 else "have"
        text = f"{count(n, 'object')} {has} no pixel: outside the image, below others, or empty"
        yield Problem(WARNING, text, tuple(f"{name}: {k}" for name, k in hidden.items()))
    beyond = {name: values.beyond for name, values in drawn.items() if values.beyond}
    if beyond:
        n = sum(beyond.values())
        leave = "leaves its image" if n == 1 else "leave their images"
        text = f"{count(n, 'outline')} {leave}: were they drawn on images of another size?"
        yield Problem(WARNING, text, tuple(beyond))
    empty = tuple(name for name, values in drawn.items() if not values.objects)
    if empty:
        text = f"{count(len(empty), 'image')} without any object: taken as images with nothing on them"
        yield Problem(NOTE, text, empty)
