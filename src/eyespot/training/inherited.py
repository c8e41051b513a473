"""What a new run takes over from the run that it starts from: its training rows train, its validation rows validate."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyespot.config import Config
from eyespot.data.duplicates.recognise import NOT_SEEN, Looked, recognise
from eyespot.data.duplicates.seen import COPY, FILE, NEW, SAME_FILE, SeenImages, of_digests, read_seen, short
from eyespot.data.images import load_images
from eyespot.data.preprocess.preprocessing import OWN, Preprocessing
from eyespot.data.split import hold_out
from eyespot.data.surveys.survey import Survey
from eyespot.errors import UserError
from eyespot.evaluation.run_split import split_rows
from eyespot.evaluation.seen_by import card_of, seen_by
from eyespot.weights.published import IMAGENET

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Inherited:
    """What the weights to start from have seen of the rows of a survey.

    start     the weights, as they were named
    trained   (N,) rows that it has been trained on, and copies of them
    validation   (N,) other rows that it has been validated or tested on, and copies of them
    before    (N,) NEW, SAME_FILE or COPY: see `data.seen`
    seen      all that it has seen; None where that is not known
    """

    start: str
    trained: Flags
    validation: Flags
    before: NDArray[np.uint8]
    seen: SeenImages | None

    def description(self, of_others: str, word: str) -> str:
        """Describe where each side of the split comes from.

        of_others   how the samples that the weights have not seen are divided
        """
        trained = int(self.trained.sum())
        validation = int(self.validation.sum())
        n = len(self.trained) - trained - validation
        phrases = [f"{validation:,} validation {word}s of {self.start} stay validation {word}s"] * bool(
            validation
        )
        phrases += [f"the {trained:,} that it was trained on stay training {word}s"] * bool(trained)
        phrases += [f"of the {n:,} new ones {of_others}"] * bool(n)
        return ", ".join(phrases)

    def only(self, rows: NDArray[np.int64]) -> "Inherited":
        return replace(
            self, trained=self.trained[rows], validation=self.validation[rows], before=self.before[rows]
        )


def inherited(survey: Survey, config: Config) -> Inherited | None:
    """What the weights to start from have seen; None where a run starts from nothing, or from published weights."""
    start = config.weights
    if start in (None, IMAGENET):
        return None
    seen = seen_by(start)
    none = np.zeros(len(survey.labels), bool)
    if seen is None:
        return Inherited(start, none, none, none.astype(np.uint8), None)
    recognised = recognise(_looked(survey, start), seen)
    trained = np.isin(survey.alike, survey.alike[recognised.trained])
    before = np.where(recognised.trained & ~recognised.copies, SAME_FILE, np.where(trained, COPY, NEW))
    validation = np.isin(survey.alike, survey.alike[recognised.position != NOT_SEEN]) & ~trained
    return Inherited(start, trained, validation, before.astype(np.uint8), seen)


def resumed(survey: Survey, config: Config, folder: Path) -> Inherited | None:
    """The same for a run that is continued: by its own files, whatever has become of the run that it started from."""
    start = config.weights
    if start in (None, IMAGENET):
        return None
    rows = split_rows(folder)
    trained = np.array([row["split"] == "train" for row in rows], bool)
    try:
        seen = read_seen(folder / FILE)
        before = seen.before
    except (OSError, ValueError, KeyError):  # a run of an older version
        seen = seen_by(start)
        known = seen.trained_digests() if seen else set()
        before = np.array([SAME_FILE if short(row["content"]) in known else NEW for row in rows], np.uint8)
    return Inherited(start, trained, ~trained, before, seen)


def _looked(survey: Survey, start: str) -> Looked:
    """The images of a survey, with thumbnails as the run to start from fitted its images."""
    images = survey.images
    thumbs = images.thumbs
    card = card_of(Path(start))
    mine = survey.preprocessing
    theirs = Preprocessing.from_dict(card.preprocessing) if card else mine
    if mine.dim == theirs.dim and mine.fit != theirs.fit and OWN not in (mine.fit, theirs.fit):
        other = load_images(survey.source, survey.scan, theirs)
        thumbs = np.zeros((len(images.rows), other.thumbs.shape[1]), np.float32)
        known = np.isin(images.rows, other.rows)
        thumbs[known] = other.thumbs[np.searchsorted(other.rows, images.rows[known])]
    samples = [survey.source.samples[int(i)] for i in images.rows]
    return Looked(survey.headers, images.pixels, thumbs, mine, samples)


def hold_out_unseen(
    labels: NDArray[np.int64], groups: NDArray[np.int64], share: float, seed: int, before: Inherited
) -> Flags:
    """(N,) True for the validation rows: those of the run to start from, and a share of what it has not seen.

    Of a group of which some rows were trained on, all train that were not validated; a group with validation rows only
    validates.
    """
    fixed = before.trained | before.validation
    chosen = (
        np.isin(groups, groups[before.validation]) & ~np.isin(groups, groups[before.trained])
        | before.validation
    )
    free = np.flatnonzero(~np.isin(groups, groups[fixed]))
    chosen[free] = hold_out(labels[free], groups[free], share, seed) if len(free) else False
    for k in np.unique(labels[free]).tolist():
        of_class = free[labels[free] == k]
        if not chosen[labels == k].any() and before.trained[labels == k].any():
            chosen[groups == groups[of_class[0]]] = True
    return chosen


def check_sides(survey: Survey, chosen: Flags, rest: NDArray[np.int64], before: Inherited) -> None:
    """Raises UserError if the weights have seen all samples, or all of a class, that a side of the split needs."""
    advice = f"add {survey.word}s that it has not seen, or start from other weights"
    name = survey.source.name
    if not chosen.any():
        raise UserError(
            f"{before.start} was trained on all {len(rest):,} {survey.word}s of {name}, so that none is left for validation: {advice}"
        )
    if chosen.all():
        raise UserError(
            f"all {len(rest):,} {survey.word}s of {name} were held out by {before.start} for validation, so that none is left for training: {advice}"
        )
    for k, of_class in enumerate(() if survey.source.has_masks else survey.classes):
        if chosen[survey.labels[rest] == k].all():
            raise UserError(
                f"all {survey.word}s of the class {of_class!r} were held out by {before.start} for validation, so that none is left for training: {advice}"
            )


def seen_of(survey: Survey, sides: list[str], before: Inherited | None) -> SeenImages:
    """What a new run will have seen at its end, for its folder and its card.

    sides   the split of each row
    """
    trains = np.array([side == "train" for side in sides], bool)
    copies = ~trains & np.isin(survey.alike, survey.alike[trains])
    known = np.where(copies, COPY, NEW)
    if before is not None:
        known = np.where(before.before != NEW, before.before, known)
    digests = [short(header.digest) for header in survey.headers]
    in_training = {digest for digest, train in zip(digests, trains, strict=True) if train}
    known[[not train and digest in in_training for digest, train in zip(digests, trains, strict=True)]] = (
        SAME_FILE
    )
    known[trains] = NEW
    paths = [str(survey.source.samples[i].path.resolve()) for i in survey.images.rows.tolist()]
    own = replace(
        of_digests(list(zip(digests, sides, paths, strict=True))),
        thumbs=survey.images.thumbs,
        before=known.astype(np.uint8),
    )
    if before is None:
        return own
    if before.seen is None:
        return replace(own, unknown=(before.start,))
    return own.with_earlier(before.seen)
