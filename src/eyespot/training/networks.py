"""Which network to train, of those of one kind the widest that sees enough images in the time, and in which batches."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eyespot.console import track
from eyespot.tasks.training import TrainingTask
from eyespot.training.timing import fastest, time_steps
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

STEPS = 150
"""Steps that a run should have, as far as smaller batches can give them."""


def largest(
    task: TrainingTask,
    sample_indices: NDArray[np.int64],
    affordable: Callable[[TrainingTask, dict[str, float]], float],
    free: bool,
) -> tuple[TrainingTask, dict[str, float], str]:
    """The task with the network that fits the time, what was timed for it, and why; the planned one if not free."""
    model = task.config.model or ""
    rungs = {model: 0}
    if free:
        usual = LADDERS.get(model, rungs) if task.config.weights is None else cached(model)
        rungs = {name: min(least, ENOUGH * len(sample_indices)) for name, least in usual.items()} | WIDER.get(
            model, {}
        )
    rates, best, candidate = [], None, task
    for name, least in track(rungs.items(), len(rungs), "timing networks"):
        candidate = candidate.planned(replace(task.config, model=name))
        timed = time_steps(candidate, sample_indices)
        rates.append(f"{name} {timed[fastest(timed)]:,.0f} images/s")
        if best is not None and affordable(candidate, timed) < least:
            break
        best = candidate, timed
    assert best is not None
    return *best, f"the widest that learns enough in the time: {', '.join(rates)}" if len(rungs) > 1 else ""


def cached(model: str) -> dict[str, int]:
    """Of the networks with published weights, the planned one and those whose weights are in the cache."""
    return {name: least for name, least in PUBLISHED.items() if name == model or location(name)} or {model: 0}


def batch_for(usual: int, images: float, least: int) -> tuple[int, str]:
    """The usual batch, or a half, a quarter, ... of it, for enough steps of so many images; and why it is smaller."""
    batch = usual
    while images < STEPS * batch and batch >= 2 * least:
        batch //= 2
    return batch, f"less than {usual}, for {STEPS} steps in the time" if batch < usual else ""
