"""Every choice that the user left open, made from the data and the machine, with its reason."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eyespot.data.pair_survey import PairSurvey
from eyespot.data.survey import Survey
from eyespot.errors import UserError
from eyespot.fast import compiled_by
from eyespot.tasks import classification as classes
from eyespot.tasks import segmentation as crops
from eyespot.training import networks
from eyespot.training.batches import Normal, measure
from eyespot.training.config import Config, Settle
from eyespot.training.devices import HALF, choose_device, multiplies_bfloat16
from eyespot.training.division import split_rows
from eyespot.training.schedule import HEAD_ALONE
from eyespot.training.timing import Task, fastest

DEFAULT_MINUTES = 10.0
"""Without --minutes."""
REPORT, CARE = 6.0, 1.3
"""Seconds for loading, scoring and the report; and how much more than timed the answers may take."""


@dataclass(frozen=True)
class Plan:
    """The resolved settings, why they are so, and what the loop needs.

    train, held    rows of the decoded images
    task           what is learned: batches, loss and the look at held-out images
    seconds        of the clock at which training has to end, counted from the command's start; or None
    reserve        seconds kept after it for the answers, scores and report, on the machine as it was timed
    images         at most so many images are seen; or None
    timed          images per second, by what was timed
    """

    config: Config
    reasons: dict[str, str]
    train: NDArray[np.int64]
    held: NDArray[np.int64]
    test: NDArray[np.int64]
    groups: list[str] | None
    task: Task
    timed: dict[str, float]
    seconds: float | None
    reserve: float
    images: float | None


def make_plan(survey: Survey, config: Config, elapsed: Callable[[], float]) -> Plan:
    """Choose what was left open. `elapsed` tells the seconds since the command began."""
    preprocessing, typed = survey.preprocessing, "as you asked"
    reasons = dict(survey.reasons)

    def settle(name: str, value, reason: str):
        """What was typed wins."""
        asked = getattr(config, name)
        reasons[name] = reason if asked is None else typed
        return value if asked is None else asked

    asked = config
    train, held, test, reasons["split"], groups = split_rows(survey, config)
    device = choose_device(config.device)
    reasons["device"] = (
        typed if config.device else "a GPU was found" if device != "cpu" else "no GPU was found"
    )
    kind = crops if isinstance(survey, PairSurvey) else classes
    config = kind.choose(survey, replace(config, device=device), settle, train)  # type: ignore[arg-type]
    config = replace(config, view=preprocessing.view, dim=preprocessing.dim)
    if config.fine_tune:
        reasons["fine_tune"] = (
            f"the head alone for {HEAD_ALONE:.0%} of the run, then all layers, early ones least"
        )
    if config.minutes is None and config.epochs is None:
        config = replace(config, minutes=DEFAULT_MINUTES)
        reasons["minutes"] = "the default"
    elif config.minutes is not None:
        reasons["minutes"] = typed
    shortest = config.recipe or kind.usual_recipe(config, 0.0)[0]  # until it is known what fits
    task = make_task(survey, replace(config, recipe=shortest), measure(survey.images.pixels, train), train)
    if config.start_from is not None:
        reasons["start_from"] = str(task.network().started_from)
    if reasons.get("minutes") == "the default":
        reasons["minutes"] += f"; ends sooner after {task.most_epochs} epochs"
    reasons["class weights"] = task.why_weights
    sample_indices, answered = task.sample_indices(train), test if len(test) else held

    def room(task: Task, timed: dict[str, float]) -> float:
        return affordable(task, timed, len(sample_indices), answered, elapsed())

    free = asked.model is None and asked.start_from is None and config.minutes is not None
    task, timed, why = networks.largest(task, sample_indices, room, free)
    reasons["model"] = why or reasons["model"]
    images = room(task, timed)
    config = replace(config, model=task.config.model, **_way(timed, task.config, settle, reasons))
    torch.set_num_threads(config.threads or 1)
    passes = min(images / len(sample_indices), (config.epochs or task.most_epochs) / 2)
    view = CARE * len(answered) / timed["predict"] / (60 * config.minutes) if config.minutes else 0.0
    recipe = settle("recipe", *kind.usual_recipe(config, passes, view))
    task = task.planned(config := replace(config, recipe=recipe))
    if asked.batch is None and config.minutes is not None:
        batch, why = networks.batch_for(config.batch or 1, images / task.cost(), task.least_batch)
        task.config = config = replace(config, batch=batch)
        reasons["batch"] = why or reasons["batch"]
    after = 0.0 if config.minutes is None else reserve(task, answered, timed)
    seconds = _end(config.minutes, after, elapsed())
    epochs = config.epochs if config.epochs is not None else task.most_epochs
    reasons["epochs"] = (
        typed
        if config.epochs is not None
        else expected(
            timed[fastest(timed)] / task.cost(), task.most_epochs, seconds, elapsed(), len(sample_indices)
        )
    )
    return Plan(
        config, reasons, train, held, test, groups, task, timed, seconds, after, epochs * len(sample_indices)
    )


def _way(timed: dict[str, float], config: Config, settle: Settle, reasons: dict[str, str]) -> dict[str, Any]:
    """Precision and threads of the quickest steps, or as typed, with their reasons."""
    quickest, slowest = fastest(timed), min(rate for way, rate in timed.items() if way != "predict")
    how = f"{timed[quickest]:,.0f} images/s trained; the slowest of {len(timed) - 1} ways {slowest:,.0f}"
    name, threads = quickest.split()
    precision = settle("precision", name, how)
    maps = torch.bfloat16 if precision in HALF else torch.float32
    if config.device == "cpu" and config.dim != 1 and (by := compiled_by(maps)):
        reasons["precision"] += f"; norms, activations and pools in few passes, compiled by {by}"
    for rejected, reason in getattr(timed, "rejected", {}).items():
        outcome = "used as you asked" if config.precision == rejected else "not used"
        reasons["precision"] += f"; {rejected} {outcome}: {reason}"
    if precision in HALF and not multiplies_bfloat16(config.device or "cpu"):
        reasons["precision"] += "; this machine has no bfloat16 products, and is many times slower with it"
    return {"precision": precision, "threads": settle("threads", int(threads), how)}


def _end(minutes: float | None, after: float, now: float) -> float | None:
    """Second of the clock at which training has to end, `after` of them before the command does."""
    if minutes is None:
        return None
    if 60 * minutes - after <= now + 1:
        raise UserError(
            f"{minutes:g} minutes are not enough: reading took {now:.0f} s and the evaluation takes {after:.0f} s; give at least --minutes {(now + after) / 60 * 1.5 + 0.2:.1f}"
        )
    return 60 * minutes - after


def affordable(
    task: Task, timed: dict[str, float], each: int, answered: NDArray[np.int64], now: float
) -> float:
    """Images at full size, of so many per pass, that the time or else the passes leave room for; `now` in seconds."""
    images = float(each * (task.config.epochs or task.most_epochs))
    if task.config.minutes is None:
        return images
    left = 60 * task.config.minutes - reserve(task, answered, timed) - now
    return min(images, max(0.0, left) * timed[fastest(timed)])


def reserve(task: Task, rows: NDArray[np.int64], timed: dict[str, float]) -> float:
    """Seconds kept for what comes after training: the answers for these rows at the last size, and the report."""
    assert task.config.size
    share = (task.side(1.0) / task.config.size) ** task.survey.preprocessing.dim
    answers = task.views() * share * len(task.sample_indices(rows)) / timed["predict"]
    return REPORT + CARE * (answers + task.scoring(rows))


def make_task(survey: Survey, config: Config, normal: Normal, train: NDArray[np.int64]) -> Task:
    """What is learned: labels of whole images, or of each of their pixels."""
    if isinstance(survey, PairSurvey):
        return crops.Segmentation(survey, config, normal, train)
    return classes.Classification(survey, config, normal, train)


def expected(per_second: float, most: int, seconds: float | None, now: float, n: int) -> str:
    """How many passes over n images the time is expected to allow, at so many images per second."""
    passes = ((seconds or 0) - now) * per_second / n
    if passes < most:
        return f"about {passes:.1f} expected in the time"
    return f"{most}, expected to end after {most * n / per_second / 60:.1f} min of training"
