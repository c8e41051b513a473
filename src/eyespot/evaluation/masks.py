"""Predicted label maps compared with the masks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.console import long_table, track
from eyespot.data.duplicates.recognise import Looked
from eyespot.data.groups import FEW, Grouping, few_groups
from eyespot.data.header import WORD, Array, Header, Unreadable
from eyespot.data.image_pairs import Pairs, load_pairs
from eyespot.data.masks.mapping import VOID
from eyespot.data.masks.multilabel import unpack
from eyespot.data.preprocess.choose import settle_axes
from eyespot.data.scan import scan
from eyespot.data.sources.samples import Source
from eyespot.data.surveys.survey import PairSurvey
from eyespot.errors import UserError
from eyespot.evaluation.distinct import OF_SCENES, distinct
from eyespot.evaluation.evaluation import (
    Evaluation,
    all_errors,
    groups_by_path,
    in_order_of,
    nothing_usable,
    of_sources,
    order_line,
    over_what,
)
from eyespot.evaluation.files import notes_about_files
from eyespot.evaluation.seen_by import check_seen
from eyespot.evaluation.shown import compared_masks
from eyespot.labels import VOID as IGNORED
from eyespot.labels import components
from eyespot.metrics import instances, masks
from eyespot.metrics.intervals import Float, class_percent, percent
from eyespot.plurals import count
from eyespot.prediction.mask_output import MaskOutput
from eyespot.prediction.predictor import Predictor

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
"""Predictions kept for the worst images of a report, none of which looks nearly as another one."""
UNIT = {"signal": "samples", "image": "pixels", "volume": "voxels"}
"""What a mask has one value for, by what a sample is called."""


@dataclass(frozen=True)
class Case:
    """One image of an evaluation: its mean IoU over the classes that occur in it, and the maps if it is kept.

    `counts`, `objects` and `sizes` (of the true and the predicted objects) are what the metrics are made of. Maps are class positions, or bit fields of multi-label masks.
    """

    path: str
    iou: float
    counts: masks.Counts
    objects: Float | None = None
    sizes: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    image: Array | None = None
    truth: NDArray[np.uint8] | None = None
    predicted: NDArray[np.uint8] | None = None
    multilabel: bool = False


@dataclass(frozen=True)
class MaskDetails:
    """The images of an evaluation, the worst first; the classes; and their groups, where they have groups, in the order of the scores."""

    cases: list[Case]
    word: str
    classes: list[str]
    groups: Grouping | None = None
    titles = TITLES

    def heading(self, of: str = "") -> str:
        return (
            f"{count(len(self.cases), self.word)}{of}; in brackets the {self.over()}; "
            "means are over the classes that occur (macro)"
        )

    def over(self) -> str:
        if self.groups is None:
            return f"95% interval by bootstrap over {self.word}s"
        return over_what(self.groups, self.word)

    def table(self, scores: dict[str, Any]) -> list[str]:
        return [
            *order_line(scores["classes"], "IoU"),
            *long_table(*self.columns(scores), "class", len(scores["classes"])),
        ]

    def columns(self, scores: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
        rows = [
            [
                name,
                *(class_percent(of_class, key, self.word) for key in ("iou", "dice", "recall", "precision")),
            ]
            for name, of_class in in_order_of(scores["classes"], "iou")
        ]
        return ["class", "IoU", "Dice", "recall", "precision"], rows

    def worst(self) -> tuple[str, list[str]]:
        title = f"the worst {self.word}s by mean IoU, their masks above and the predictions below"
        return title, compared_masks(self.cases, self.classes)

    def remarks(self, scores: dict[str, Any]) -> list[str]:
        alarms = [
            f"{name} in {percent(of_class['false_alarm'])} of {of_class['false_alarm']['n']}"
            for name, of_class in scores["classes"].items()
            if of_class["false_alarm"]["n"]
        ]
        lines = ["", f"false alarms in {self.word}s without the class: " + "; ".join(alarms[:6])] * bool(
            alarms
        )
        worst = "; ".join(f"{case.path} ({100 * case.iou:.0f}%)" for case in self.cases[:5])
        return [*lines, "", f"worst {self.word}s, by mean IoU: {worst}"]

    def as_dict(self) -> dict[str, Any]:
        return {"worst": [{"path": case.path, "mean_iou": case.iou} for case in self.cases]}

    @property
    def paths(self) -> list[str]:
        return [case.path for case in self.cases]

    def rows(self) -> Iterator[dict[str, Any]]:
        for case in self.cases:
            hits, there, predicted = case.counts.regions.T
            union = there + predicted - hits
            of_class = np.where(there > 0, hits / np.maximum(union, 1), np.nan)
            named = zip(self.classes, of_class.tolist(), strict=True)
            row = {"path": case.path, "mean_iou": f"{case.iou:.6f}"}
            yield row | {f"iou:{name}": "" if np.isnan(iou) else f"{iou:.6f}" for name, iou in named}

    def brief(self, scores: dict[str, Any]) -> dict[str, Any]:
        return scores

    def examples(self) -> str:
        return ""


class MaskEvaluator:
    """See `evaluation.Evaluator`."""

    titles = TITLES

    def finish(
        self,
        predictor: Predictor,
        survey: PairSurvey,
        val: NDArray[np.int64],
        rows: NDArray[np.int64],
        groups: Grouping | None,
    ) -> tuple[Evaluation, dict[str, Any]]:
        """Predict the whole image of each row."""
        samples = survey.source.samples
        paths = [str(samples[int(i)].path) for i in survey.images.rows[rows]]
        errors = {str(samples[i].path): reason for i, reason in sorted(survey.images.errors.items())}
        return compare(predictor.output, survey.images, rows, paths, groups, errors), {}

    def pool(
        self, evaluations: Sequence[Evaluation], names: Mapping[str, str] | None, share: str
    ) -> Evaluation:
        """See `Evaluator`."""
        pieces: list[MaskDetails] = [evaluation.details for evaluation in evaluations]
        cases = [case for piece in pieces for case in piece.cases]
        groups = groups_by_path([case.path for case in cases], names, share)
        return evaluation_of(cases, pieces[0].classes, pieces[0].word, groups, all_errors(evaluations))

    def reading(self, predictor: Predictor) -> dict[str, Any]:
        return {"objects": predictor.output.mapping.objects}

    def on_source(
        self, predictor: Predictor, source: Source, run: Path, data: str, share: str = ""
    ) -> Evaluation:
        """Evaluate images beside masks."""
        pairs, headers = read_pairs(predictor, source, run, data)
        errors = {str(source.samples[i].path): reason for i, reason in sorted(pairs.errors.items())}
        paths = [str(source.samples[int(i)].path) for i in pairs.rows]
        read = [headers[int(i)] for i in pairs.rows]
        notes = notes_about_files(predictor.preprocessing, read)
        groups = of_sources(source, pairs.rows, share)
        rows = np.arange(len(pairs.rows))
        evaluation = compare(predictor.output, pairs, rows, paths, groups, errors, notes)
        samples = [source.samples[int(i)] for i in pairs.rows]
        looked = Looked(read, pairs.pixels, pairs.thumbs, predictor.preprocessing, samples)
        return check_seen(evaluation, run, predictor.card, looked, paths)


def read_pairs(predictor: Predictor, source: Source, run: Path, data: str) -> tuple[Pairs, dict[int, Header]]:
    """The images and masks of a source, and the headers. Raises UserError for one without masks, or with other classes."""
    if not source.has_masks:
        raise UserError(f"{data} has no masks, and {run} predicts masks: give images/ and masks/")
    check_classes(source, predictor.output, data)
    headers = settle_axes(scan(source, predictor.preprocessing.read_options), predictor.preprocessing.dim)
    pairs = load_pairs(source, headers, predictor.preprocessing, predictor.output.mapping)
    if not len(pairs.rows):
        errors = {str(source.samples[i].path): reason for i, reason in sorted(pairs.errors.items())}
        raise UserError(nothing_usable(errors))
    return pairs, headers.headers


SPECKS = 0.05
"""The share of predicted objects that are too small to match, from which it is said."""


def compare(
    output: MaskOutput,
    pairs: Pairs,
    rows: NDArray[np.int64],
    paths: list[str],
    groups: Grouping | None = None,
    errors: dict[str, str] | None = None,
    notes: tuple[str, ...] = (),
) -> Evaluation:
    """Predict each row's whole image and compare it with its mask. Images whose result is not finite are among the errors."""
    cases = []
    keep = []
    errors = dict(errors or {})
    for k, i in enumerate(track(iter(rows), len(rows), "evaluating, images")):
        path = paths[k]
        image = pairs.pixels[i]
        labels = pairs.labels[i]
        try:
            predicted = output.labels(image)
        except Unreadable as reason:
            errors[path] = str(reason)
            continue
        keep.append(k)
        counts = count_in(labels, predicted, output)
        objects = None
        sizes = None
        if output.mapping.has_objects:
            true_ids = components(_truth(labels))
            ids = output.ids(predicted)
            objects = instances.compare(true_ids, ids)
            sizes = (instances.sizes(true_ids), instances.sizes(ids))
        case = Case(path, _iou(counts), counts, objects, sizes, image, labels, predicted)
        cases.append(replace(case, multilabel=output.multilabel))
    if not cases:
        raise UserError(nothing_usable(errors))
    word = WORD[output.preprocessing.dim]
    return evaluation_of(cases, output.classes, word, groups and groups.only(keep), errors, notes)


