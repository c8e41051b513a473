"""Predicted classes compared with the labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.console import long_table, track
from eyespot.data.duplicates.recognise import Looked
from eyespot.data.groups import Grouping
from eyespot.data.header import WORD, Header
from eyespot.data.images import Images, load_images
from eyespot.data.scan import scan
from eyespot.data.sources.samples import Source
from eyespot.data.sources.words import names_images, names_mask
from eyespot.data.store import RowStore, Store
from eyespot.data.surveys.survey import Survey
from eyespot.errors import UserError
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
from eyespot.evaluation.shown import mistakes
from eyespot.metrics.class_groups import widened
from eyespot.metrics.classes import TITLES, score, temperature
from eyespot.metrics.intervals import class_percent
from eyespot.plurals import count
from eyespot.prediction.output import NOT_FINITE
from eyespot.prediction.predictor import Predictor

LARGEST_MATRIX = 200
"""Classes up to which JSON has the whole confusion matrix, unless asked."""
CONFUSIONS = 1000
"""Pairs of classes in JSON in place of a larger matrix."""
POSITIONS = 2**21
"""Of the images that a GPU predicts at once: it is faster with many small ones."""


@dataclass(frozen=True)
class ClassDetails:
    """By image: paths (N,), pixels (*S, C) each, labels (N,), probabilities (N, classes)."""

    paths: list[str]
    pixels: RowStore
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    classes: list[str]
    groups: Grouping | None = None
    titles = TITLES

    def heading(self, of: str = "") -> str:
        return f"{count(len(self.labels), self.word)}{of}; in brackets the {self.over()}"

    def over(self) -> str:
        return over_what(self.groups, self.word)

    @property
    def word(self) -> str:
        return WORD[self.pixels[0].ndim - 1]

    def table(self, scores: dict[str, Any]) -> list[str]:
        return [
            *order_line(scores["classes"], "F1"),
            *long_table(*self.columns(scores), "class", len(self.classes)),
        ]

    def columns(self, scores: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
        rows = [
            [
                name,
                *(class_percent(of_class, key, self.word) for key in ("recall", "precision", "f1")),
                f"{of_class['recall']['n']:,}",
            ]
            for name, of_class in in_order_of(scores["classes"], "f1")
        ]
        return ["class", "recall", "precision", "F1", "n"], rows

    def worst(self) -> tuple[str, list[str]]:
        n, cards = mistakes(self.pixels, self.paths, self.labels, self.probabilities, self.classes)
        title = f"most wrong of {count(n, 'mistake')}: the {self.word}s whose own class has the lowest probability"
        return title if n else "no mistakes", cards

    def remarks(self, scores: dict[str, Any]) -> list[str]:
        most = confusions(scores["confusion"], self.classes)[:5]
        if not most:
            return []
        return ["", "most confused: " + "; ".join(f"{a} taken for {b} ({n})" for a, b, n in most)]

    def as_dict(self) -> dict[str, Any]:
        return {}

    def rows(self) -> Iterator[dict[str, Any]]:
        with_probabilities = len(self.classes) <= LARGEST_MATRIX
        for path, label, p in zip(self.paths, self.labels.tolist(), self.probabilities, strict=True):
            row = {"path": path, "label": self.classes[label], "predicted": self.classes[int(p.argmax())]}
            row |= {"probability": f"{p.max():.6f}"}
            if with_probabilities:
                row |= {f"p:{c}": f"{v:.6f}" for c, v in zip(self.classes, p.tolist(), strict=True)}
            yield row

    def brief(self, scores: dict[str, Any]) -> dict[str, Any]:
        """The metrics with the most frequent confusions in place of a large matrix."""
        if len(self.classes) <= LARGEST_MATRIX:
            return scores
        most = confusions(scores["confusion"], self.classes)[:CONFUSIONS]
        listed = [{"class": a, "predicted": b, "n": n} for a, b, n in most]
        return {k: v for k, v in scores.items() if k != "confusion"} | {"confusions": listed}

    def examples(self, most: int = 8) -> str:
        """A line for a few images, spread over the set: the prediction, and where it is wrong the label."""
        lines = []
        for i in range(0, len(self.labels), max(1, len(self.labels) // most))[:most]:
            p = self.probabilities[i]
            label = self.classes[self.labels[i]]
            correction = "" if p.argmax() == self.labels[i] else f"   wrong: it is {label}"
            lines.append(f"  {self.paths[i]}  {self.classes[p.argmax()]}  {100 * p.max():.1f}%{correction}")
        return "\n".join(lines)


def confusions(matrix: list[list[int]], classes: list[str]) -> list[tuple[str, str, int]]:
    """Pairs (truth, prediction, images) of mistakes, the most frequent first."""
    counts = np.array(matrix)
    np.fill_diagonal(counts, 0)
    rows, columns = np.nonzero(counts)
    order = np.argsort(-counts[rows, columns], kind="stable")
    pairs = zip(rows[order].tolist(), columns[order].tolist(), strict=True)
    return [(classes[i], classes[j], int(counts[i, j])) for i, j in pairs]


class ClassEvaluator:
    """See `evaluation.Evaluator`."""

    titles = TITLES

    def finish(
        self,
        predictor: Predictor,
        survey: Survey,
        val: NDArray[np.int64],
        rows: NDArray[np.int64],
        groups: Grouping | None,
    ) -> tuple[Evaluation, dict[str, Any]]:
        """Fit the temperature on the validation rows, then evaluate."""
        pixels = survey.images.pixels
        logits_val = logits_of(predictor, pixels, val)
        logits = logits_val if np.array_equal(rows, val) else logits_of(predictor, pixels, rows)
        finite = np.isfinite(logits_val).all(1)
        fitted = temperature(logits_val[finite], survey.labels[val][finite])
        samples = survey.source.samples
        errors = {str(samples[i].path): reason for i, reason in survey.images.errors.items()}
        details = ClassDetails(
            [str(samples[int(i)].path) for i in survey.images.rows[rows]],
            RowStore(pixels, rows),
            survey.labels[rows],
            probabilities_of(logits, fitted),
            predictor.classes,
            groups,
        )
        details, more = finite_only(details)
        return evaluation_of(details, errors | more), {"temperature": fitted}

    def pool(
        self, evaluations: Sequence[Evaluation], names: Mapping[str, str] | None, share: str
    ) -> Evaluation:
        """See `Evaluator`."""
        pieces: list[ClassDetails] = [evaluation.details for evaluation in evaluations]
        paths = [path for piece in pieces for path in piece.paths]
        details = ClassDetails(
            paths,
            RowStore.joined([piece.pixels for piece in pieces]),
            np.concatenate([piece.labels for piece in pieces]),
            np.concatenate([piece.probabilities for piece in pieces]),
            evaluations[0].classes,
            groups_by_path(paths, names, share),
        )
        return evaluation_of(details, all_errors(evaluations))

    def reading(self, predictor: Predictor) -> dict[str, Any]:
        return {}

    def on_source(
        self, predictor: Predictor, source: Source, run: Path, data: str, share: str = ""
    ) -> Evaluation:
        """Evaluate folders of classes."""
        read = read_labelled(predictor, source, run, data)
        rows = np.arange(len(read.labels))
        logits = logits_of(predictor, read.images.pixels, rows)
        details = ClassDetails(
            read.paths,
            RowStore(read.images.pixels, rows),
            read.labels,
            probabilities_of(logits, predictor.card.temperature),
            predictor.classes,
            of_sources(source, read.images.rows, share),
        )
        details, more = finite_only(details)
        evaluation = evaluation_of(details, read.errors | more, read.notes)
        return check_seen(evaluation, run, predictor.card, read.looked, read.paths)


@dataclass(frozen=True)
class Labelled:
    """The images of a source that could be read, in the order of `images.rows`.

    labels   (N,) positions of their classes
    headers  of their files
    errors   the reason for each file that could not be read
    notes    about the classes and the files, for people
    looked   what is compared with the images that a network has seen
    """

    images: Images
    paths: list[str]
    labels: NDArray[np.int64]
    headers: list[Header]
    errors: dict[str, str]
    notes: tuple[str, ...]
    looked: Looked


def read_labelled(predictor: Predictor, source: Source, run: Path, data: str) -> Labelled:
    """The images of a source with their classes. Raises UserError for one with other classes, and where none is readable."""
    check_source(predictor, source, run, data)
    preprocessing = predictor.preprocessing
    scanned = scan(source, preprocessing.read_options)
    images = load_images(source, scanned, preprocessing)
    errors = {str(source.samples[i].path): reason for i, reason in sorted(images.errors.items())}
    if not len(images.rows):
        raise UserError(nothing_usable(errors))
    samples = [source.samples[int(i)] for i in images.rows]
    labels = np.array([predictor.classes.index(s.label) for s in samples], np.int64)
    headers = [scanned.headers[int(i)] for i in images.rows]
    notes = (*notes_about_classes(labels, predictor.classes), *notes_about_files(preprocessing, headers))
    looked = Looked(headers, images.pixels, images.thumbs, preprocessing, samples)
    return Labelled(images, [str(s.path) for s in samples], labels, headers, errors, notes, looked)


def finite_only(details: ClassDetails) -> tuple[ClassDetails, dict[str, str]]:
    """The samples that have a prediction, and the reason for each other one: see `prediction.output.NOT_FINITE`.

    Raises UserError where none has one.
    """
    keep = np.flatnonzero(np.isfinite(details.probabilities).all(1))
    if len(keep) == len(details.labels):
        return details, {}
    errors = dict.fromkeys(np.delete(np.array(details.paths, object), keep).tolist(), NOT_FINITE)
    if not len(keep):
        raise UserError(nothing_usable(errors))
    kept = replace(
        details,
        paths=[details.paths[i] for i in keep],
        pixels=RowStore(details.pixels, keep),
        labels=details.labels[keep],
        probabilities=details.probabilities[keep],
        groups=details.groups and details.groups.only(keep.tolist()),
    )
    return kept, errors


def evaluation_of(details: ClassDetails, errors: dict[str, str], notes: tuple[str, ...] = ()) -> Evaluation:
    """The metrics of predictions that were made."""
    scores = score(details.probabilities, details.labels, details.classes)
    if details.groups is not None:
        scores = widened(scores, details.probabilities, details.labels, details.groups.names)
        notes = (*notes, *details.groups.notes())
    return Evaluation(scores, details.classes, details, errors, notes)


def logits_of(predictor: Predictor, pixels: Store, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, classes) logits for the given rows of decoded images, with progress"""
    at_once = max(16, POSITIONS // int(np.prod(predictor.preprocessing.shape[:-1])))
    batch = min(256, at_once) if predictor.device == "cpu" else at_once
    batches = np.array_split(rows, max(1, -(-len(rows) // batch)))
    return np.concatenate(
        [
            predictor.logits(pixels[chosen])
            for chosen in track(batches, len(batches), "evaluating, batches of images")
        ]
    )


def probabilities_of(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """(N, classes), each row of sum 1"""
    from scipy.special import softmax

    return softmax(logits.astype(np.float64) / temperature, axis=1)


def check_source(predictor: Predictor, source: Source, run: Path, data: str) -> None:
    """Raises UserError for masks, and for classes that the model does not know."""
    folders = {sample.label for sample in source.samples} - set(predictor.classes)
    if source.has_masks or (any(map(names_mask, folders)) and any(map(names_images, folders))):
        raise UserError(
            f"{data} has masks, and {run} predicts the class of an image: give folders of classes"
        )
    unknown = sorted({s.label for s in source.samples} - set(predictor.classes))
    if unknown:
        known = ", ".join(predictor.classes[:8]) + (", ..." if len(predictor.classes) > 8 else "")
        raise UserError(f"the model does not know the class {unknown[0]!r} of {data}; it knows {known}")


def notes_about_classes(labels: NDArray[np.int64], classes: list[str]) -> tuple[str, ...]:
    """The note about classes without an image, if there are any."""
    present = set(labels.tolist())
    absent = [name for k, name in enumerate(classes) if k not in present]
    if not absent:
        return ()
    names = ", ".join(absent[:8]) + f" and {count(len(absent) - 8, 'other class')}" * (len(absent) > 8)
    return (f"note: no image of {names}: not part of the averages over classes",)
