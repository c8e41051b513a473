"""A mask predictor tried on images with masks: the scores, and the predictions behind them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.console import count, track
from eyespot.data.findings import PairSurvey
from eyespot.data.header import WORD, Array
from eyespot.data.image_pairs import Pairs, load_pairs
from eyespot.data.masks import VOID
from eyespot.data.multilabel import unpack
from eyespot.data.preprocess.choose import settle_axes
from eyespot.data.scan import scan
from eyespot.data.sources.find import find_samples
from eyespot.data.sources.samples import Source
from eyespot.errors import UserError
from eyespot.evaluation import held_out, part, trained_content
from eyespot.labels import VOID as IGNORED
from eyespot.labels import components
from eyespot.metrics import instances as partition
from eyespot.metrics import masks as overlap
from eyespot.metrics.classes import percent
from eyespot.prediction.masks import MaskPredictor

TITLES = {
    "mean_iou": "mean IoU",
    "mean_dice": "mean Dice",
    "pixel_accuracy": "pixel accuracy",
    "boundary_f": "boundary F",
    "object_f1": "object F1",
    "pixel_error": "pixel error",
    "v_rand": "V-Rand",
    "v_info": "V-Info",
    "adapted_rand_error": "adapted Rand error",
}
KEPT = 24
"""Predictions kept for the worst images' sheet."""


@dataclass(frozen=True)
class Case:
    """One image of an evaluation: its mean IoU over the classes that occur in it, and the maps if it is kept.

    Maps are class positions, or bit fields of multi-label masks.
    """

    path: str
    iou: float
    image: Array | None = None
    truth: NDArray[np.uint8] | None = None
    said: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class MaskEvaluation:
    """Scores with intervals, and the images they came from, the worst first. Prints itself as a table."""

    scores: dict[str, Any]
    classes: list[str]
    cases: list[Case]
    word: str
    errors: dict[str, str]
    notes: tuple[str, ...] = ()
    by_group: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The scores, ready for JSON."""
        worst = [{"path": c.path, "mean_iou": c.iou} for c in self.cases]
        return self.scores | {"worst": worst, "unreadable": self.errors, "notes": list(self.notes)}

    def single(self) -> dict[str, Any]:
        """The scores that are one number each."""
        return {k: v for k, v in self.scores.items() if isinstance(v, dict) and "value" in v}

    def __str__(self) -> str:
        of = "groups" if self.by_group else f"{self.word}s"
        lines = [
            f"{count(len(self.cases), self.word)}; in brackets the 95% interval by bootstrap over {of}; means are over the classes that occur (macro)",
            "",
        ]
        lines += [
            f"{title:<20}{percent(self.scores[key])}" for key, title in TITLES.items() if key in self.scores
        ]
        width = max(10, *(len(c) for c in self.classes))
        lines += ["", f"{'class':<{width}}  {'IoU':<20} {'Dice':<20} {'recall':<20} precision"]
        for name, c in self.scores["classes"].items():
            cells = [percent(c[k]) for k in ("iou", "dice", "recall", "precision")]
            lines.append(f"{name:<{width}}  {cells[0]:<20} {cells[1]:<20} {cells[2]:<20} {cells[3]}")
        alarms = [
            f"{name} in {percent(c['false_alarm'])} of {c['false_alarm']['n']}"
            for name, c in self.scores["classes"].items()
            if c["false_alarm"]["n"]
        ]
        if alarms:
            lines += ["", f"given to some pixel of {self.word}s that have none: " + "; ".join(alarms[:6])]
        lines += ["", "worst: " + "; ".join(f"{c.path} ({100 * c.iou:.0f}%)" for c in self.cases[:5])]
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__


def assess_masks(
    predictor: MaskPredictor,
    pairs: Pairs,
    rows: NDArray[np.int64],
    paths: list[str],
    groups: list[str] | None = None,
    notes: tuple[str, ...] = (),
    errors: dict[str, str] | None = None,
) -> MaskEvaluation:
    """Predict each row's whole image and compare it with its mask."""
    classes, counts, objects, cases = predictor.classes, [], [], []
    for i, path in zip(track(iter(rows), len(rows), "evaluating"), paths, strict=True):
        image, labels = pairs.pixels[i], pairs.labels[i]
        said = predictor.labels(image)
        counts.append(_count(labels, said, predictor))
        if predictor.mapping.things:
            objects.append(partition.compare(components(_truth(labels)), predictor.ids(said)))
        cases.append(Case(path, _iou(counts[-1]), image, labels, said))
    scores = overlap.score(counts, classes, groups)
    if objects:
        scores |= partition.score(objects, groups)
    order = np.argsort([c.iou for c in cases], kind="stable")
    worst = [cases[i] if k < KEPT else Case(cases[i].path, cases[i].iou) for k, i in enumerate(order)]
    word = WORD[predictor.preprocessing.dim]
    return MaskEvaluation(scores, classes, worst, word, errors or {}, notes, groups is not None)


