"""`eyespot augment`: what a pipeline does to a data set, as a picture or as an enlarged data set."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyespot import pictures
from eyespot.augment.exchange import check_classes
from eyespot.augment.pipeline import check_fit, parse
from eyespot.augment.transform import Transform
from eyespot.config import DECLARED, Config, Settings, declaration, given_settings, option, reading_settings
from eyespot.data.groups import with_groups
from eyespot.data.masks.source import reader_of
from eyespot.data.sources.copies import TABLE
from eyespot.data.sources.find import find_samples
from eyespot.data.surveys.survey import Survey
from eyespot.data.surveys.survey_data import survey_data
from eyespot.enlargement.change import Recipe, changed, copy_seed
from eyespot.enlargement.originals import Originals
from eyespot.enlargement.write import classes_of, write_enlarged
from eyespot.errors import UserError
from eyespot.files import check_not_input, refuse_existing
from eyespot.notebook import html, images
from eyespot.overlays import tile_with_mask
from eyespot.plurals import count
from eyespot.signature import with_settings
from eyespot.tasks.augmentation import AUTO, LEARN, mirror_warning
from eyespot.tasks.registry import task_of_survey
from eyespot.wrapping import quoted

SOFTWARE = "eyespot augment"
"""In the metadata of a picture, which the next one may replace."""
SHOWN = 8
"""Originals in the picture."""
VERSIONS = 7
"""Augmented copies of each original in the picture."""
SIDE = 112
"""Pixels of the side of an image in the picture."""
TITLE = 90
"""Letters of a pipeline that fit above it."""
MOST_COPIES = 1000


@dataclass(frozen=True)
class Augmented:
    """What was shown or written. Prints itself as text.

    survey     the data set
    augment    the pipeline, and why it was chosen
    picture    the file of the picture, if one was written
    folder     the folder of the enlarged data set, if one was written, with so many originals and copies
    equal      copies that equal their original, by whichever seed was tried
    given      the settings that were given
    """

    survey: Survey
    augment: str
    reason: str
    seed: int
    picture: Path | None = None
    folder: Path | None = None
    originals: int = 0
    copies: int = 0
    equal: int = 0
    given: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What was shown or written, ready for JSON."""
        return {
            "data": self.survey.source.name,
            "augment": self.augment,
            "reason": self.reason,
            "seed": self.seed,
            "picture": None if self.picture is None else str(self.picture),
            "folder": None if self.folder is None else str(self.folder),
            "originals": self.originals,
            "copies": self.copies,
            "equal": self.equal,
        }

    def __str__(self) -> str:
        lines = [f"guess: {guess}" for guess in self.survey.guesses]
        unread = len(self.survey.images.errors)
        if unread:
            lines.append(
                f"warning: {count(unread, 'file')} cannot be read: left out; eyespot look names them"
            )
        lines.append(f"augment {self.augment}" + f" ({self.reason})" * bool(self.reason))
        if self.picture:
            lines.append(f"picture {self.picture}")
        if self.folder:
            lines += self._folder_lines(self.folder)
        return "\n".join(lines)

    __repr__ = __str__

    def _folder_lines(self, folder: Path) -> list[str]:
        word = self.survey.word
        splits = [split for split in ("val", "test") if split in self.survey.source.splits]
        verb = "sets have" if len(splits) > 1 else "set has"
        only = f"; the {' and '.join(splits)} {verb} originals only" if splits else ""
        lines = [
            f"folder  {folder}: {count(self.originals, 'original')} and {count(self.copies, 'copy')}{only}",
            f"table   {folder / TABLE}: the source, transforms, parameters and seed of each {word}",
            f"train   eyespot train {quoted(folder)}{''.join(self._options())}",
            f"        copies stay on one side of the split with their original, by the column group of {TABLE}",
        ]
        return lines + [f"warning: {warning}" for warning in self._warnings()]

    def _options(self) -> list[str]:
        """What the files that were written do not say of themselves"""
        options = []
        if self.survey.preprocessing.dim != 2:
            options.append(f" --dim {self.survey.preprocessing.dim}")
        rates = {1 / h.spacing[0] for h in self.survey.headers if h.dim == 1 and h.spacing}
        if len(rates) == 1 and not self._are_sounds():
            options.append(f" --rate {rates.pop():.6g}")
        drawn = any(reader_of(s, file) for s in self.survey.source.samples for file in s.mask_files)
        given = self.given | (
            {"objects": self.survey.mapping.objects} if drawn and self.survey.mapping else {}
        )
        for name in ("objects", "harden"):
            if name in given:
                no = declaration(DECLARED[name]).opposite
                options.append(f" {option(name) if given[name] else no}")
        options += [f" {option(name)} {self.given[name]}" for name in ("void", "view") if name in self.given]
        return options

    def _are_sounds(self) -> bool:
        from eyespot.data.formats.sound import KINDS

        return all(h.kind in KINDS for h in self.survey.headers)

    def _warnings(self) -> list[str]:
        mirrored = mirror_warning(_transforms(self.survey, self.augment), self.survey.classes)
        warnings = [mirrored] if mirrored else []
        if self.equal:
            whose = "equals its" if self.equal == 1 else "equal their"
            warnings.append(f"{count(self.equal, 'copy')} {whose} original: other transforms change more")
        headers = self.survey.headers
        lost = [h for h in headers if h.dim == 3 and h.spacing and "NIfTI" not in h.kind]
        if lost:
            warnings.append(f"the voxel sizes of {count(len(lost), 'volume')} are not in the .npy files")
        return warnings

    def _repr_html_(self) -> str:
        transforms = _transforms(self.survey, self.augment)
        sheet = contact_sheet(self.survey, transforms, self.seed)
        alt = f"originals and versions of them changed by {self.augment}"
        return html.result(html.text(str(self)), images.sheet(sheet, alt))


