"""Contact sheets of `eyespot look`: pictures in their proportions, with the names of their files below, by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from eyespot.data.header import Array
from eyespot.data.surveys.survey import Survey
from eyespot.overlays import with_mask
from eyespot.pictures import class_colour, to_display, wide_curves, wrapped
from eyespot.plurals import count
from eyespot.short_names import short_names

GAP = 8
LINE = 22
"""Pixels from one line of a title to the next."""
SMALL_LINE = 16
"""Pixels from one line of a name to the next."""
WIDTH = 1000
TILE = 90
"""Pixels of the longer side of an image of a class."""
MASK_TILE = 152
"""Pixels of the longer side of an image with its mask beside it."""
INK = "#1e1e1e"
GREY = "#5a5a5a"
PAIRS = 12
"""Images with masks that are shown."""
NAMED = 24
"""Classes of masks in the legend."""
VOID_TEXT = "hatched: void, not counted"


@dataclass(frozen=True)
class Cell:
    """A sample: its pictures side by side, with its name below."""

    pictures: Sequence[Image.Image]
    name: str

    @property
    def height(self) -> int:
        return max(picture.height for picture in self.pictures)


@dataclass(frozen=True)
class Section:
    """Samples below a title, in cells of this width. `legend` has the names of classes and their colours."""

    title: str
    cells: Sequence[Cell]
    width: int
    legend: Sequence[tuple[str, str]] = ()

    def rows(self) -> list[Sequence[Cell]]:
        columns = max(1, (WIDTH - GAP) // (self.width + GAP))
        return [self.cells[start : start + columns] for start in range(0, len(self.cells), columns)]


def contact_sheet(survey: Survey, per_class: int = 10, most_classes: int = 40) -> Image.Image:
    """Images of each class, as the network sees them; or images beside their masks, with the colours of the classes."""
    if survey.task == "segmentation":
        return draw([_of_masks(survey)])
    rng = np.random.default_rng(0)
    sections = []
    for k, name in enumerate(survey.classes[:most_classes]):
        members = np.flatnonzero(survey.labels == k)
        chosen = np.sort(rng.permutation(members)[:per_class]).tolist()
        shown = f", {len(chosen)} shown" * (len(chosen) < len(members))
        names = short_names([survey.path(row) for row in chosen])
        cells = [Cell([_of_class(survey, row)], name) for row, name in zip(chosen, names, strict=True)]
        title = f"{name}: {count(len(members), survey.word)}{shown}{'' if sections else _drawn(survey)}"
        sections.append(Section(title, cells, TILE))
    rest = len(survey.classes) - most_classes
    if rest > 0:
        sections.append(Section(f"and {count(rest, 'other class')}", [], TILE))
    return draw(sections)


def _drawn(survey: Survey) -> str:
    """How samples are drawn where the picture does not show all of them: see `pictures.to_display`."""
    read = survey.preprocessing
    facts = []
    if read.dim == 3:
        facts.append("the middle slice of each")
    if read.dim > 1 and read.channels > 3:
        facts.append(f"channels 1 to 3 of {read.channels} as red, green and blue")
    if read.dim > 1 and read.channels == 2:
        facts.append("channel 1 of 2")
    if read.dim == 1 or read.depth != "uint8":
        facts.append(f"each {survey.word} between its own lowest and highest value")
    return f" ({'; '.join(facts)})" if facts else ""


def _of_class(survey: Survey, row: int) -> Image.Image:
    """An image as the network gets it, in the proportions of its file."""
    picture = to_display(survey.images.pixels[row])
    shape = survey.headers[row].shape
    if survey.preprocessing.fit == "stretch" and survey.preprocessing.dim == len(shape) == 2:
        return scaled(picture, TILE, shape[1] / shape[0])
    return scaled(picture, TILE)


def _of_masks(survey: Survey) -> Section:
    rows = np.sort(np.random.default_rng(0).permutation(len(survey.labels))[:PAIRS]).tolist()
    names = short_names([survey.path(row) for row in rows])
    cells = [Cell(_pair(survey, row), name) for row, name in zip(rows, names, strict=True)]
    shown = f", {len(rows)} shown" * (len(rows) < len(survey.labels))
    title = f"{count(len(survey.labels), survey.word)}, each beside its mask{shown}{_drawn(survey)}"
    return Section(title, cells, 2 * MASK_TILE + GAP // 2, legend_of(survey))


def _pair(survey: Survey, row: int) -> list[Image.Image]:
    """The picture of an image, and the same with its mask over it."""
    assert survey.mapping is not None
    image = survey.images.pixels[row]
    picture = _curves(image) if survey.preprocessing.dim == 1 else scaled(to_display(image), MASK_TILE)
    return [picture, with_mask(picture, survey.mask(row), survey.mapping.multilabel)]


def _curves(signal: Array) -> Image.Image:
    """The curves of a signal (L, C)."""
    return wide_curves(signal).resize((MASK_TILE, MASK_TILE // 2), Image.Resampling.LANCZOS)


def legend_of(survey: Survey) -> list[tuple[str, str]]:
    """The names of classes and their colours in masks; the first class has none, unless classes overlap."""
    names = list(survey.classes)
    overlapping = survey.mapping is not None and survey.mapping.multilabel
    colours = [class_colour(k, overlapping) for k in range(len(names[:NAMED]))]
    legend = [
        (name if colour else f"{name} (not coloured)", colour or "")
        for name, colour in zip(names, colours, strict=False)
    ]
    if len(names) > NAMED:
        legend.append((f"and {count(len(names) - NAMED, 'other class')}", ""))
    if survey.mapping is not None and survey.mapping.void is not None:
        legend.append((VOID_TEXT, ""))
    return legend


def scaled(picture: Image.Image, side: int, ratio: float | None = None) -> Image.Image:
    """Resize a picture to a longer side of so many pixels; the pixels of a small one stay visible.

    ratio   width / height, if it is not that of the picture
    """
    ratio = picture.width / picture.height if ratio is None else ratio
    size = (max(1, round(side * min(1.0, ratio))), max(1, round(side * min(1.0, 1 / ratio))))
    how = Image.Resampling.NEAREST if max(picture.size) < side else Image.Resampling.LANCZOS
    return picture.resize(size, how)


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font DejaVu Sans, which has Greek and Cyrillic letters, from the files of matplotlib, which is not imported."""
    spec = find_spec("matplotlib")
    path = Path(spec.origin or "").parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf" if spec else None
    return ImageFont.truetype(path, size) if path and path.exists() else ImageFont.load_default(size)


