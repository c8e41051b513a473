"""Classes that a change harms more than the others, and classes that it turns into another: named where chance is no reason.

Of all classes and changes together, at most 5% of those that are named are expected to be named by chance
(Benjamini and Hochberg 1995).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyespot.invariances.measured import Measurement
from eyespot.invariances.views import View

RATE = 0.05
Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Outlier:
    """A class that stands out under a change at a severity.

    becomes   the class that most of its images are predicted as when they are changed; "" where it is only harmed more
    n, k      images of the class that were predicted correctly, and how many of them are wrong, or become the other class
    others    the share of wrong ones among those of the other classes
    """

    change: str
    severity: float
    text: str
    name: str
    becomes: str
    n: int
    k: int
    others: float
    p: float

    def __str__(self) -> str:
        at = f" {self.text}" if self.text else ""
        if self.becomes:
            return f"{self.change}{at}: {self.name} is predicted as {self.becomes} in {self.k} of {self.n}"
        return f"{self.change}{at}: {self.name} becomes wrong in {self.k} of {self.n}, the others in {self.others:.0%}"


def outliers_of(measurement: Measurement, labels: Classes, classes: Sequence[str]) -> list[Outlier]:
    """Those that stand out, the least likely first."""
    assert measurement.predicted is not None and measurement.changed is not None
    tested = []
    for measured in measurement.changes:
        change = measured.change
        severities = (change.standard,) if change.ordered else change.severities
        for severity in severities:
            view = View(change, severity)
            after = measurement.changed[view.key]
            tested += _of_view(view, measurement.predicted == labels, labels, after, classes)
    return false_discoveries(tested)


def _of_view(
    view: View, correct: NDArray[np.bool_], labels: Classes, after: Classes, classes: Sequence[str]
) -> list[Outlier]:
    from scipy.stats import binom, hypergeom

    change = view.change
    tested = []
    wrong = correct & (after != labels)
    total = int(correct.sum())
    total_wrong = int(wrong.sum())
    for label, name in enumerate(classes):
        of_class = correct & (labels == label)
        n = int(of_class.sum())
        k = int((wrong & of_class).sum())
        if n < 2:
            continue
        rest = total - n
        others = (total_wrong - k) / rest if rest else 0.0
        text = change.text(view.severity)
        more = float(hypergeom.sf(k - 1, total, total_wrong, n))
        tested.append(Outlier(change.name, view.severity, text, name, "", n, k, others, more))
        counts = np.bincount(after[of_class], minlength=len(classes))
        counts[label] = 0
        other = int(counts.argmax())
        most = float(binom.sf(int(counts[other]) - 1, n, 0.5))
        tested.append(
            Outlier(
                change.name, view.severity, text, name, classes[other], n, int(counts[other]), others, most
            )
        )
    return tested


def false_discoveries(tested: Sequence[Outlier], rate: float = RATE) -> list[Outlier]:
    """Those whose p-values are small enough that at most this share of them is expected to be due to chance."""
    order = sorted(tested, key=lambda outlier: outlier.p)
    passed = [i for i, outlier in enumerate(order, 1) if outlier.p <= rate * i / len(order)]
    return order[: passed[-1]] if passed else []


@dataclass(frozen=True)
class Standing:
    """The classes that stand out under one change at one severity, for a table."""

    change: str
    text: str
    becomes: list[str]
    wrong: list[str]


def by_change(outliers: Sequence[Outlier]) -> list[Standing]:
    """A row for each change and severity, in the order of its first class."""
    rows: dict[tuple[str, float], Standing] = {}
    for outlier in outliers:
        row = rows.setdefault(
            (outlier.change, outlier.severity), Standing(outlier.change, outlier.text, [], [])
        )
        if outlier.becomes:
            row.becomes.append(f"{outlier.name} as {outlier.becomes} ({outlier.k} of {outlier.n})")
        else:
            row.wrong.append(f"{outlier.name} ({outlier.k} of {outlier.n})")
    return list(rows.values())