def evaluation_of(
    cases: list[Case],
    classes: list[str],
    word: str,
    groups: Grouping | None,
    errors: dict[str, str],
    notes: tuple[str, ...] = (),
) -> Evaluation:
    """The metrics of images that were compared; the maps of the worst are kept."""
    names = groups.names if groups else None
    scores = masks.score([case.counts for case in cases], classes, names)
    objects = [case.objects for case in cases if case.objects is not None]
    if objects:
        scores |= instances.score(objects, names)
    order = np.argsort([case.iou for case in cases], kind="stable")
    details = MaskDetails(keeping_maps([cases[i] for i in order]), word, classes, groups)
    sizes = [case.sizes for case in cases if case.sizes is not None]
    notes = (*notes, *_about_specks(sizes, word), *_about_few(len(cases), word, groups))
    return Evaluation(scores, classes, details, errors, notes)


def _about_few(n: int, word: str, groups: Grouping | None) -> tuple[str, ...]:
    """The warning that intervals from resampling few images, or groups of them, are too narrow."""
    if groups:
        return groups.notes()
    return (f"warning: {few_groups(n, word)}",) if n < FEW else ()


def _about_specks(sizes: list[tuple[NDArray[np.int64], NDArray[np.int64]]], word: str) -> Iterator[str]:
    """A note about predicted objects that are too small to match any, such as single voxels.

    sizes   of the true and the predicted objects of each image
    """
    true = np.concatenate([np.empty(0, np.int64), *(of_image for of_image, _ in sizes)])
    predicted = np.concatenate([np.empty(0, np.int64), *(of_image for _, of_image in sizes)])
    if not len(true):
        return
    smallest = int(np.min(true))
    specks = int((2 * predicted < smallest).sum())
    if specks >= SPECKS * len(predicted) > 0:
        are = "is" if specks == 1 else "are"
        yield (
            f"note: {specks:,} of {count(len(predicted), 'predicted object')} {are} under half the size of the smallest true one "
            f"({smallest:,} {UNIT[word]}), so none of them can match: object F1 counts them"
        )


