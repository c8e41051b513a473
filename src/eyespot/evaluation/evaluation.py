"""What an evaluation is, and what a task has to provide for one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eyespot.console import MANY
from eyespot.data.groups import Grouping, grouping
from eyespot.data.sources.samples import Source
from eyespot.evaluation.fold_scores import FoldScores
from eyespot.metrics.intervals import percent
from eyespot.notebook import html
from eyespot.plurals import count
from eyespot.prediction.predictor import Predictor


class Details(Protocol):
    """What an evaluation keeps beside the metrics, by task, and how it is shown."""

    titles: dict[str, str]
    """The metrics that are shown, and what they are called."""

    def heading(self, of: str = "") -> str:
        """How many samples, and what the intervals are. of   which set they are: " of the test set" """
        ...

    paths: list[str]
    groups: Grouping | None
    """What belongs together among the samples."""

    def over(self) -> str:
        """What the intervals are: by bootstrap over so many groups, or for independent samples."""
        ...

    def table(self, scores: dict[str, Any]) -> list[str]:
        """Lines of the metrics of each class."""
        ...

    def columns(self, scores: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
        """The same as headers and rows."""
        ...

    def worst(self) -> tuple[str, list[str]]:
        """For a notebook: a title, and the worst samples as HTML."""
        ...

    def remarks(self, scores: dict[str, Any]) -> list[str]:
        """What else is worth a line."""
        ...

    def brief(self, scores: dict[str, Any]) -> dict[str, Any]:
        """The metrics without what is large where there are many classes."""
        ...

    def examples(self) -> str:
        """A line each for a few samples; empty where lines say nothing."""
        ...

    def rows(self) -> Iterator[dict[str, Any]]:
        """For each sample what was predicted, by the columns of a CSV."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """What JSON has beside the metrics."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """Metrics with intervals, and what they came from. Prints itself as a table.

    scores    metrics by name: each a value with n and a 95% interval; "classes" has those of each class
    details   the samples and their predictions: see `classes.py` and `masks.py`
    errors    the reason for each file that could not be read
    notes     warnings about the metrics, each one line
    seen      how many of the samples ("of") the network has been trained on ("n"), and these files, each with its original
              where it is a copy; empty where that is not known
    folds     of a cross-validation, the metrics of each fold
    split     "validation" or "test", the set that the samples are; empty for others
    """

    scores: dict[str, Any]
    classes: list[str]
    details: Any
    errors: dict[str, str]
    notes: tuple[str, ...] = ()
    seen: dict[str, Any] = field(default_factory=dict)
    folds: FoldScores | None = None
    split: str = ""

    def as_dict(self, full: bool = True) -> dict[str, Any]:
        """The metrics, ready for JSON. full   also what is large where there are many classes"""
        rest: dict[str, Any] = {"unreadable": self.errors, "notes": list(self.notes), "seen": self.seen}
        rest["split"] = self.split or None
        if self.folds is not None:
            rest["folds"] = self.folds.as_dict()
        scores = self.scores if full else self.details.brief(self.scores)
        return scores | self.details.as_dict() | rest

    def single(self) -> dict[str, Any]:
        """The metrics that are one number each."""
        return {k: v for k, v in self.scores.items() if isinstance(v, dict) and "value" in v}

    def __str__(self) -> str:
        lines = [self._heading(), *(self.folds.lines() if self.folds else ()), ""]
        lines += [f"{title:<20}{score}" for title, score in self.headline()]
        seen = self._seen_line()
        lines += [
            "",
            *[seen] * bool(seen),
            *self.details.table(self.scores),
            *self.details.remarks(self.scores),
        ]
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__

    def _heading(self) -> str:
        return self.details.heading(f" of the {self.split} set" if self.split else "")

    def headline(self) -> list[tuple[str, str]]:
        """The main metrics: what each is called, and its value with the interval."""
        return [
            (title, percent(self.scores[k])) for k, title in self.details.titles.items() if k in self.scores
        ]

    def _seen_line(self) -> str:
        seen = self.seen
        return f"by class, {seen['n']:,} of all {seen['of']:,} seen in training:" if seen.get("n") else ""

    def _repr_html_(self) -> str:
        d = self.details
        title, worst = d.worst()
        headers, rows = d.columns(self.scores)
        return html.result(
            html.line(self._heading()),
            html.lines(self.folds.lines() if self.folds else ()),
            html.table(["metric", "value (95% interval)"], self.headline(), "metric"),
            html.lines([self._seen_line()]),
            html.table(headers, rows, "class"),
            html.lines([*d.remarks(self.scores), *self.notes]),
            html.line(title),
            html.cards(worst),
        )

    def examples(self) -> str:
        """A line each for a few samples and their predictions."""
        return self.details.examples()


class Evaluator(Protocol):
    """How the predictions of a task are compared with the truth."""

    titles: dict[str, str]
    """The metrics that are shown, and what they are called."""

    def finish(
        self,
        predictor: Predictor,
        survey: Any,
        val: NDArray[np.int64],
        rows: NDArray[np.int64],
        groups: Grouping | None,
    ) -> tuple[Evaluation, dict[str, Any]]:
        """Evaluate rows of a survey after training; and what the card learns from the validation rows."""
        ...

    def pool(
        self, evaluations: Sequence[Evaluation], names: Mapping[str, str] | None, share: str
    ) -> Evaluation:
        """The metrics of the samples of several evaluations together.

        names   the group of each sample by its path; None where each is on its own
        share   what these groups are of all, in words
        """
        ...

    def reading(self, predictor: Predictor) -> dict[str, Any]:
        """The settings with which data have to be read for this model, besides the task."""
        ...

    def on_source(
        self, predictor: Predictor, source: Source, run: Path, data: str, share: str = ""
    ) -> Evaluation:
        """Evaluate a data set. share   how many of all groups these are, in words. Raises UserError for one of another task or with other classes."""
        ...


def of_sources(source: Source, rows: NDArray[np.int64], share: str) -> Grouping | None:
    """The groups of the samples that were read, where the data set has groups."""
    groups = source.groups
    return None if groups is None else grouping([groups[int(i)] for i in rows], share)


def groups_by_path(paths: list[str], names: Mapping[str, str] | None, share: str) -> Grouping | None:
    """The groups of samples by their paths."""
    return None if names is None else grouping([names[path] for path in paths], share)


def all_errors(evaluations: Sequence[Evaluation]) -> dict[str, str]:
    """The reasons for files that could not be read, of several evaluations."""
    return {path: reason for evaluation in evaluations for path, reason in evaluation.errors.items()}


def over_what(groups: Grouping | None, word: str) -> str:
    """What the intervals are, for the line above the scores.

    >>> over_what(None, "image")
    '95% interval for independent images'
    """
    if groups is None:
        return f"95% interval for independent {word}s"
    share = f" ({groups.share})" if groups.share else ""
    return f"95% interval by bootstrap over {count(groups.n, 'group')}{share}"


def in_order_of(of_classes: dict[str, Any], key: str) -> list[tuple[str, Any]]:
    """The metrics of the classes; if there are many, of those that have images, by one metric, the worst first."""
    if len(of_classes) <= MANY:
        return [*of_classes.items()]
    present = [item for item in of_classes.items() if item[1][key]["value"] is not None]
    return sorted(present, key=lambda item: item[1][key]["value"])


def order_line(of_classes: dict[str, Any], title: str) -> list[str]:
    """How `in_order_of` has ordered the classes; nothing where they keep their order."""
    return [f"classes by {title}, the lowest first:"] * (len(of_classes) > MANY)


def nothing_usable(errors: dict[str, str]) -> str:
    """The sentence for a data set of which no sample can be used, by the reason for each."""
    path, reason = next(iter(errors.items()))
    return f"none of the {count(len(errors), 'image')} can be used; the first, {path}: {reason}"
