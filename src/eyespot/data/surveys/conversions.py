"""Findings about files that are changed when they are read, or of which something is left out."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from eyespot.data.formats.read import decode_any, load_bytes, read_header
from eyespot.data.formats.tables.table import CONSTANT, CONSTANT_CHANNEL, UNEVEN, UNEVEN_TIMES
from eyespot.data.header import Header, ReadOptions, Unreadable
from eyespot.data.surveys.checks import matching
from eyespot.data.surveys.survey import NOTE, WARNING, Problem, Survey
from eyespot.plurals import count

LOOKED_AT = 256
"""Most files whose alpha channel is looked at."""


def left_out(survey: Survey) -> Iterator[Problem]:
    """Frames, time points and series that are not read: how many there are, and in which files."""
    headers = survey.headers
    times = [_noted(h, "time") for h in headers]
    word = survey.word
    if any(times):
        files = tuple(survey.path(row) for row, n in enumerate(times) if n)
        text = (
            f"{count(len(files), word)} with a time axis ({_range(times)} time points in a file): only the first is read, "
            "since time is not depth; save each as a file, or name the axes otherwise with --axes"
        )
        yield Problem(WARNING, text, files)
    frames = [h.frames if h.frames > 1 and not n else 0 for h, n in zip(headers, times, strict=True)]
    if any(frames):
        files = tuple(survey.path(row) for row, n in enumerate(frames) if n)
        text = (
            f"{count(len(files), word)} with several pages or frames ({_range(frames)} in a file): only the first is read; "
            "save the others as separate files"
        )
        yield Problem(WARNING, text, files)
    series = [_noted(h, "series") for h in headers]
    if any(series):
        files = tuple(survey.path(row) for row, n in enumerate(series) if n)
        text = f"{count(len(files), word)} with {_range(series)} series of pages in a file: only the first series is read"
        yield Problem(WARNING, text, files)


def mask_pages_left_out(survey: Survey) -> list[Problem]:
    """TIFF masks of several pages beside images of one page, of which only the first page is read."""
    options = survey.preprocessing.read_options
    single = [row for row, header in enumerate(survey.headers) if header.frames < 2]
    samples = [survey.source.samples[int(survey.images.rows[row])] for row in single]
    masks = [
        mask for sample in samples for mask in sample.mask_files if mask.suffix.lower() in (".tif", ".tiff")
    ]
    frames = [_frames(mask, survey.preprocessing.dim, options) for mask in masks]
    files = tuple(str(mask) for mask, n in zip(masks, frames, strict=True) if n > 1)
    if not files:
        return []
    text = (
        f"{count(len(files), 'mask')} with {_range([n for n in frames if n > 1])} pages, and {survey.word}s with one: only the "
        "first page is read; save the mask of each image as a file, or name the axes with --axes"
    )
    return [Problem(WARNING, text, files)]


def _frames(path: Path, dim: int, options: ReadOptions) -> int:
    """Pages of a file of which only the first is read; 1 for what cannot be read, which is reported elsewhere."""
    try:
        header = read_header(load_bytes(path), options).taken_as(dim)
    except Unreadable:
        return 1
    return 1 if header is None else header.frames


def _noted(header: Header, what: str) -> int:
    """The number in a note such as "time 3"; 0 where there is none."""
    return next((int(note.split()[1]) for note in header.notes if note.startswith(f"{what} ")), 0)


def _range(numbers: list[int]) -> str:
    """The numbers above 0: "3", or "2 to 9"."""
    low = min(n for n in numbers if n)
    high = max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def _transparent(survey: Survey) -> list[Problem]:
    """Files with an alpha channel: what it is laid on, or that it says nothing."""
    rows = [row for row, header in enumerate(survey.headers) if "alpha" in header.notes]
    chosen = [rows[int(k)] for k in np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT))]
    background = survey.preprocessing.background
    text = f"with transparency: laid on {background} (--background)"
    if all(_is_opaque(survey, row) for row in chosen):
        looked = "everywhere" if chosen == rows else f"in the {len(chosen)} looked at"
        otherwise = "" if chosen == rows else f"; any other is laid on {background} (--background)"
        text = f"with an alpha channel that is opaque {looked}: it has no effect{otherwise}"
    return matching(survey, NOTE, ["alpha" in header.notes for header in survey.headers], text)


def _is_opaque(survey: Survey, row: int) -> bool:
    """Whether an image is the same on white and on black."""
    dim = survey.preprocessing.dim
    options = survey.preprocessing.read_options
    content = load_bytes(Path(survey.path(row)))
    grounds = [decode_any(content, dim, options=replace(options, background=b)) for b in ("white", "black")]
    return bool(np.array_equal(grounds[0].array, grounds[1].array))


def converted(survey: Survey) -> Iterator[Problem]:
    """Files that are changed when they are read, by what is changed."""
    headers = survey.headers
    preprocessing = survey.preprocessing
    yield from left_out(survey)
    if preprocessing.dim == 1 and 1 in preprocessing.accepts:
        text = "with several channels among mono ones: mixed down to one channel"
        yield from matching(survey, WARNING, [h.channels > 1 for h in headers], text)
    yield from matching(survey, WARNING, [UNEVEN in h.notes for h in headers], UNEVEN_TIMES)
    yield from matching(survey, WARNING, [CONSTANT in h.notes for h in headers], CONSTANT_CHANNEL)
    rotated = "rotated upright according to their orientation (EXIF or TIFF)"
    yield from matching(survey, NOTE, [h.rotated for h in headers], rotated)
    yield from _transparent(survey)
    for note, text in (
        (
            "palette",
            "with a palette: read as colours"
            if preprocessing.dim == 2
            else "with a palette: its values are read",
        ),
        ("CMYK", "in CMYK (print colours): converted to RGB without a colour profile"),
    ):
        yield from matching(survey, NOTE, [note in h.notes for h in headers], text)
    if len({h.channels for h in headers}) > 1 and preprocessing.channels == 3:
        text = "in grey among colour ones: their channel is repeated"
        yield from matching(survey, NOTE, [h.channels == 1 for h in headers], text)
    if len({h.depth for h in headers}) > 1:
        scaled = preprocessing.scaling == "full"
        text = f"stored as another type than others: {'scaled to' if scaled else 'the same numbers as'} {preprocessing.depth}"
        yield from matching(survey, NOTE, [h.depth != preprocessing.depth for h in headers], text)