@with_settings(*reading_settings(), "augment", "group", "seed")
def augment_data(
    data: str | os.PathLike,
    *,
    out: str | os.PathLike | None = None,
    copies: int | None = None,
    force: bool = False,
    **settings: Unpack[Settings],
) -> Augmented:
    """Show what a pipeline of transforms does to a data set, or write it with changed copies.

    out      a picture (PNG) of originals beside changed ones; with copies, the folder of the enlarged data set
    copies   changed copies of each original of the training set; None for a picture only
    force    overwrite a picture of that name that is not eyespot's

    Raises UserError for a folder that exists, and for transforms that these data do not have.
    """
    _check_copies(copies, out)
    folder = Path(out) if copies is not None and out is not None else None
    if folder:
        _refuse_folder(folder, data)
    given = given_settings({**settings})
    config = Config(**given_settings({"data": data}), **given)
    source = find_samples(data, config)
    survey = survey_data(with_groups(source, config.group) if config.group else source, config)
    survey.refuse_errors()
    text, reason = _pipeline(survey, config)
    transforms = _transforms(survey, text)
    if folder and copies:
        if not transforms:
            raise UserError(
                f"augment {text!r} changes nothing, so that copies would be equal: name transforms"
            )
        rows, equal = write_enlarged(survey, Recipe(transforms, copies, config.seed), folder)
        made = sum(bool(row["seed"]) for row in rows)
        return Augmented(
            survey, text, reason, config.seed, None, folder, len(rows) - made, made, equal, given
        )
    picture = pictures.as_png(Path(out)) if out is not None else None
    if picture:
        check_not_input(picture, (file for s in survey.source.samples for file in (s.path, *s.mask_files)))
        if pictures.software_of(picture) != SOFTWARE:
            refuse_existing(picture, force)
        pictures.write_png(contact_sheet(survey, transforms, config.seed), picture, SOFTWARE)
    return Augmented(survey, text, reason, config.seed, picture)


