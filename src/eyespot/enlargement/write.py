"""An enlarged data set as a folder: originals and copies in the layout that is read, and a table of what was done."""

import csv
import io
import re
from dataclasses import dataclass, replace
from functools import partial
from itertools import count as numbers
from pathlib import Path

import torch

from eyespot.augment.pipeline import Pipeline
from eyespot.console import track
from eyespot.data.masks.multilabel import folder_of
from eyespot.data.sources.copies import FIRST, MADE, TABLE
from eyespot.data.sources.samples import SPLITS
from eyespot.data.sources.words import names_images, names_mask
from eyespot.data.surveys.survey import Survey
from eyespot.enlargement.change import Classes, Copy, Recipe, copies_of, is_equal
from eyespot.enlargement.encode import Encoder
from eyespot.enlargement.originals import Originals
from eyespot.errors import UserError
from eyespot.files import NewFolder, new_folder
from eyespot.parallel import in_order

ENDING = re.compile(r"(\.nii|\.ome)?\.[^.]*$")
Row = dict[str, str]
FAST = 0.02
"""Seconds for an original and its copies below which threads are not worth it."""


@dataclass(frozen=True)
class Written:
    """Files by their names in the folder, the rows of the table, and how many copies equal their original."""

    files: dict[str, bytes]
    rows: list[Row]
    equal: int = 0


def classes_of(survey: Survey) -> Classes:
    """The classes of a data set, and the values of its masks."""
    mapping = survey.mapping
    values = mapping.values if mapping and not mapping.multilabel else ()
    return Classes(tuple(survey.classes), tuple(values))


def write_enlarged(survey: Survey, recipe: Recipe, out: Path) -> tuple[list[Row], int]:
    """Write the folder; the rows of its table, and how many copies equal their original.

    Raises UserError for classes that cannot be folders.
    """
    _check_names(survey)
    originals = Originals(survey)
    stems = _stems(originals, recipe)
    work = partial(_with_copies, originals, recipe, stems)
    rows: list[Row] = []
    equal = 0
    with new_folder(out) as folder:
        done = in_order(work, range(len(originals)), alone=FAST)
        for written in track(done, len(originals), "augmenting, images"):
            for name, content in written.files.items():
                folder.write(name, content)
            rows += written.rows
            equal += written.equal
        _write_notes(folder, survey, rows)
    return rows, equal


def _check_names(survey: Survey) -> None:
    for name in survey.classes if survey.mapping is None or survey.mapping.multilabel else ():
        reserved = name.lower() in SPLITS or names_images(name) or names_mask(name)
        if folder_of(name) != name or reserved or name != name.strip() or not name:
            raise UserError(
                f"class {name!r} cannot be the name of a folder of a class: rename it, and then augment"
            )


def _stems(originals: Originals, recipe: Recipe) -> list[str]:
    """A name for each row; neither it nor those of its copies are those of another file in the same folder"""
    exchanged = _exchanged_classes(recipe) if originals.survey.mapping is None else set()
    taken: set[tuple[str, str]] = set()
    stems = []
    for row in range(len(originals)):
        sample = originals.sample(row)
        own = _folder(originals.survey, row, sample.split)
        of_class = originals.survey.classes[int(originals.survey.labels[row])] if exchanged else ""
        others = exchanged - {of_class} if of_class in exchanged else ()
        wanted = re.sub(r"[^\w. -]", "_", ENDING.sub("", sample.path.name)).lstrip(".") or "sample"
        for number in numbers(1):
            stem = wanted if number == 1 else f"{wanted}-{number}"
            names = {(own, name.lower()) for name in (stem, *_copy_names(stem, recipe.copies))}
            for other in others:
                folder = f"{sample.split}/{other}" if sample.split else other
                changed_names = _copy_names(f"{of_class}-{stem}", recipe.copies)
                names |= {(folder, name.lower()) for name in changed_names}
            if not names & taken:
                break
        taken |= names
        stems.append(stem)
    return stems


