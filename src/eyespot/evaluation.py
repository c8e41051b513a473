"""A predictor tried on labelled images: the scores, and the predictions behind them."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.console import count, track
from eyespot.data.header import WORD, Array
from eyespot.data.images import load_images
from eyespot.data.scan import scan
from eyespot.data.sources.find import find_samples
from eyespot.data.sources.samples import Source
from eyespot.data.store import Store
from eyespot.errors import UserError
from eyespot.metrics.classes import TITLES, percent, score
from eyespot.prediction.predictor import Predictor
from eyespot.weights.card import Card

SPLIT = "split.csv"
POSITIONS = 2**21
"""Of the images that a GPU answers at once: it is quicker with many small ones."""


@dataclass(frozen=True)
class Evaluation:
    """Scores with intervals, and what they came from. Prints itself as a table.

    paths, pixels, labels, probabilities   by image: (N,), (N, *S, C), (N,), (N, classes)
    errors                                 the reason for each file that could not be read
    """

    scores: dict[str, Any]
    classes: list[str]
    paths: list[str]
    pixels: Array
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    errors: dict[str, str]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The scores, ready for JSON."""
        return self.scores | {"unreadable": self.errors, "notes": list(self.notes)}

    def __str__(self) -> str:
        s, n = self.scores, len(self.labels)
        lines = [f"{count(n, WORD[self.pixels.ndim - 2])}; in brackets the 95% interval", ""]
        lines += [f"{title:<20}{percent(s[key])}" for key, title in TITLES.items() if key in s]
        width = max(8, *(len(c) for c in self.classes))
        lines += ["", f"{'class':<{width}}  {'recall':<20} {'precision':<20} {'F1':<20} n"]
        for name, c in s["classes"].items():
            lines.append(
                f"{name:<{width}}  {percent(c['recall']):<20} {percent(c['precision']):<20} {percent(c['f1']):<20} {c['recall']['n']:,}"
            )
        worst = confusions(s["confusion"], self.classes)
        if worst:
            lines += ["", "most confused: " + "; ".join(f"{a} taken for {b} ({n})" for a, b, n in worst[:5])]
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__

    def examples(self, most: int = 8) -> str:
        """A line for a few images, spread over the set: the answer, and where it is wrong the truth."""
        lines = []
        for i in range(0, len(self.labels), max(1, len(self.labels) // most))[:most]:
            p = self.probabilities[i]
            right = "" if p.argmax() == self.labels[i] else f"   wrong: it is {self.classes[self.labels[i]]}"
            lines.append(f"  {self.paths[i]}  {self.classes[p.argmax()]}  {100 * p.max():.1f}%{right}")
        return "\n".join(lines)


def confusions(matrix: list[list[int]], classes: list[str]) -> list[tuple[str, str, int]]:
    """Pairs (truth, prediction, images) of mistakes, the most frequent first."""
    pairs = [
        (classes[i], classes[j], n) for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j and n
    ]
    return sorted(pairs, key=lambda p: -p[2])


def answer(predictor: Predictor, pixels: Store, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, classes) logits for the given rows of decoded images, with progress"""
    many = max(16, POSITIONS // int(np.prod(predictor.preprocessing.shape[:-1])))
    batch = min(256, many) if predictor.device == "cpu" else many
    parts = np.array_split(rows, max(1, -(-len(rows) // batch)))
    return np.concatenate([predictor.logits(pixels[part]) for part in track(parts, len(parts), "evaluating")])


def assess(
    card: Card,
    paths: list[str],
    pixels: Array,
    labels: NDArray[np.int64],
    logits: NDArray[np.float32],
    errors: dict[str, str],
    notes: tuple[str, ...] = (),
) -> Evaluation:
    """The Evaluation of logits that are already there."""
    from scipy.special import softmax

    p = softmax(logits.astype(np.float64) / card.temperature, axis=1)
    return Evaluation(score(p, labels, card.classes), card.classes, paths, pixels, labels, p, errors, notes)


def evaluate(predictor: Predictor, run: Path, data: str | os.PathLike | None = None) -> Evaluation:
    """Try a predictor on a data set with its classes (its test images, if it has such), or on the run's held-out images."""
    source = part(find_samples(data), "test") if data is not None else held_out(run)
    if source.has_masks:
        raise UserError(
            f"{data} has masks, and {run} tells the class of a whole image: give folders of classes"
        )
    strange = sorted({s.label for s in source.samples} - set(predictor.classes))
    if strange:
        raise UserError(
            f"the model does not know the class {strange[0]!r} of {data}; it knows {', '.join(predictor.classes[:8])}{', ...' if len(predictor.classes) > 8 else ''}"
        )
    headers = scan(source)
    images = load_images(source, headers, predictor.preprocessing)
    errors = {str(source.samples[i].path): reason for i, reason in sorted(images.errors.items())}
    if not len(images.rows):
        path, reason = next(iter(errors.items()))
        raise UserError(f"none of the {len(source.samples)} images can be used; the first, {path}: {reason}")
    samples = [source.samples[int(i)] for i in images.rows]
    labels = np.array([predictor.classes.index(s.label) for s in samples], np.int64)
    digests = [headers.headers[int(i)].digest.hex() for i in images.rows]
    logits = answer(predictor, images.pixels, np.arange(len(labels)))
    return assess(
        predictor.card,
        [str(s.path) for s in samples],
        images.pixels[:],
        labels,
        logits,
        errors,
        _notes(run, digests, labels, predictor.classes),
    )


def _notes(run: Path, digests: list[str], labels: NDArray[np.int64], classes: list[str]) -> tuple[str, ...]:
    """What a reader of the scores has to know."""
    trained = trained_content(run)
    known, notes = sum(d in trained for d in digests), []
    if known:
        notes.append(
            f"warning: {known:,} of these {len(digests):,} images were trained on, so the scores are too good"
        )
    absent = [name for k, name in enumerate(classes) if k not in set(labels.tolist())]
    if absent:
        notes.append(f"note: no image of {', '.join(absent[:8])}: left out of the averages over classes")
    return tuple(notes)


def trained_content(run: Path) -> set[str]:
    """The digests of the files that a run trained on, as far as it tells."""
    rows = split_rows(run) if (run / SPLIT).exists() else []
    return {row["content"] for row in rows if row["split"] == "train"}


def split_rows(run: Path) -> list[dict[str, str]]:
    """The rows of a run's split.csv."""
    try:
        with (run / SPLIT).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(
            f"{run / SPLIT} cannot be read ({error.strerror}), so the held-out images are not known: name a data set to evaluate on"
        ) from error


def held_out(run: Path) -> Source:
    """The images that a run did not train on: its test images, or those held out."""
    source = find_samples(run / SPLIT) if (run / SPLIT).exists() else None
    if source is None:
        raise UserError(
            f"{run} has no {SPLIT}, so the held-out images are not known: name a data set to evaluate on"
        )
    return part(source, "test", "val")


def part(source: Source, *splits: str) -> Source:
    """The images of the first of these splits that there is; all of them, if there is none."""
    wanted = next((split for split in splits if split in source.splits), None)
    return source.only([i for i, s in enumerate(source.samples) if wanted in (None, s.split)])
