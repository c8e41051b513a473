"""What was learned of a data set. Prints itself as a table."""

from dataclasses import dataclass, replace
from typing import Any

from eyespot.console import clock, format_table
from eyespot.data.guesses import Guess
from eyespot.invariances.learning.judge import Learned, Margins
from eyespot.invariances.learning.learner import FOLDS
from eyespot.invariances.verdict import points
from eyespot.metrics.intervals import Score
from eyespot.plurals import count


@dataclass(frozen=True)
class Ranges:
    """What was learned. Prints itself as a table.

    n          training images
    accuracy   of the quick networks without augmentation
    pipeline   what `train --augment` takes, and `reason`
    """

    name: str
    n: int
    word: str
    accuracy: float | None
    margins: Margins
    learned: list[Learned]
    pipeline: str
    reason: str
    seconds: float = 0.0
    flag: str = ""

    def undecided(self, flag: str) -> "Ranges":
        """The usual pipeline, where nothing could be learned."""
        return replace(self, flag=flag, reason=f"{self.reason}; nothing could be learned: {flag}")

    def __getitem__(self, name: str) -> Learned:
        return next(one for one in self.learned if one.candidate.name == name)

    @property
    def guess(self) -> Guess:
        return Guess("augment", self.pipeline, self.reason, "--augment none, or a pipeline of your own")

    def as_dict(self) -> dict[str, Any]:
        own = {"data": self.name, "n": self.n, "accuracy": self.accuracy, "margins": vars(self.margins)}
        end = {"augment": self.pipeline, "reason": self.reason, "flag": self.flag, "seconds": self.seconds}
        return own | {"transforms": [one.as_dict() for one in self.learned]} | end

    def __str__(self) -> str:
        what = f"{count(self.n, f'training {self.word}')} of {self.name}"
        if self.flag:
            return f"{what}: cannot tell, as {self.flag}"
        head = (
            f"{what}, {FOLDS} quick networks for each line: accuracy {self.accuracy:.1%} without augmentation; "
            f"learned in {clock(self.seconds)}"
        )
        headers = ["transform", "up to", "verdict", "training with it", "probe", "kernel and border", "why"]
        about = (
            f"training with it: change of the accuracy on unchanged {self.word}s; probe: that of nearest neighbours on changed "
            f"ones, in features that were not trained with it; in points, with 95% intervals. Safe: no drop above "
            f"{points(self.margins.trained)} and {points(self.margins.probed)}; harmful: both drop for certain."
        )
        table = format_table(headers, [_row(one) for one in self.learned]).rstrip()
        return "\n".join([head, "", table, "", about, f"--augment '{self.pipeline}': {self.reason}"])

    __repr__ = __str__


def _row(one: Learned) -> list[str]:
    at = one.at
    control = at.probed_control and f"{-100 * at.probed_control['value']:+.1f}"
    cells = [_change(at.trained), _change(at.probed), control or "-"]
    return [one.candidate.name, one.candidate.text(one.dose) or "-", one.status, *cells, one.why or "-"]


def _change(score: Score | None) -> str:
    """A drop as a change: negative where something is lost"""
    if score is None:
        return "-"
    return f"{-100 * score['value']:+.1f} ({-100 * score['high']:+.1f} to {-100 * score['low']:+.1f})"