def _exchanged_classes(recipe: Recipe) -> set[str]:
    """Classes that a copy may leave for another, where it is mirrored"""
    none = torch.zeros(0, dtype=torch.bool)
    return {name for t in recipe.transforms for pair in t.exchanges(none)[1] for name in pair}


def _copy_names(stem: str, copies: int) -> list[str]:
    return [f"{stem}_aug{number}" for number in range(1, copies + 1)]


def _folder(survey: Survey, row: int, split: str, label: int | None = None) -> str:
    """Where an image goes"""
    kind = "images"
    if survey.mapping is None:
        kind = survey.classes[int(survey.labels[row]) if label is None else label]
    return f"{split}/{kind}" if split else kind


def _with_copies(originals: Originals, recipe: Recipe, stems: list[str], row: int) -> Written:
    """The files of one original and of its copies"""
    survey = originals.survey
    sample = originals.sample(row)
    original = originals[row]
    label = int(survey.labels[row])
    encoder = Encoder(sample.path, survey.headers[row], original)
    unchanged = Copy(original.image, original.mask, label, "")
    written = Written({}, [])
    _add(written, originals, row, encoder, stems[row], unchanged)
    if sample.split not in ("", "train"):
        return written
    equal = 0
    copies = copies_of(original, label, recipe, row, classes_of(survey))
    for name, (copy, seed) in zip(_copy_names(stems[row], recipe.copies), copies, strict=True):
        equal += is_equal(copy, original)
        if copy.label != label:
            name = f"{survey.classes[label]}-{name}"
        _add(written, originals, row, encoder, name, copy)
        written.rows[-1] |= {
            "source": sample.path.as_posix(),
            "transform": str(Pipeline(recipe.transforms)),
            "parameters": copy.parameters,
            "seed": str(seed),
        }
    return replace(written, equal=equal)


def _add(written: Written, originals: Originals, row: int, encoder: Encoder, stem: str, copy: Copy) -> None:
    """Add the files of one original or copy, and its row"""
    survey = originals.survey
    sample = originals.sample(row)
    source = sample.path.as_posix()
    content, ending = encoder.image(copy.image)
    path = f"{_folder(survey, row, sample.split, copy.label)}/{stem}{ending}"
    masks = _mask_files(survey, encoder, copy, sample.split, stem)
    written.files.update({path: content} | masks)
    target = {"label": survey.classes[copy.label]} if survey.mapping is None else {}
    if survey.mapping and not survey.mapping.multilabel:
        target = {"mask": next(iter(masks))}
    known = {"path": path, **target, "split": sample.split, "group": sample.group or source}
    made = dict(zip(MADE, sample.made or (source, "", "", ""), strict=True))
    written.rows.append(known | made | {FIRST: sample.original or source})


def _mask_files(survey: Survey, encoder: Encoder, copy: Copy, split: str, stem: str) -> dict[str, bytes]:
    if copy.mask is None:
        return {}
    above = f"{split}/masks" if split else "masks"
    if survey.mapping and survey.mapping.multilabel:
        planes = zip(survey.classes, copy.mask, strict=True)
        encoded = {
            f"{above}/{name}/{stem}": encoder.mask(plane.astype("uint8") * 255) for name, plane in planes
        }
    else:
        encoded = {f"{above}/{stem}": encoder.mask(copy.mask)}
    return {f"{name}{ending}": content for name, (content, ending) in encoded.items()}


def _write_notes(folder: NewFolder, survey: Survey, rows: list[Row]) -> None:
    """The table, and the names of the classes of masks where the user gave some"""
    names = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    folder.write(TABLE, buffer.getvalue().encode("utf-8", errors="surrogateescape"))
    if survey.mapping and survey.source.classes and not survey.mapping.multilabel:
        folder.write("classes.txt", "\n".join(survey.source.classes) + "\n")
