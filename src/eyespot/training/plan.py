"""Every choice that the user left open, made from the data and the machine, with its reason."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eyespot.config import NO_WEIGHTS, Config
from eyespot.data.duplicates.seen import SeenImages
from eyespot.data.surveys.survey import Survey
from eyespot.devices import HALF, choose_device, multiplies_bfloat16
from eyespot.errors import UserError
from eyespot.fast import compiled_by, is_compiling, use_compiled
from eyespot.plurals import count
from eyespot.tasks.augmentation import AUTO
from eyespot.tasks.batches import measure
from eyespot.tasks.registry import task_of_survey
from eyespot.tasks.training import TrainingTask
from eyespot.training import networks
from eyespot.training.division import Division, split_rows
from eyespot.training.inherited import Inherited, inherited, resumed, seen_of
from eyespot.training.optimise import usual_lr, usual_weight_decay
from eyespot.training.schedule import HEAD_ALONE
from eyespot.training.timing import COMPILED, PREDICT, Allowance, Timed, fastest, samples_per_second, ways

DEFAULT_MINUTES = 10.0
"""Without --minutes."""
REPORT = 6.0
"""Seconds for loading, metrics and the report."""
CARE = 1.3
"""How much longer than timed the predictions after training may take."""
ASKED = "as you asked"
LEAST_EPOCHS = 2
"""Published weights are used where there is time for this many epochs at full size."""
LEAST_IMAGES = 3000
"""Published weights are also used where there is time for this many images at full size.

