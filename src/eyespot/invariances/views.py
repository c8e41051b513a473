"""What is predicted for each change: every severity, there and back, other directions, and crops without a border."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eyespot.data.header import Array
from eyespot.invariances.changes import Change, Move
from eyespot.invariances.original import Original

LEAST = 0.5
"""Share of each axis that a crop without a border keeps at least."""


@dataclass(frozen=True)
class View:
    """One way in which every image is predicted.

    kind  changed; back: there and back with the same kernel; inner: changed, and cropped to what comes from inside the image;
          whole: the unchanged image in that crop
    """

    change: Change
    severity: float
    kind: str = "changed"
    trial: int = 0

    @property
    def key(self) -> tuple[str, str, float, int]:
        return self.change.name, self.kind, self.severity, self.trial

    @property
    def is_usual(self) -> bool:
        """Whether the controls are measured on it, too."""
        at_usual = self.severity == self.change.standard or not self.change.ordered
        return self.kind == "changed" and self.trial == 0 and at_usual

    def of(self, originals: Sequence[Original]) -> list[Array | None]:
        """The arrays; None for an image that has no such crop."""
        if self.kind == "whole":
            return [self.cropped(o, o.array) for o in originals]
        changed = self.change.apply(originals, self.severity, self.trial)
        if self.kind == "inner":
            return [self.cropped(o, array) for o, array in zip(originals, changed, strict=True)]
        if self.kind == "back":
            return list(self.change.back(originals, changed, self.severity) or [None] * len(changed))
        return list(changed)

    def cropped(self, original: Original, array: Array) -> Array | None:
        """The middle of an array, whose pixels all come from inside of the original."""
        assert isinstance(self.change, Move)
        if original.prepared:
            return None
        inside = self.change.inside(original, self.severity)
        sizes = inside.shape
        depth = np.full(sizes, np.inf)
        for axis, n in enumerate(sizes):
            line = (np.minimum(np.arange(n), np.arange(n)[::-1]) + 1) / n
            depth = np.minimum(depth, line.reshape(-1, *[1] * (len(sizes) - axis - 1)))
        most = float(depth[~inside].max(initial=0.0))
        margins = [int(most * n + 1e-6) for n in sizes]
        if any(n - 2 * m < LEAST * n for n, m in zip(sizes, margins, strict=True)):
            return None
        return array[tuple(slice(m, n - m) for n, m in zip(sizes, margins, strict=True))]


def views_of(change: Change, crops: bool = True) -> Iterator[View]:
    """All that is predicted for a change. crops   also without a border"""
    for severity in change.severities:
        yield View(change, severity)
        if isinstance(change, Move):
            yield View(change, severity, "back")
    for trial in range(1, change.trials):
        yield View(change, change.standard, trial=trial)
    if isinstance(change, Move) and crops:
        yield View(change, change.standard, "inner")
        yield View(change, change.standard, "whole")
