"""What is said of a cross-validation beside its metrics: which networks they are of, and how the folds differ."""

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from eyespot.metrics.intervals import Score, percent
from eyespot.plurals import count


@dataclass(frozen=True)
class FoldScores:
    """The main metric of each fold on its own validation set.

    title    of the metric
    word     what a sample is called
    k        folds of the cross-validation
    scores   by the number of the fold, from 1; those that are complete
    pooled   of all folds together, where the evaluation is of the ensemble on a test set
    """

    title: str
    word: str
    k: int
    scores: dict[int, Score]
    pooled: Score | None = None

    @property
    def missing(self) -> list[int]:
        return [fold for fold in range(1, self.k + 1) if fold not in self.scores]

    def lines(self) -> list[str]:
        """What the metrics are of, and the spread of the folds."""
        trained = f"a network trained on about {self.k - 1}/{self.k} of the {self.word}s, {self.among_them()}"
        if self.pooled is None:
            about = f"out-of-fold: each {self.word} was predicted by {trained}; the ensemble that predicts has not been measured"
        else:
            about = f"of the ensemble, on the test set; out-of-fold {self.title} {percent(self.pooled)}: each {self.word} by {trained}"
        return [about, self.spread()]

    @property
    def seen(self) -> int:
        """Samples that their network, or the weights that it started from, had been trained on."""
        return sum(score.get("seen", 0) for score in self.scores.values())

    def among_them(self) -> str:
        """Whether a sample was among those that its network had been trained on."""
        if not self.seen:
            return "that one not among them"
        n = sum(score["n"] for score in self.scores.values())
        return f"started from weights that had been trained on {self.seen:,} of these {n:,}"

    def spread(self) -> str:
        """The metric of each fold, and how they differ, as a line."""
        return f"folds: {self.title} {self.values()}"

    def values(self) -> str:
        """The values of the folds, in percent, and how they differ."""
        values = [100 * score["value"] for score in self.scores.values() if score["value"] is not None]
        text = ", ".join(f"{value:.1f}" for value in values) + "%"
        if len(values) < 2:
            return text
        return f"{text}; mean {fmean(values):.1f}, standard deviation {stdev(values):.1f} (a spread, not an interval)"

    def notes(self) -> tuple[str, ...]:
        """The warning about folds that are not trained yet."""
        if not self.missing:
            return ()
        numbers = ", ".join(map(str, self.missing))
        is_missing = "is" if len(self.missing) == 1 else "are"
        return (
            f"warning: {count(len(self.missing), 'fold')} of {self.k} ({numbers}) {is_missing} missing, "
            f"and so are their {self.word}s in these metrics",
        )

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        facts = {"metric": self.title, "k": self.k, "scores": {str(k): v for k, v in self.scores.items()}}
        return facts | ({} if self.pooled is None else {"out_of_fold": self.pooled})
