"""YOLO's text files: one per image, a line per object with its class and the corners of its outline, or a box."""

import re
from pathlib import Path

from eyespot.data.annotations.outlines import (
    AnnotatedImage,
    AnnotationFile,
    Malformed,
    Outline,
    is_rectangle,
    rectangle,
)

TOOL = "a YOLO label file"
NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "classes.txt", "obj.names")
UNNAMED = "class {}"
LEVELS = 4
"""Folders above a label file in which the names of classes are looked for."""
MARGIN = 0.02
"""Shares of the width and height by which an outline may leave the image."""


def read_yolo(path: Path, text: str) -> AnnotationFile | None:
    """The outlines of a label file; None for other text. Raises Malformed.

    Coordinates are shares of the image's width and height.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if lines and not _is_yolo(lines[0]):
        return None
    names = class_names_of(path)
    outlines = []
    for number, words in enumerate(lines, 1):
        if not _is_yolo(words):
            raise Malformed(
                f"has in line {number} {' '.join(words)[:40]!r}, which is not a class and the shares x1 y1 x2 y2 ... of an outline"
            )
        outlines.append(_outline(int(words[0]), [float(word) for word in words[1:]], names))
    ids = {name: number + 1 for number, name in names.items()}
    ids |= {
        UNNAMED.format(number): number + 1
        for number in map(int, {words[0] for words in lines})
        if number not in names
    }
    return AnnotationFile(TOOL, [AnnotatedImage("", None, outlines, scaled=True)], ids, one_image=True)


def _is_yolo(words: list[str]) -> bool:
    """A class, and 4 numbers of a box, or 3 and more corners"""
    if not words[0].isdecimal() or not (len(words) == 5 or (len(words) >= 7 and len(words) % 2)):
        return False
    try:
        return all(-MARGIN <= float(word) <= 1 + MARGIN for word in words[1:])
    except ValueError:
        return False


def _outline(number: int, values: list[float], names: dict[int, str]) -> Outline:
    name = names.get(number, UNNAMED.format(number))
    if len(values) == 4:
        x, y, width, height = values
        corners = rectangle(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return Outline(name, [corners], box=True)
    return Outline(name, [values], rectangle=is_rectangle([values]))


def class_names_of(path: Path) -> dict[int, str]:
    """The names of classes from the file nearest above a label file; empty where there is none."""
    for folder in list(path.parents)[:LEVELS]:
        for name in NAMES:
            file = folder / name
            if file != path and file.is_file():
                return names_in(file)
    return {}


def names_in(path: Path) -> dict[int, str]:
    """The names of classes by their numbers, from YOLO's data.yaml or from a line each."""
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    if path.suffix not in (".yaml", ".yml"):
        return dict(enumerate(line.strip() for line in lines if line.strip()))
    start = next((i for i, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        return {}
    inline = lines[start].partition(":")[2].partition(" #")[0]
    below = [line.partition(" #")[0] for line in lines[start + 1 :]]
    indented = []
    for line in below:
        if line.strip() and not re.match(r"\s|-", line):
            break
        indented.append(line)
    entries = re.split(r"[,\n]", re.sub(r"[\[\]{}]", "", "\n".join([inline, *indented])))
    words = [entry.strip().removeprefix("- ").strip() for entry in entries]
    pairs = [re.match(r"(\d+)\s*:\s*(.+)", word) for word in words if word]
    if pairs and all(pairs):
        return {int(pair[1]): _unquoted(pair[2]) for pair in pairs if pair}
    return dict(enumerate(_unquoted(word) for word in words if word))


def _unquoted(text: str) -> str:
    return text.strip().strip("'\"").strip()
