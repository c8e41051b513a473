"""The two measurements of a transform: training with it, and the probe. Each dose is a verdict's evidence."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from eyespot.augment.pipeline import Pipeline, parse
from eyespot.config import Config
from eyespot.data.folds import assign_folds
from eyespot.data.surveys.survey import Survey
from eyespot.invariances.bands import units_of
from eyespot.invariances.learning.candidates import Candidate
from eyespot.invariances.learning.judge import (
    HARMFUL,
    SAFE,
    Learned,
    Margins,
    Tried,
    drop,
    of_classes,
    verdict,
)
from eyespot.invariances.learning.probe import Probe, Probed
from eyespot.invariances.learning.quick import Network, Rows, quick_config, train_quick
from eyespot.metrics.intervals import Score
from eyespot.tasks.batches import measure

FOLDS = 3
"""Of the training images: as many networks, each with a seed of its own, and every image is held out by one."""
FINE = 1.25
"""Doses between the last that is safe and the first that is not are tried until they differ by no more than this factor."""


SLOW = 4
"""Times that networks and probe are made at least, for anything to be learned."""


class TooSlow(Exception):
    """The seconds that would be needed at least."""


class Learner:
    """Quick networks and the probe, on rows of a survey."""

    def __init__(
        self, survey: Survey, settings: Config, rows: Rows, clusters: Rows, seconds: float | None = None
    ):
        """Raises TooSlow where so many seconds are not enough, which the first network shows."""
        self.start = time.monotonic()
        self.survey = survey
        self.rows = rows
        self.labels = survey.labels[rows]
        self.folds = assign_folds(self.labels, clusters, FOLDS, settings.seed)
        grouped = len(np.unique(clusters)) < len(clusters)
        self.units = units_of(len(rows), clusters.tolist() if grouped else None)
        self.config = quick_config(survey, settings)
        self.normal = measure(survey.images.pixels, rows)
        self.images = survey.images.pixels[rows]
        networks = self.networks("none", seconds=seconds)
        self.before = self.right(networks)
        self.probe = Probe(self.images, self.labels, self.folds, networks)
        self.before_probe = (self.probe.unchanged == self.labels).astype(float)
        self.constant = float(np.bincount(self.labels).max() / len(rows))
        self.margins = Margins.of(float(self.before.mean()), self.constant)
        self.spreads: list[float] = []

    def networks(self, pipeline: str, control: bool = False, seconds: float | None = None) -> list[Network]:
        """One for each fold, trained on the others.

        control   whether images are changed back, so that only the kernel and the border are left
        seconds   of which a network may take a share
        """
        alter = self._there_and_back(pipeline) if control else None
        used = "none" if control else pipeline
        start = time.monotonic()
        networks = []
        for k in range(FOLDS):
            rows = self.rows[self.folds != k]
            networks.append(train_quick(self.survey, self.config, rows, self.normal, used, k, alter))
            self.cost = (time.monotonic() - start) * FOLDS / (k + 1)
            if seconds is not None and SLOW * self.cost > seconds:
                raise TooSlow(f"{SLOW * self.cost:.0f}")
        return networks

    def _there_and_back(self, pipeline: str) -> Any:
        steps = Pipeline(parse(pipeline, self.survey.preprocessing.dim))

        def alter(x: torch.Tensor, step: int) -> torch.Tensor:
            parameters = steps.sample(torch.Generator().manual_seed(step), x.shape)
            return steps.undo(steps.apply(x, parameters), parameters)

        return alter

    def right(self, networks: Sequence[Network]) -> Any:
        """(N,) of unchanged images, each by the network that was not trained on it"""
        right = np.zeros(len(self.rows))
        for k, network in enumerate(networks):
            here = self.folds == k
            right[here] = network.classes(self.images[here]) == self.labels[here]
        return right

    def probed(self, candidate: Candidate, dose: float) -> tuple[Tried, Probed]:
        probed = self.probe.of(candidate.change, dose)
        after = (probed.predicted == self.labels).astype(float)
        control = None
        if probed.control is not None:
            control = drop(self.before_probe, (probed.control == self.labels).astype(float), self.units)
        return Tried(dose, drop(self.before_probe, after, self.units), probed_control=control), probed

    def trained(self, candidate: Candidate, tried: Tried, probed: Probed) -> Tried:
        """With what training with it does; where that is harm and values are interpolated, with that of the kernel and border."""
        pipeline = candidate.pipeline(tried.dose)
        after = self.right(self.networks(pipeline))
        tried = replace(tried, trained=self.drop(after))
        harm = tried.says_training(self.margins, tried.says_probe(self.margins)) == HARMFUL
        if harm and probed.control is not None:
            tried = replace(tried, trained_control=self.drop(self.right(self.networks(pipeline, True))))
        right = (after, (probed.predicted == self.labels).astype(float))
        before = (self.before, self.before_probe)
        independent = not self.units.grouped
        classes = of_classes(tried, before, right, self.labels, self.margins) if independent else {}
        worst_first = sorted(classes, key=lambda k: (classes[k] != HARMFUL, -self._errors(k, probed).max()))
        return replace(tried, classes={self._becomes(k, probed): classes[k] for k in worst_first})

    def drop(self, after: Any) -> Score:
        """Of the accuracy on unchanged images. How much it varies between seeds is known from transforms that do no harm."""
        own = (
            float(np.var([(self.before - after)[self.folds == k].mean() for k in range(FOLDS)], ddof=1))
            / FOLDS
        )
        if abs((self.before - after).mean()) <= self.margins.trained:
            self.spreads.append(own)
        spread = float(np.median(self.spreads)) if self.spreads else own
        return drop(self.before, after, self.units, spread**0.5)

    def _becomes(self, k: int, probed: Probed) -> str:
        """6 is taken for 9 in 41 of 120"""
        wrong = self._errors(k, probed)
        other = self.survey.classes[int(wrong.argmax())]
        return f"{self.survey.classes[k]} is taken for {other} in {wrong.max()} of {(self.labels == k).sum()}"

    def _errors(self, k: int, probed: Probed) -> Rows:
        """How many changed images of a class are taken for each other one"""
        own = probed.predicted[self.labels == k]
        return np.bincount(own[own != k], minlength=len(self.survey.classes))

    def ladder(self, candidate: Candidate) -> dict[float, tuple[Tried, Probed]]:
        """Doses up to the first that the probe does not call safe, and some between it and the last that it does."""
        tried: dict[float, tuple[Tried, Probed]] = {}
        low = 0.0
        high = 0.0
        for dose in candidate.doses:
            tried[dose] = self.probed(candidate, dose)
            if tried[dose][0].says_probe(self.margins) != SAFE:
                high = dose
                break
            low = dose
        while low and high > FINE * low and candidate.name != "shift":
            middle = float(f"{(low * high) ** 0.5:.2g}")
            tried[middle] = self.probed(candidate, middle)
            is_safe = tried[middle][0].says_probe(self.margins) == SAFE
            low, high = (middle, high) if is_safe else (low, middle)
        return dict(sorted(tried.items()))

    def judged(self, candidate: Candidate, trainings: int) -> Learned:
        """A verdict: the probe proposes doses, and training with the mild and the largest of them confirms them or not.

        trainings   2, 1 where there is time for the usual dose only, or 0
        """
        usual = candidate.change.standard
        tried = self.ladder(candidate) if trainings == 2 else {usual: self.probed(candidate, usual)}
        doses = [usual] if trainings == 1 else self._doses(candidate, [t for t, _ in tried.values()])
        for dose in doses[:trainings]:
            tried[dose] = (self.trained(candidate, *tried[dose]), tried[dose][1])
        return verdict(candidate, [t for t, _ in tried.values()], self.margins)

    def _doses(self, candidate: Candidate, tried: Sequence[Tried]) -> list[float]:
        """A mild one and the largest that the probe calls safe; where it calls none safe, the mildest."""
        safe = [t.dose for t in tried if t.says_probe(self.margins) == SAFE]
        if not safe:
            return [tried[0].dose]
        usual = candidate.change.standard
        return sorted({max((d for d in safe if d <= usual), default=safe[0]), safe[-1]})
