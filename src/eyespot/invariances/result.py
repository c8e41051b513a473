"""What `eyespot invariance` returns: for each change its curve, its verdict, and what stands out. Prints itself as a table."""

from dataclasses import dataclass
from typing import Any

from eyespot.console import format_table
from eyespot.invariances.assess import Assessed
from eyespot.invariances.changes import MEANING
from eyespot.invariances.outliers import Outlier
from eyespot.invariances.shown import fragment
from eyespot.metrics.intervals import Score, percent
from eyespot.plurals import count

NAMED = 6
"""Classes that stand out, in a terminal; JSON has all."""


@dataclass(frozen=True)
class Invariance:
    """What may change in an image without changing the prediction.

    changes   the numbers and the verdict of each change
    margin    the drop of the accuracy that counts as none
    accuracy  of the unchanged images; None without labels
    constant  the accuracy of a constant predictor
    flag      why no verdict can be given, where that is so
    outliers  classes that stand out
    layers    distances of features by layer: `layers.Layers`; None where they were not measured
    contract  what a contract demands and whether it holds: a `contract.Judgement`; None without one
    """

    run: str
    data: str
    word: str
    n: int
    groups: int | None
    changes: list[Assessed]
    margin: float
    accuracy: Score | None
    metric: str
    constant: float | None
    flag: str
    outliers: list[Outlier]
    causes: list[Any]
    notes: tuple[str, ...]
    errors: dict[str, str]
    contract: Any = None
    sawtooth: Any = None
    layers: Any = None
    images: Any = None
    measurement: Any = None

    def __getitem__(self, name: str) -> Assessed:
        """The change of this name."""
        return next(change for change in self.changes if change.name == name)

    def heading(self) -> str:
        """What was measured, on how many."""
        groups = f" in {count(self.groups, 'group')}" if self.groups else ""
        over = "groups" if self.groups else f"{self.word}s"
        return f"{count(self.n, self.word)}{groups} of {self.data}; in brackets 95% bands over all severities, for independent {over}"

    def table(self) -> str:
        """A line for each change."""
        return format_table(self.headers(), self.rows())

    def headers(self) -> list[str]:
        """The columns of the table."""
        return ["change", "up to", "status", "consistency", self.metric, "there and back", "random weights"]

    def rows(self) -> list[list[str]]:
        """The table, a row for each change."""
        return [self._row(change) for change in self.changes]

    def _repr_html_(self) -> str:
        return fragment(self)

    def _row(self, a: Assessed) -> list[str]:
        change = a.measured.change
        at = a.at
        return [
            change.name,
            change.text(change.severities[at]) or "-",
            a.verdict.status,
            percent(a.same[at]),
            percent(a.right[at]) if a.right else "no labels",
            percent(a.floor[at]) if a.floor else "exact" if change.exact else "-",
            f"{a.random['value']:.0%}" if a.random else "-",
        ]

    def lines(self) -> list[str]:
        """What a reader should know beside the table."""
        lines = [f"  {a.name}: {a.verdict.why}" for a in self.changes if a.verdict.why != self.flag]
        if self.flag:
            lines = [f"warning: {self.flag}"]
        if self.outliers:
            shown = self.outliers[:NAMED]
            more = f" (and {len(self.outliers) - NAMED} more)" * (len(self.outliers) > NAMED)
            lines += ["", "classes that stand out: " + "; ".join(map(str, shown)) + more]
        if self.causes:
            lines += ["", "why, and what to do", *(f"  {cause}" for cause in self.causes)]
        return lines

    def __str__(self) -> str:
        return "\n".join([*self.above(), "", self.table().rstrip(), "", *self.below()])

    def above(self) -> list[str]:
        """The lines before the table."""
        unchanged = []
        if self.accuracy is not None and self.constant is not None:
            unchanged = [
                f"unchanged: {self.metric} {percent(self.accuracy)}; a constant predictor {self.constant:.1%}; "
                f"a drop of up to {100 * self.margin:.2g} points counts as none"
            ]
        return [self.heading(), *unchanged]

    def below(self) -> list[str]:
        """The lines after it."""
        layers = self.layers.lines() if self.layers else []
        contract = ["", *self.contract.lines()] if self.contract else []
        return [*self.lines(), *layers, *contract, *self.notes]

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "run": self.run,
            "data": self.data,
            "n": self.n,
            "groups": self.groups,
            "metric": self.metric,
            "unchanged": self.accuracy,
            "margin": self.margin,
            "constant": {"consistency": 1.0, "accuracy": self.constant},
            "flag": self.flag or None,
            "transforms": [self._transform(change) for change in self.changes],
            "outliers": [vars(outlier) for outlier in self.outliers],
            "causes": [cause.as_dict() for cause in self.causes],
            "sawtooth": self.sawtooth.as_dict() if self.sawtooth else None,
            "layers": self.layers.as_dict() if self.layers else None,
            "contract": self.contract.as_dict() if self.contract else None,
            "notes": list(self.notes),
            "unreadable": self.errors,
        }

    def _transform(self, a: Assessed) -> dict[str, Any]:
        change = a.measured.change
        at = a.at

        def pick(scores: list[Score] | None) -> Score | None:
            return None if scores is None else scores[at]

        return {
            "transform": change.name,
            "meaning": MEANING[change.name],
            "status": a.verdict.status,
            "why": a.verdict.why,
            "severity": change.severities[at],
            "unit": change.unit,
            "exact": change.exact,
            "consistency": a.same[at],
            "chance": a.measured.chance,
            "accuracy": pick(a.right),
            "drop": a.verdict.drops[at],
            "harmful": pick(a.harmful),
            "helpful": pick(a.helpful),
            "tolerance": a.verdict.tolerance,
            "needed": a.verdict.needed,
            "worst_of": vars(a.trials) if a.trials else None,
            "there_and_back": pick(a.floor),
            "border": vars(a.border) | {"share": a.border.share} if a.border else None,
            "random_weights": a.random,
            "overlap": pick(a.overlap),
            "curve": [self._point(a, i) for i in range(len(change.severities))],
        }

    def _point(self, a: Assessed, i: int) -> dict[str, Any]:
        curves = {
            "consistency": a.same,
            "accuracy": a.right,
            "drop": a.verdict.drops,
            "harmful": a.harmful,
            "helpful": a.helpful,
            "there_and_back": a.floor,
            "overlap": a.overlap,
        }
        values = {name: scores[i] for name, scores in curves.items() if scores is not None}
        return {"severity": a.measured.change.severities[i]} | values
