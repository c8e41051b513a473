"""Which network to train, of those of one kind the widest that sees enough images in the time, and in which batches."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eyespot.console import live
from eyespot.tasks.training import TrainingTask
from eyespot.training.timing import SUSTAINED, Allowance, NetworkTimer, Timed, fastest
from eyespot.weights.published import location

LADDERS: dict[str, dict[str, int]] = {
    "small": {"small_w16": 0, "small_w32": 60_000, "small": 400_000},
    "resnet18": {"resnet18_w16": 0, "resnet18_w32": 10_000, "resnet18": 30_000},
}
"""By the usual network: those of its kind, and the images, at full size, from which each is better than the one before."""
PUBLISHED = {"resnet18": 0, "resnet50": 200_000}
"""The same of networks with published weights; those in the cache are tried. Not measured."""
WIDER = {"small": {"small_w96": 600_000, "small_w128": 600_000}}
"""Those after them, wider than the usual network, for many images only."""
ENOUGH = 15
"""Passes that are enough for the others, where there are few images. Measured: docs/decisions/0010-networks-by-time.md."""

SLOWEST = 1.5
"""A network of twice the width has four times the multiply-adds, and takes at most so many times as long for them."""
UNKNOWN = 1000.0
"""The same of a network of another kind."""
USUAL_WIDTH = 64
"""Of the networks whose names do not say it."""
HOPE = 2
"""How many times as fast another precision or number of threads may be, which is worth timing."""
STEPS = 150
"""Steps that a run should have, as far as smaller batches can give them."""


@dataclass
class Fit:
    """What a network has to fit into.

    affordable    samples at full size that the time or the epochs allow, of a task at these rates
    run_seconds   how long the run takes at these rates: timing may take a share of it
    """

    affordable: Callable[[TrainingTask, Timed], float]
    run_seconds: Callable[[TrainingTask, Timed], float]


@dataclass
class Candidate:
    """A network that fits: its rates, timed or at the least, and the samples from which on it is the best."""

    task: TrainingTask
    least: float
    timed: Timed
    timer: NetworkTimer | None

    def slowest(self, task: TrainingTask) -> Timed:
        """The rates of a task with a wider network, at the least."""
        kind, _, width = (self.task.config.model or "").partition("_w")
        wider_kind, _, wider = (task.config.model or "").partition("_w")
        ratio = int(wider or USUAL_WIDTH) / int(width or USUAL_WIDTH)
        return self.timed.scaled(SLOWEST * ratio**2 if kind == wider_kind else UNKNOWN)


class Search:
    """Times networks, from the narrowest on, only as long as the rates known so far leave it open whether they fit."""

    def __init__(self, sample_indices: NDArray[np.int64], fit: Fit, allowance: Allowance):
        self.sample_indices = sample_indices
        self.fit = fit
        self.allowance = allowance
        self.fitting: list[Candidate] = []
        self.wider = ""

    def largest(self, tasks: list[tuple[TrainingTask, float]]) -> tuple[TrainingTask, Timed]:
        """The last of the tasks that fits, of which each has the samples from which on it is the best; and its rates."""
        task, least = tasks[0]
        timer = self._timer(task, None)
        self._accept(Candidate(task, least, timer.timed(), timer))
        for task, least in tasks[1:]:
            candidate = self._fitting(task, least)
            if candidate is None:
                break
            self._accept(candidate)
        while True:
            chosen = self.fitting.pop()
            timed = self._finished(chosen)
            samples = self.fit.affordable(chosen.task, timed)
            if not self.fitting or samples >= chosen.least:
                return chosen.task, timed
            self._leave(chosen.task, samples, chosen.least)

    def _fitting(self, task: TrainingTask, least: float) -> Candidate | None:
        """The task as a candidate, or None where it does not fit or there is no time left to see whether it does."""
        before = self.fitting[-1]
        for improve in (None, self._time, self._compare):
            if improve is not None:
                improve(before)
            slowest = before.slowest(task)
            if self.fit.affordable(task, slowest) >= least:
                return Candidate(task, least, slowest, None)
            fastest_possible = before.timed.scaled(1 if improve == self._compare else 1 / HOPE)
            at_most = self.fit.affordable(task, fastest_possible)
            if before.timer is not None and at_most < least:
                self._leave(task, at_most, least, "at most ")
                return None
        if not self.allowance.fits(0):
            return None
        timer = self._timer(task, fastest(before.timed))
        if least / HOPE <= self.fit.affordable(task, timer.timed()) < least:
            timer.compare()
        samples = self.fit.affordable(task, timer.timed())
        if samples >= least:
            return Candidate(task, least, timer.timed(), timer)
        self._leave(task, samples, least)
        return None

    def _leave(self, task: TrainingTask, samples: float, least: float, bound: str = "") -> None:
        """Note the reason for rejecting a network: the number of samples that it would see at full size, or a bound."""
        needs = f"{task.config.model} needs {least:,.0f} {task.unit}"
        self.wider = f"; {needs} and would see {bound}{samples:,.0f}"

    def _time(self, candidate: Candidate) -> None:
        """Rates of its own for a candidate that has none yet."""
        if candidate.timer is None:
            candidate.timer = self._timer(candidate.task, fastest(candidate.timed))
            candidate.timed = candidate.timer.timed()

    def _compare(self, candidate: Candidate) -> None:
        """The rates of a candidate in the fastest way."""
        if candidate.timer is not None:
            candidate.timed = candidate.timer.compare()

    def _accept(self, candidate: Candidate) -> None:
        if self.fitting:
            self.fitting[-1].timer = None  # which has memory
        self.fitting.append(candidate)

    def _finished(self, chosen: Candidate) -> Timed:
        """Rates to plan with."""
        timer = chosen.timer or self._timer(chosen.task, fastest(chosen.timed))
        seconds = self.fit.run_seconds(chosen.task, timer.compare())
        self.allowance.grant(seconds)
        return timer.finish(SUSTAINED * seconds)

    def _timer(self, task: TrainingTask, way: str | None) -> NetworkTimer:
        live(f"timing {task.config.model}")
        timer = NetworkTimer(task, self.sample_indices, self.allowance)
        self.allowance.grant(self.fit.run_seconds(task, timer.quick(way)))
        return timer


def largest(
    task: TrainingTask, sample_indices: NDArray[np.int64], fit: Fit, allowance: Allowance, free: bool
) -> tuple[TrainingTask, Timed, str]:
    """The task with the network that fits the time, its timings, and the reason; the planned task if the user chose."""
    model = task.config.model or ""
    rungs: dict[str, float] = {model: 0}
    if free:
        enough = ENOUGH * len(sample_indices)
        usual = LADDERS.get(model, rungs) if task.config.weights is None else cached(model)
        rungs = {name: min(least, enough) for name, least in usual.items()}
        rungs |= WIDER.get(model, {})
    search = Search(sample_indices, fit, allowance)
    chosen, timed = search.largest(
        [(task.planned(replace(task.config, model=name)), least) for name, least in rungs.items()]
    )
    live()
    rate = f"{timed[fastest(timed)]:,.0f} {chosen.unit}/s"
    reason = f"the widest that learns enough in the time, at {rate}{search.wider}"
    return chosen, timed, reason if len(rungs) > 1 else ""


def cached(model: str) -> dict[str, int]:
    """Of the networks with published weights, the planned one and those whose weights are in the cache."""
    return {name: least for name, least in PUBLISHED.items() if name == model or location(name)} or {model: 0}


def batch_for(usual: int, images: float, least: int) -> tuple[int, str]:
    """The default batch size, halved until there are enough steps for so many images, and the reason if it is smaller."""
    batch = usual
    while images < STEPS * batch and batch >= 2 * least:
        batch //= 2
    return batch, f"less than {usual}, for {STEPS} steps in the run" if batch < usual else ""