def shortened(text: str, width: float, size: int) -> str:
    """Shorten a text in the middle to this width: names of a series differ at their ends."""
    if font(size).getlength(text) <= width:
        return text
    for letters in range(len(text) - 1, 1, -1):
        shorter = f"{text[: letters // 2]}…{text[len(text) - (letters - letters // 2) :]}"
        if font(size).getlength(shorter) <= width:
            return shorter
    return text[:1]


def draw(sections: Sequence[Section]) -> Image.Image:
    """Draw the sections below each other on one page."""
    page = Image.new("RGB", (WIDTH, sum(map(_height, sections)) + GAP), "white")
    pen = ImageDraw.Draw(page)
    top = GAP
    for section in sections:
        _draw_section(page, pen, section, top)
        top += _height(section)
    return page


def _titles(section: Section) -> list[str]:
    return wrapped(section.title, WIDTH - 2 * GAP, font(15).getlength)


def _legend_rows(section: Section) -> list[list[tuple[int, str, str]]]:
    """The entries of the legend with the places where they begin, in lines."""
    lines: list[list[tuple[int, str, str]]] = [[]]
    left = GAP
    for name, colour in section.legend:
        text = shortened(name, WIDTH / 3, 13)
        width = round(font(13).getlength(text)) + 40
        if left + width > WIDTH and lines[-1]:
            lines.append([])
            left = GAP
        lines[-1].append((left, text, colour))
        left += width
    return lines if section.legend else []


def _height(section: Section) -> int:
    text = LINE * (len(_titles(section)) + len(_legend_rows(section)))
    return text + sum(_row_height(row) for row in section.rows()) + GAP


def _row_height(row: Sequence[Cell]) -> int:
    return max(cell.height for cell in row) + SMALL_LINE + GAP


def _draw_section(page: Image.Image, pen: ImageDraw.ImageDraw, section: Section, top: int) -> None:
    for line in _titles(section):
        pen.text((GAP, top), line, fill=INK, font=font(15))
        top += LINE
    for entries in _legend_rows(section):
        for left, text, colour in entries:
            if colour:
                pen.rectangle((left, top + 2, left + 14, top + 16), fill=ImageColor.getrgb(colour))
            pen.text((left + 20 * bool(colour), top), text, fill=INK, font=font(13))
        top += LINE
    for row in section.rows():
        for i, cell in enumerate(row):
            _draw_cell(page, pen, cell, (GAP + i * (section.width + GAP), top), section.width)
        top += _row_height(row)


def _draw_cell(
    page: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, corner: tuple[int, int], width: int
) -> None:
    left, top = corner
    for picture in cell.pictures:
        page.paste(picture, (left, top))
        left += picture.width + GAP // 2
    pen.text((corner[0], top + cell.height + 1), shortened(cell.name, width, 11), fill=GREY, font=font(11))