def _truth(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.where(labels == VOID, IGNORED, labels.astype(np.int64))


def _count(labels: NDArray[np.uint8], said: NDArray[np.uint8], predictor: MaskPredictor) -> overlap.Counts:
    k = len(predictor.classes)
    if predictor.multilabel:
        return overlap.count_each(unpack(labels, k), unpack(said, k), labels != VOID)
    return overlap.count(_truth(labels), said, k)


def _iou(counts: overlap.Counts) -> float:
    both, there, said = counts.regions[counts.regions[:, 1] > 0].T
    return float((both / (there + said - both)).mean()) if len(both) else 1.0


def assess_pairs(
    predictor: MaskPredictor, found: PairSurvey, rows: NDArray[np.int64], groups: list[str] | None
) -> MaskEvaluation:
    """Scores on some rows of a survey."""
    paths = [str(found.source.samples[int(i)].path) for i in found.images.rows[rows]]
    errors = {str(found.source.samples[i].path): why for i, why in sorted(found.images.errors.items())}
    return assess_masks(predictor, found.images, rows, paths, groups, (), errors)


def _check_classes(source: Source, predictor: MaskPredictor, data: str) -> None:
    """Raises UserError where the classes that have masks of their own are not those of the run."""
    if source.by_class and not (predictor.multilabel and set(source.classes) == set(predictor.classes)):
        of = "a mask for each of" if predictor.multilabel else "one mask per image, with"
        raise UserError(
            f"{data} has masks for each of {', '.join(source.classes)}; this run needs {of} {', '.join(predictor.classes)}"
        )


def evaluate_masks(
    predictor: MaskPredictor, run: Path, data: str | os.PathLike | None = None
) -> MaskEvaluation:
    """Try a predictor on images with masks (the test images, if there are such), or on those that the run held out."""
    source = part(find_samples(data), "test") if data is not None else held_out(run)
    if not source.has_masks:
        raise UserError(f"{data} has no masks, and {run} tells what each pixel is: give images/ and masks/")
    _check_classes(source, predictor, str(data or run))
    headers = settle_axes(scan(source), predictor.preprocessing.dim)
    pairs = load_pairs(source, headers, predictor.preprocessing, predictor.mapping)
    errors = {str(source.samples[i].path): why for i, why in sorted(pairs.errors.items())}
    if not len(pairs.rows):
        path, why = next(iter(errors.items()))
        raise UserError(f"none of the {len(source.samples)} images can be used; the first, {path}: {why}")
    known = sum(headers.headers[int(i)].digest.hex() in trained_content(run) for i in pairs.rows)
    notes = (
        (f"warning: {known} of these {len(pairs.rows)} images were trained on, so the scores are too good",)
        if known
        else ()
    )
    paths = [str(source.samples[int(i)].path) for i in pairs.rows]
    return assess_masks(predictor, pairs, np.arange(len(pairs.rows)), paths, None, notes, errors)