def keeping_maps(cases: list[Case]) -> list[Case]:
    """The cases, with maps only of the first that do not look nearly the same."""
    having = [i for i, case in enumerate(cases) if case.image is not None]
    kept = {having[k] for k in distinct((np.asarray(cases[i].image) for i in having), KEPT, OF_SCENES)}
    return [case if i in kept else without_maps(case) for i, case in enumerate(cases)]


def shown_cases(details: MaskDetails, most: int) -> list[Case]:
    """The cases to look at, the worst first, of which none looks nearly as another one."""
    having = [case for case in details.cases if case.image is not None]
    chosen = distinct((np.asarray(case.image) for case in having), most, OF_SCENES)
    return [having[k] for k in chosen]


def without_maps(case: Case) -> Case:
    """The case without what takes memory."""
    return replace(case, image=None, truth=None, predicted=None)


def _truth(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.where(labels == VOID, IGNORED, labels.astype(np.int64))


def count_in(labels: NDArray[np.uint8], predicted: NDArray[np.uint8], output: MaskOutput) -> masks.Counts:
    """The counts of one image, of which all scores are made."""
    k = len(output.classes)
    if output.multilabel:
        return masks.count_each(unpack(labels, k), unpack(predicted, k), labels != VOID)
    return masks.count(_truth(labels), predicted, k)


def _iou(counts: masks.Counts) -> float:
    both, true, predicted = counts.regions[counts.regions[:, 1] > 0].T
    return float((both / (true + predicted - both)).mean()) if len(both) else 1.0


def check_classes(source: Source, output: MaskOutput, data: str) -> None:
    """Raises UserError where the classes that have masks of their own are not those of the run."""
    if source.by_class and not (output.multilabel and set(source.classes) == set(output.classes)):
        needed = "a mask for each of" if output.multilabel else "one mask per image, with"
        raise UserError(
            f"{data} has masks for each of {', '.join(source.classes)}; this run needs {needed} {', '.join(output.classes)}"
        )
