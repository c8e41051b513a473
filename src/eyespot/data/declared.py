"""What masks mean whose files say so: outlines with the names of their classes, or a file per object."""

from collections.abc import Iterator
from dataclasses import dataclass

from eyespot.config import Config
from eyespot.console import count
from eyespot.data.annotations.draw import BACKGROUND, IGNORED, OBJECT, Contents
from eyespot.data.findings import ERROR, NOTE, WARNING, Problem
from eyespot.data.guesses import Guess
from eyespot.data.header import Unreadable
from eyespot.data.mask_source import DrawnValues, reader_of
from eyespot.data.masks import VOID, Mapping, MaskValues
from eyespot.data.sources.samples import Source
from eyespot.errors import UserError

LARGEST_ID = 65_535
"""Ids of classes up to this are the values of masks; where there are larger ones, the classes are numbered 1, 2, ..."""
MOST = 254
"""Classes beside the background: labels are bytes, and one of them means that a pixel does not count."""


@dataclass(frozen=True)
class Declared:
    """The classes of masks that are drawn, and why they are so."""

    mapping: Mapping
    reason: str
    guesses: tuple[Guess, ...]


def declared_masks(source: Source, options: Config) -> Declared | None:
    """What the files of a source's masks say of their classes; None where masks are image files.

    Raises UserError where only some are image files, or the settings do not fit.
    """
    contents = _contents(source)
    if not contents:
        return None
    if options.multilabel or source.by_class:
        raise UserError(
            f"{source.name} has {contents[0].tool} per image, and multi-label masks are image files: leave --multilabel out"
        )
    ids: dict[str, int] = {}
    for content in contents:
        for name, number in content.ids.items():
            if ids.setdefault(name, number) != number:  # files of two splits may number them differently
                ids[name] = 0
    names = [name for name in ids if name != BACKGROUND]
    if not names:
        raise UserError(
            f"{contents[0].tool} of {source.name} has no object in any image: are these the annotations?"
        )
    objects = len(names) == 1 if options.objects is None else options.objects
    ignored = any(content.ignored for content in contents)
    mapping = _mapping(names, ids, objects, ignored)
    return Declared(mapping, _reason(mapping, contents[0]), _guesses(mapping, names, contents[0], options))


def _contents(source: Source) -> list[Contents]:
    """Of each sample, as far as its annotations can be read"""
    contents = []
    image_files = 0
    for sample in source.samples:
        for mask in sample.mask_files:
            reader = reader_of(sample, mask)
            if reader is None:
                image_files += 1
                continue
            try:
                contents.append(reader.contents(sample, mask))
            except Unreadable:  # reported with the file when the mask is read
                continue
    if contents and image_files:
        raise UserError(
            f"{source.name} has {count(image_files, 'mask')} that {'is an image file' if image_files == 1 else 'are image files'} "
            f"and {len(contents)} from {contents[0].tool}: use one kind"
        )
    return contents


def _mapping(names: list[str], ids: dict[str, int], objects: bool, ignored: bool) -> Mapping:
    void = IGNORED if ignored else None
    if objects:
        return Mapping((0, 1), (BACKGROUND, names[0] if len(names) == 1 else OBJECT), void, objects=True)
    if len(names) > MOST:
        raise UserError(
            f"the annotations have {len(names)} classes, and masks can have up to {MOST}: use --objects, or merge some"
        )
    numbers = [ids[name] for name in names]
    usable = len(set(numbers)) == len(numbers) and all(0 < n <= LARGEST_ID and n != VOID for n in numbers)
    values = (
        dict(zip(names, numbers, strict=True))
        if usable
        else {name: k for k, name in enumerate(sorted(names), 1)}
    )
    ordered = sorted(names, key=values.__getitem__)
    return Mapping((0, *(values[name] for name in ordered)), (BACKGROUND, *ordered), void)


def _reason(mapping: Mapping, content: Contents) -> str:
    how = "objects with a number each" if mapping.objects else count(len(mapping.classes), "class", "classes")
    return f"{content.tool}: {how}"


def _guesses(mapping: Mapping, names: list[str], content: Contents, options: Config) -> tuple[Guess, ...]:
    if options.objects is not None:
        return ()
    if mapping.objects:
        what = "a file per object" if names == [OBJECT] else f"outlines of one class, {names[0]}"
        return (
            Guess(
                "masks",
                "numbered objects",
                f"there is {what}" if names == [OBJECT] else f"there are {what}",
                "--classes",
            ),
        )
    pairs = [f"{value} {name}" for value, name in zip(mapping.values, mapping.classes, strict=True)]
    listed = ", ".join(pairs[:12]) + ", ..." * (len(pairs) > 12)
    return (Guess("masks", f"classes ({listed})", f"the outlines have {len(names)} classes", "--objects"),)


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
    empty = tuple(name for name, values in drawn.items() if not values.objects)
    if empty:
        text = f"{count(len(empty), 'image')} without any object: taken as images with nothing on them"
        yield Problem(NOTE, text, empty)