With less time, a narrower network that starts from random weights is better.
"""
FEW_MINUTES = 1.0
"""A run of fewer minutes ends before compiling pays."""
FEW_POSITIONS = 2**22
"""So does a run whose training samples together have fewer positions than this."""


class TooLittleTime(UserError):
    """The time is not enough for a run; `needed` has the seconds that it needs."""

    def __init__(self, message: str, needed: float):
        super().__init__(message)
        self.needed = needed


@dataclass(frozen=True)
class Budget:
    """What ends a run.

    seconds   of the clock at which training has to end, counted from the command's start; or None
    reserve   seconds kept after it for predictions, metrics and the report, on the machine as it was timed
    images    at most so many samples are drawn
    """

    seconds: float | None
    reserve: float
    images: float


@dataclass(frozen=True)
class Plan:
    """The resolved settings, their reasons, and what the loop needs.

    division   rows of the decoded images for training, validation and test
    task       what is learned: batches, loss and validation
    timed      images per second, by what was timed
    seen       what the network will have been trained, validated and tested on, by itself and before
    before     what the weights to start from had seen of these images; None where that is nothing
    """

    config: Config
    reasons: dict[str, str]
    division: Division
    task: TrainingTask
    timed: dict[str, float]
    budget: Budget
    seen: SeenImages
    before: Inherited | None

    @property
    def train(self) -> NDArray[np.int64]:
        return self.division.train

    @property
    def val(self) -> NDArray[np.int64]:
        return self.division.val

    @property
    def test(self) -> NDArray[np.int64]:
        return self.division.test

    @property
    def groups(self) -> list[str] | None:
        return self.division.groups

    @property
    def seconds(self) -> float | None:
        return self.budget.seconds

    @property
    def reserve(self) -> float:
        return self.budget.reserve

    @property
    def images(self) -> float:
        return self.budget.images


class Planner:
    """Settings as they are decided one by one, each with its reason."""

    def __init__(self, survey: Survey, config: Config, elapsed: Callable[[], float]):
        self.survey = survey
        config = replace(config, augment=None) if config.augment == AUTO else config
        self.asked = config
        self.config = config
        self.elapsed = elapsed
        self.read = elapsed()
        self.reasons = dict(survey.reasons)
        self.kind = task_of_survey(survey).training
        self.before = inherited(survey, config)
        self.division = split_rows(survey, config, self.before)
        self.reasons["split"] = self.division.reason

    def settle(self, name: str, value: Any, reason: str) -> Any:
        """The value that the user gave, or else this one; the reason is kept."""
        given = getattr(self.asked, name)
        self.reasons[name] = reason if given is None else ASKED
        return value if given is None else given

    def choose_settings(self) -> None:
        """Device, network, augmentation, batch and the time, as far as they need no timing."""
        preprocessing = self.survey.preprocessing
        device = choose_device(self.config.device)
        default = "a GPU is available" if device != "cpu" else "no GPU is available"
        self.reasons["device"] = ASKED if self.config.device else default
        config = self.kind.choose(
            self.survey, replace(self.config, device=device), self.settle, self.division.train
        )
        config = replace(config, view=preprocessing.view, dim=preprocessing.dim)
        if config.fine_tune:
            self.reasons["fine_tune"] = (
                f"the head alone for {HEAD_ALONE:.0%} of the run, then all layers, early ones at the lowest rate"
            )
        if config.minutes is None and config.epochs is None:
            config = replace(config, minutes=DEFAULT_MINUTES)
            self.reasons["minutes"] = (
                f"the default; ends sooner after {count(self.kind.most_epochs, 'epoch')}"
            )
        elif config.minutes is not None:
            self.reasons["minutes"] = ASKED
        self.config = config

    def new_task(self) -> TrainingTask:
        """The task, with the smallest recipe until it is known how many epochs fit into the time."""
        recipe = self.config.recipe or self.kind.usual_recipe(self.config, 0.0)[0]
        train = self.division.train
        normalise = measure(self.survey.images.pixels, train)
        task = self.kind(self.survey, replace(self.config, recipe=recipe), normalise, train)
        if self.config.weights is not None:
            reason = self.reasons.get("start_from", ASKED)
            self.reasons["start_from"] = f"{reason}; {task.network().started_from}"
        self.reasons["class weights"] = task.class_weights_reason
        return task

    def choose_network(self, task: TrainingTask) -> tuple[TrainingTask, Timed]:
        """The largest network that sees enough samples in the time, as timed here, and the fastest precision."""
        asked = self.asked
        samples = task.sample_indices(self.division.train)
        free = asked.model is None and asked.weights is None and self.config.minutes is not None
        is_short = is_compiling() and self.is_short(task, len(samples))
        if is_short:
            use_compiled(False)
        task, timed, reason = networks.largest(
            task,
            samples,
            networks.Fit(
                lambda task, timed: self.affordable(task, timed, len(samples)),
                lambda task, timed: self.run_seconds(task, timed, len(samples)),
            ),
            Allowance(60 * (self.config.minutes or 0)),
            free,
        )
        if is_short:
            timed.rejected[COMPILED] = "the run is too short for compiling them"
        self.reasons["model"] = reason or self.reasons["model"]
        self.config = replace(
            self.config, model=task.config.model, **precision_and_threads(self, timed, task)
        )
        torch.set_num_threads(self.config.threads or 1)
        return task, timed

    def is_short(self, task: TrainingTask, per_epoch: int) -> bool:
        """Whether the run is too short for compiled passes to pay, decided without timing so that runs are repeatable."""
        assert task.config.size
        epochs = task.config.epochs or task.most_epochs
        positions = epochs * per_epoch * task.config.size**task.survey.preprocessing.dim
        return (task.config.minutes or FEW_MINUTES) < FEW_MINUTES or positions < FEW_POSITIONS

    def affordable(self, task: TrainingTask, timed: Timed, per_epoch: int) -> float:
        """Samples at full size that the time or else the epochs allow."""
        most = float(per_epoch * (task.config.epochs or task.most_epochs))
        if task.config.minutes is None:
            return most
        left = 60 * task.config.minutes - reserve(task, self.division.final, timed) - self.elapsed()
        return min(most, max(0.0, left) * samples_per_second(timed, task.config.batch or 1))

    def too_slow(self, task: TrainingTask, timed: Timed) -> str:
        """Why the time is too short for the weights that nobody asked for; nothing if it is not."""
        if self.config.weights is None or self.asked.start_from is not None or self.config.minutes is None:
            return ""
        n = len(task.sample_indices(self.division.train))
        images = self.affordable(task, timed, n)
        if images >= min(LEAST_EPOCHS * n, LEAST_IMAGES):
            return ""
        return (
            f"the time is too short for published weights: {task.config.model} would see {images:,.0f} images"
        )

    def run_seconds(self, task: TrainingTask, timed: Timed, per_epoch: int) -> float:
        """How long training takes at these rates, at the most."""
        most = per_epoch * (task.config.epochs or task.most_epochs)
        seconds = most / samples_per_second(timed, task.config.batch or 1)
        return min(seconds, 60 * task.config.minutes) if task.config.minutes else seconds

    def choose_recipe(self, task: TrainingTask, timed: Timed) -> TrainingTask:
        """The parts of training, and the batch, for as many samples as fit."""
        samples = task.sample_indices(self.division.train)
        images = self.affordable(task, timed, len(samples))
        minutes = self.config.minutes
        epochs = min(images / len(samples), (self.config.epochs or task.most_epochs) / 2)
        view = CARE * len(self.division.final) / timed[PREDICT] / (60 * minutes) if minutes else 0.0
        recipe = self.settle("recipe", *self.kind.usual_recipe(self.config, epochs, view))
        self.config = replace(self.config, recipe=recipe)
        task = task.planned(self.config)
        if self.asked.batch is None:
            trained = min(images / task.cost(), len(samples) * (self.config.epochs or task.most_epochs))
            batch, reason = networks.batch_for(self.config.batch or 1, trained, task.least_batch)
            self.config = replace(self.config, batch=batch)
            task = task.planned(self.config)
            self.reasons["batch"] = reason or self.reasons["batch"]
        lr = self.settle("lr", *usual_lr(task))
        decay = self.settle("weight_decay", *usual_weight_decay(task))
        self.config = replace(self.config, lr=lr, weight_decay=decay)
        return task.planned(self.config)

    def budget(self, task: TrainingTask, timed: Timed) -> Budget:
        """When the run ends."""
        config = self.config
        per_epoch = len(task.sample_indices(self.division.train))
        after = 0.0 if config.minutes is None else reserve(task, self.division.final, timed)
        seconds = training_end(config.minutes, after, self.read, self.elapsed())
        epochs = config.epochs if config.epochs is not None else task.most_epochs
        per_second = samples_per_second(timed, config.batch or 1, task.cost())
        self.reasons["epochs"] = (
            ASKED
            if config.epochs is not None
            else expected(per_second, task.most_epochs, seconds, self.elapsed(), per_epoch)
        )
        return Budget(seconds, after, epochs * per_epoch)

    def start_anew(self, reason: str) -> TrainingTask:
        """Leave the weights that the plan would have started from, and choose again without them."""
        self.asked = self.config = replace(self.asked, start_from=NO_WEIGHTS)
        self.reasons.pop("fine_tune")
        self.choose_settings()
        self.reasons["start_from"] = reason
        return self.new_task()


def make_plan(survey: Survey, config: Config, elapsed: Callable[[], float]) -> Plan:
    """Choose the open settings. `elapsed` returns the seconds since the command began."""
    planner = Planner(survey, config, elapsed)
    planner.choose_settings()
    planner.read = elapsed()
    task, timed = planner.choose_network(planner.new_task())
    if reason := planner.too_slow(task, timed):
        task, timed = planner.choose_network(planner.start_anew(reason))
    task = planner.choose_recipe(task, timed)
    budget = planner.budget(task, timed)
    division = planner.division
    seen = seen_of(survey, division.sides, planner.before)
    return Plan(planner.config, planner.reasons, division, task, timed, budget, seen, planner.before)


def restore_plan(
    survey: Survey,
    config: Config,
    folder: Path,
    reasons: dict[str, str],
    timed: dict[str, float],
    budget: Budget,
) -> Plan:
    """The plan of a run that was started before, from its resolved settings; nothing is chosen or timed again."""
    before = resumed(survey, config, folder)
    division = split_rows(survey, config, before)
    choose_device(config.device)
    task = task_of_survey(survey).training(
        survey, config, measure(survey.images.pixels, division.train), division.train
    )
    torch.set_num_threads(config.threads or 1)
    return Plan(
        config, reasons, division, task, timed, budget, seen_of(survey, division.sides, before), before
    )


def precision_and_threads(planner: Planner, timed: Timed, task: TrainingTask) -> dict[str, Any]:
    """Precision and threads of the fastest steps, or as typed, with their reasons."""
    config = task.config
    unit = task.unit
    reasons = planner.reasons
    fastest_setting = fastest(timed)
    rates = [timed[way] for way in ways(timed)]
    reason = f"{timed[fastest_setting]:,.0f} {unit}/s trained"
    if len(rates) > 1:
        reason += f"; the slowest of {len(rates)} settings {min(rates):,.0f}"
    name, threads = fastest_setting.split()
    precision = planner.settle("precision", name, reason)
    maps = torch.bfloat16 if precision in HALF else torch.float32
    if config.device == "cpu" and config.dim != 1 and (compiler := compiled_by(maps)):
        reasons["precision"] += f"; norms, activations and pooling compiled by {compiler}"
    for rejected, departure in timed.rejected.items():
        outcome = "used as you asked" if config.precision == rejected else "not used"
        reasons["precision"] += f"; {rejected} {outcome}: {departure}"
    if precision in HALF and not multiplies_bfloat16(config.device or "cpu"):
        reasons["precision"] += "; this machine has no bfloat16 arithmetic, and is many times slower with it"
    return {"precision": precision, "threads": planner.settle("threads", int(threads), reason)}


def training_end(minutes: float | None, after: float, read: float, now: float) -> float | None:
    """Second of the clock at which training has to end, `after` of them before the command does.

    read   second at which the data were read and timing began
    """
    if minutes is None:
        return None
    if 60 * minutes - after <= now + 1:
        enough = (read + after) / 60 * 1.5 + 0.2
        raise TooLittleTime(
            f"--minutes {minutes:g} is not enough: starting and reading took {read:.0f} s, timing {now - read:.0f} s, "
            f"and the evaluation takes {after:.0f} s; give at least --minutes {enough:.1f}",
            now + after,
        )
    return 60 * minutes - after


def reserve(task: TrainingTask, rows: NDArray[np.int64], timed: dict[str, float]) -> float:
    """The seconds reserved for the end of the run: predictions of these rows at the final size, and the report."""
    assert task.config.size
    share = (task.side(1.0) / task.config.size) ** task.survey.preprocessing.dim
    predictions = task.views() * share * len(task.sample_indices(rows)) / timed[PREDICT]
    return REPORT + CARE * (predictions + task.scoring(rows))


def expected(per_second: float, most: int, seconds: float | None, now: float, n: int) -> str:
    """How many epochs of n samples the time is expected to allow, at so many samples per second."""
    epochs = ((seconds or 0) - now) * per_second / n
    if epochs < most:
        return f"about {epochs:.1f} expected in the time"
    return f"{most}, expected to end after {most * n / per_second / 60:.1f} min of training"


def settings_with_reasons(plan: Plan, survey: Survey) -> list[tuple[str, str, str]]:
    """Each choice of the plan: its name, its value (empty where the reason says it), and the reason."""
    of_data = {"channels": survey.preprocessing.channels, "depth": survey.preprocessing.depth}
    values = {name: of_data.get(name, getattr(plan.config, name, None)) for name in plan.reasons}
    return [(name, "" if values[name] is None else str(values[name]), plan.reasons[name]) for name in values]
