"""What the two measurements of a transform say together: safe, harmful, or cannot tell."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.invariances.bands import Units, drops_of, units_of
from eyespot.invariances.learning.candidates import Candidate
from eyespot.invariances.verdict import LEAD, MARGIN, points, rounded_up
from eyespot.metrics.intervals import Score

PROBE_MARGIN = 0.05
"""The drop of the probe that counts as none: more than that of trained networks, since its features did not learn the change."""
CLASS_IMAGES = 50
"""A class needs so many images for a verdict of its own."""
SAFE = "safe"
HARMFUL = "harmful"
UNKNOWN = "cannot tell"
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Margins:
    """Drops that count as none, of trained networks and of the probe."""

    trained: float
    probed: float

    @classmethod
    def of(cls, accuracy: float, constant: float) -> "Margins":
        """Less where the accuracy is hardly above a constant predictor's."""
        lead = max(0.0, accuracy - constant) / LEAD
        return cls(min(MARGIN, lead), min(PROBE_MARGIN, lead))


@dataclass(frozen=True)
class Tried:
    """One dose: the drop of the accuracy on unchanged images after training with it, and the drop of the probe on changed ones.

    trained, probed     None where it was not measured; `_control` of the kernel and the border alone
    classes             status of each class that has enough images and is not safe, and `becomes` what it is taken for
    """

    dose: float
    probed: Score
    trained: Score | None = None
    probed_control: Score | None = None
    trained_control: Score | None = None
    classes: dict[str, str] = field(default_factory=dict)

    def says_probe(self, margins: Margins) -> str:
        """The kernel's and the border's own harm is none of the transform's."""
        alone = max(0.0, self.probed_control["value"]) if self.probed_control else 0.0
        if self.probed["low"] - alone > margins.probed:
            return HARMFUL
        return SAFE if self.probed["high"] <= margins.probed else UNKNOWN

    def says_training(self, margins: Margins, probe: str) -> str:
        """A drop that is certain but within the margin is harm only where the probe says so, too."""
        if self.trained is None:
            return UNKNOWN
        alone = max(0.0, self.trained_control["value"]) if self.trained_control else 0.0
        if self.trained["low"] - alone > (0.0 if probe == HARMFUL else margins.trained):
            return HARMFUL
        return SAFE if self.trained["high"] <= margins.trained else UNKNOWN

    def status(self, margins: Margins) -> str:
        """What both say, if they say the same."""
        probe = self.says_probe(margins)
        agreed = probe if probe == self.says_training(margins, probe) else UNKNOWN
        if HARMFUL in self.classes.values():
            return HARMFUL
        return UNKNOWN if self.classes and agreed == SAFE else agreed


@dataclass(frozen=True)
class Learned:
    """The verdict on a transform.

    status   safe, harmful or cannot tell, and `dose` up to which, or at which
    tried    all doses, of which those with `trained` decide
    """

    candidate: Candidate
    status: str
    dose: float
    tried: Sequence[Tried]
    why: str

    @property
    def at(self) -> Tried:
        return next(t for t in self.tried if t.dose == self.dose)

    @property
    def pipeline(self) -> str:
        """What trains with it; empty where it is not safe."""
        return self.candidate.pipeline(self.dose) if self.status == SAFE else ""

    def as_dict(self) -> dict[str, Any]:
        tried = [vars(t) for t in self.tried]
        own = {"status": self.status, "up_to": self.dose, "unit": self.candidate.change.unit, "why": self.why}
        return {"transform": self.candidate.name} | own | {"augment": self.pipeline, "doses": tried}


def drop(before: Values, after: Values, units: Units, spread: float = 0.0) -> Score:
    """Of (N,) right before and after, with its interval, which is not narrower than that of means that vary so between seeds."""
    (score,) = drops_of((before.astype(float) - after)[None], units).scores()
    low = score["value"] - 1.96 * spread
    high = score["value"] + 1.96 * spread
    return score | {"low": min(score["low"], low), "high": max(score["high"], high)}


def of_classes(
    tried: Tried,
    before: Sequence[Values],
    after: Sequence[Values],
    labels: NDArray[np.int64],
    margins: Margins,
) -> dict[int, str]:
    """By class with enough images, harmful where both drops are certain, and cannot tell where only the probe's is.

    before, after   right (N,) of the trained networks and of the probe
    """
    from scipy.stats import norm

    counts = np.bincount(labels)
    judged = np.flatnonzero(counts >= CLASS_IMAGES)
    z = float(norm.isf(0.025 / max(1, len(judged))))
    result = {}
    for k in judged.tolist():
        own = labels == k
        lows = []
        for b, a in zip(before, after, strict=True):
            drops = drops_of((b.astype(float) - a)[None, own], units_of(int(own.sum()), None))
            lows.append(float(drops.limits(z)[0][0]))
        control = tried.probed_control["value"] if tried.probed_control else 0.0
        if lows[1] - max(0.0, control) > margins.probed:
            result[k] = HARMFUL if lows[0] > 0 else UNKNOWN
    return result


def verdict(candidate: Candidate, tried: Sequence[Tried], margins: Margins) -> Learned:
    """The largest dose that is safe; else the mildest that is harmful; else that it cannot be said, and why."""
    trained = [t for t in tried if t.trained is not None]
    safe = [t for t in trained if t.status(margins) == SAFE]
    harmful = [t for t in trained if t.status(margins) == HARMFUL]
    if safe and not any(t.dose <= safe[-1].dose for t in harmful):
        return Learned(candidate, SAFE, safe[-1].dose, tried, _beyond(candidate, tried, safe[-1], margins))
    if harmful:
        worst = harmful[0]
        return Learned(candidate, HARMFUL, worst.dose, tried, _classes(worst))
    if not trained:
        return Learned(candidate, UNKNOWN, tried[0].dose, tried, "no time was left to train with it")
    return Learned(candidate, UNKNOWN, trained[0].dose, tried, _undecided(trained[0], margins))


def _classes(tried: Tried) -> str:
    return "; ".join(name for name in list(tried.classes)[:3])


def _beyond(candidate: Candidate, tried: Sequence[Tried], safe: Tried, margins: Margins) -> str:
    """What ends the range."""
    after = next((t for t in tried if t.dose > safe.dose), None)
    if after is None:
        return "" if candidate.is_flip else "no larger one was tried"
    return f"at {candidate.text(after.dose)} the probe loses {points(after.probed['value'])}"


def _undecided(tried: Tried, margins: Margins) -> str:
    assert tried.trained is not None
    probe = tried.says_probe(margins)
    training = tried.says_training(margins, probe)
    if tried.classes and probe != HARMFUL:
        return f"not for each class: {_classes(tried)}"
    if probe != UNKNOWN and training != UNKNOWN:
        return f"training says {training}, the probe {probe}"
    short = [
        needed(score, margin)
        for score, says, margin in (
            (tried.trained, training, margins.trained),
            (tried.probed, probe, margins.probed),
        )
        if says == UNKNOWN
    ]
    if any(n is None for n in short):
        return "the drop is too near to the margin for any number of images"
    return f"about {max(n for n in short if n is not None):,} images would decide"


def needed(score: Score, margin: float) -> int | None:
    """Images with which the interval would end at the margin, if the drop stays; None where that is not likely"""
    distance = margin - score["value"]
    reach = score["high"] - score["value"] if distance > 0 else score["value"] - score["low"]
    if abs(distance) < 0.1 * reach:
        return None
    return rounded_up(max(score["n"] + 1, score["n"] * (reach / abs(distance)) ** 2))
