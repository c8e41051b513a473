"""Doubts about text files that divide a data set: lists such as testing_list.txt, which are not read."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from eyespot.data.sources.words import split_of
from eyespot.data.surveys.survey import WARNING, Problem, Survey
from eyespot.plurals import count

ENDINGS = frozenset((".txt", ".lst", ".list", ".csv", ".tsv"))
FOLDERS = frozenset("meta metadata split splits list lists imagesets annotations".split())
"""Folders, beside or above the samples, in which such lists lie."""
LINES = 50
"""Lines that are read of a list."""
LARGEST = 50_000_000
"""Bytes; a larger file is not opened."""


def split_lists(survey: Survey) -> Iterator[Problem]:
    """Lists that name a split and samples of a data set whose split is drawn at random."""
    if any(survey.source.splits):
        return
    paths = {sample.path for sample in survey.source.samples}
    table = survey.source.table
    root = Path(os.path.commonpath([path.parent for path in paths]))
    lists = {path: True for path in _lists_near(root) if not (table and path.samefile(table))}
    if not lists:
        return
    names = {path.stem for path in paths}
    used = tuple(str(path) for path in lists if path not in paths and _names_samples(path, names))
    if used:
        kind = "mask" if survey.source.has_masks else "label"
        text = (
            f"{count(len(used), 'list')} such as {Path(used[0]).name} may divide these {survey.word}s, and "
            f"{'is' if len(used) == 1 else 'are'} not read: give a CSV with the columns path, {kind} and split to keep that split"
        )
        yield Problem(WARNING, text, used)


def _lists_near(root: Path) -> Iterator[Path]:
    """Files named like a split, in the folder of all samples, in the one above, and in folders of lists there."""
    for folder in (root, root.parent):
        for entry in _entries(folder):
            if entry.name.lower() in FOLDERS and entry.is_dir():
                inner = [*_entries(entry)]
                deeper = [file for child in inner if child.is_dir() for file in _entries(child)]
                yield from filter(_is_list, (*inner, *deeper))
            elif _is_list(entry):
                yield entry


def _entries(folder: Path) -> Iterable[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # nothing is known of a folder that cannot be read
        return ()


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and bool(split_of(path.stem)) and path.is_file()


def _names_samples(path: Path, names: set[str]) -> bool:
    """Whether most of the first lines of a file name a sample, by a path or a name with or without ending."""
    if path.stat().st_size > LARGEST:
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = [line for _, line in zip(range(LINES), file, strict=False) if line.strip()]
    named = sum(_sample_name(line) in names for line in lines)
    is_list = len(lines) > 1 or any("/" in line for line in lines)  # a single name may be a word of a note
    return is_list and 2 * named >= len(lines)


def _sample_name(line: str) -> str:
    first = line.replace("\\", "/").replace(",", " ").replace(";", " ").split()[0:1]
    return PurePosixPath(first[0].strip("\"'")).stem if first else ""
