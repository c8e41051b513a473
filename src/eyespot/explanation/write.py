"""Explanations as files: a page, and for each image a picture and the values."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyespot.errors import UserError
from eyespot.explanation.colours import pictures, scale_of
from eyespot.explanation.page import page
from eyespot.explanation.result import Explanation
from eyespot.files import make_folder, write_file
from eyespot.pictures import write_png

PAGE = "index.html"
SOFTWARE = "eyespot explain"


def free_folder(run: str) -> Path:
    """RUN-explained in the current folder; with a number where that exists."""
    name = Path(run).resolve().name.removesuffix(".safetensors") or "run"
    folder = Path(f"{name}-explained")
    k = 2
    while folder.exists():
        folder = Path(f"{name}-explained-{k}")
        k += 1
    return folder


def names_of(files: Sequence[Path], method: str) -> list[str]:
    """A name for each image, without an ending, of its stem and the method; equal stems are numbered."""
    stems = [re.sub(r"[^\w.-]+", "_", file.name.split(".")[0] or "image") for file in files]
    suffix = method.replace("++", "-plus-plus")
    return [
        f"{stem}_{suffix}" if stems.count(stem) == 1 else f"{k:03}_{stem}_{suffix}"
        for k, stem in enumerate(stems)
    ]


def refuse_taken(folder: Path, names: Sequence[str], force: bool, option: str = "--out") -> None:
    """Raises UserError where a file to write exists, before anything is computed; names the option that gives the folder."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder with {option}")
    wanted = [folder / PAGE, *(folder / f"{name}{end}" for name in names for end in (".png", ".npy"))]
    taken = next((path for path in wanted if path.exists()), None)
    if taken and not force:
        raise UserError(f"{taken} exists: name another folder with {option}, or overwrite it with --force")


def write_explanations(
    folder: Path, explanations: Sequence[Explanation], names: Sequence[str], title: str
) -> None:
    """Write the page last, so that a page that is there is complete."""
    make_folder(folder)
    limit = scale_of(e.map for e in explanations)
    for explanation, name in zip(explanations, names, strict=True):
        write_array(folder / f"{name}.npy", explanation.map)
        drawn = pictures(explanation.image, explanation.map, limit)
        write_png(
            drawn["both"] if explanation.map.ndim == 1 else side_by_side(drawn),
            folder / f"{name}.png",
            SOFTWARE,
        )
    write_file(folder / PAGE, page(explanations, title))


def side_by_side(drawn: dict[str, Image.Image]) -> Image.Image:
    """The pictures in a row."""
    images = list(drawn.values())
    gap = 8
    width = sum(i.width for i in images) + gap * (len(images) - 1)
    sheet = Image.new("RGB", (width, max(i.height for i in images)), "white")
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width + gap
    return sheet


def write_array(path: Path, values: Any) -> None:
    buffer = io.BytesIO()
    np.save(buffer, values)
    write_file(path, buffer.getvalue())