def _check_copies(copies: int | None, out: str | os.PathLike | None) -> None:
    if copies is None:
        return
    if not isinstance(copies, int) or isinstance(copies, bool) or not 1 <= copies <= MOST_COPIES:
        raise UserError(f"copies is {copies!r}; give a whole number from 1 to {MOST_COPIES}")
    if out is None:
        raise UserError("copies are written into a folder: name a new one with out (-o FOLDER)")


def _refuse_folder(folder: Path, data: str | os.PathLike) -> None:
    """Raises UserError where the folder exists, or would be read as a piece of the data."""
    if os.path.lexists(folder):
        raise UserError(f"{folder} exists: name a new folder, since copies are not mixed with what is there")
    if Path(data).is_dir() and folder.resolve().is_relative_to(Path(data).resolve()):
        raise UserError(
            f"{folder} is inside the data {data}, and would be read with it: name a folder elsewhere"
        )


def _pipeline(survey: Survey, config: Config) -> tuple[str, str]:
    """The pipeline that was given, or else what training would choose, and its reason"""
    if config.augment == LEARN:
        raise UserError(
            f"augment {LEARN!r} is for train: give the pipeline that eyespot invariance {quoted(config.data)} --learn prints"
        )
    if config.augment not in (None, AUTO):
        return str(config.augment), ""
    rows = np.flatnonzero(np.isin(survey.splits, ["", "train"]))
    return task_of_survey(survey).training.usual_augment(survey, rows)


def _transforms(survey: Survey, text: str) -> list[Transform]:
    """The transforms of a pipeline. Raises UserError for those that the samples themselves do not have."""
    originals = Originals(survey)
    transforms = parse(text, originals.preprocessing.dim)
    check_fit(transforms, originals.preprocessing.channels, originals.preprocessing.depth)
    check_classes(transforms, survey.classes)
    for transform in transforms:
        if transform.mixes:
            name = str(transform).split("(")[0]
            raise UserError(
                f"augment {name!r} mixes images of a batch, which only training has: leave it out"
            )
    return transforms


def contact_sheet(survey: Survey, transforms: list[Transform], seed: int) -> Image.Image:
    """Originals of each class, each in front of changed versions; with their masks over them, if they have some."""
    originals = Originals(survey)
    rows = []
    for row in _chosen(survey, seed):
        original = originals[row]
        label = int(survey.labels[row])
        copies = [
            changed(original, label, transforms, copy_seed(seed, row, number), classes_of(survey))
            for number in range(1, VERSIONS + 1)
        ]
        shown = [(original.image, original.mask), *((copy.image, copy.mask) for copy in copies)]
        name = Path(survey.path(row)).name
        title = name if original.mask is not None else f"{survey.classes[label]}: {name}"
        labels = {survey.classes[copy.label] for copy in copies} - {survey.classes[label]}
        if not rows:
            pipeline = "|".join(map(str, transforms)) or "none"
            title += f", as read, and augmented by {pipeline[:TITLE]}{' ...' * (len(pipeline) > TITLE)}"
        title += f" (some become {', '.join(sorted(labels))})" * (original.mask is None and bool(labels))
        rows.append((title, [_shown(survey, image, mask) for image, mask in shown]))
    return pictures.sheet(rows, tile=SIDE, columns=VERSIONS + 1)


def _chosen(survey: Survey, seed: int) -> list[int]:
    """Rows to show: of the classes in turn, or any where samples have masks"""
    order = np.random.default_rng(seed).permutation(len(survey.labels))
    turns: NDArray[np.int64] = np.zeros(len(order), np.int64)
    for k in range(len(survey.classes)):
        of_class = np.flatnonzero(survey.labels[order] == k)
        turns[of_class] = np.arange(len(of_class))
    return order[np.argsort(turns, kind="stable")][:SHOWN].tolist()


def _shown(survey: Survey, image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    if mask is None or survey.mapping is None:
        return image
    overlap = survey.mapping.multilabel
    labels = mask if overlap else survey.mapping.labels(mask)
    return tile_with_mask(image, labels, overlap, SIDE)
