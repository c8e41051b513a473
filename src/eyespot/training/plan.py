"""Every choice that the user left open, made from the data and the machine, with its reason."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from eyespot.data.pair_survey import PairSurvey
from eyespot.data.survey import Survey
from eyespot.errors import UserError
from eyespot.training import classes, crops
from eyespot.training.batches import Normal, answering, autocast, measure, multiplies_bfloat16
from eyespot.training.config import Config
from eyespot.training.division import split_rows
from eyespot.training.schedule import HEAD_ALONE
from eyespot.training.threads import options

DEFAULT_MINUTES = 10.0
"""Without --minutes."""
REPORT, CARE = 6.0, 1.3
"""Seconds for loading, scoring and the report; and how much more than timed the answers may take."""
Task = classes.Classify | crops.Segment
MONITOR = 2000
"""Held-out images, at the most, that the table during training is about."""


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


def choose_device(device: str | None) -> str:
    """The device as torch names it; the first GPU if there is one and nothing was typed."""
    if device is None:
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"device {device!r} cannot be used here ({str(error).splitlines()[0][:80]}); use --device cpu"
        ) from error
    return device


def make_plan(survey: Survey, config: Config, elapsed: Callable[[], float]) -> Plan:
    """Choose what was left open. `elapsed` tells the seconds since the command began."""
    reading, typed = survey.reading, "as you asked"
    reasons = dict(survey.reasons)

    def settle(name: str, value, reason: str):
        """What was typed wins."""
        asked = getattr(config, name)
        reasons[name] = reason if asked is None else typed
        return value if asked is None else asked

    train, held, test, reasons["split"], groups = split_rows(survey, config)
    device = choose_device(config.device)
    reasons["device"] = (
        typed if config.device else "a GPU was found" if device != "cpu" else "no GPU was found"
    )
    pairs = isinstance(survey, PairSurvey)
    config = (crops if pairs else classes).choose(survey, config, settle, train)  # type: ignore[arg-type]
    config = replace(config, view=reading.view, dim=reading.dim, device=device)
    if config.fine_tune:
        reasons["fine_tune"] = (
            f"the head alone for {HEAD_ALONE:.0%} of the run, then all layers, early ones least"
        )
    task = make_task(survey, config, measure(survey.images.pixels, train), train)
    if config.start_from is not None:
        reasons["start_from"] = str(task.network().started_from)
    reasons["class weights"] = task.why_weights
    draws = task.draws(train)
    timed = time_steps(task, draws)
    trained = {key: value for key, value in timed.items() if key != "predict"}
    fastest = max(trained, key=lambda key: trained[key])
    how = f"{timed[fastest]:,.0f} images/s trained; the slowest of {len(trained)} ways {min(trained.values()):,.0f}"
    precision, threads = (
        settle("precision", fastest.split()[0], how),
        settle("threads", int(fastest.split()[1]), how),
    )
    torch.set_num_threads(threads)
    config = replace(config, precision=precision, threads=threads)
    if config.minutes is None and config.epochs is None:
        config = replace(config, minutes=DEFAULT_MINUTES)
        reasons["minutes"] = f"the default; ends sooner after {task.most_epochs} epochs"
    elif config.minutes is not None:
        reasons["minutes"] = typed
    seconds, left = None, float("inf")
    if config.minutes is not None:
        left = 60 * config.minutes - reserve(task, test if len(test) else held, timed) - elapsed()
    passes = min(left * timed[fastest] / len(draws), (config.epochs or task.most_epochs) / 2)
    recipe = settle("recipe", *(crops if pairs else classes).usual_recipe(config, max(0.0, passes)))
    task = make_task(survey, config := replace(config, recipe=recipe), task.normal, train)
    after = 0.0
    if config.minutes is not None:
        after = reserve(task, test if len(test) else held, timed)
        seconds = 60 * config.minutes - after
        if seconds <= elapsed() + 1:
            raise UserError(
                f"{config.minutes:g} minutes are not enough: reading took {elapsed():.0f} s and the evaluation takes {after:.0f} s; give at least --minutes {(elapsed() + after) / 60 * 1.5 + 0.2:.1f}"
            )
    epochs = config.epochs if config.epochs is not None else task.most_epochs
    reasons["epochs"] = (
        typed
        if config.epochs is not None
        else expected(timed[fastest] / task.cost(), task.most_epochs, seconds, elapsed(), len(draws))
    )
    return Plan(config, reasons, train, held, test, groups, task, timed, seconds, after, epochs * len(draws))


def reserve(task: Task, rows: NDArray[np.int64], timed: dict[str, float]) -> float:
    """Seconds kept for what comes after training: the answers for these rows at the last size, and the report."""
    assert task.config.size
    share = (task.side(1.0) / task.config.size) ** task.survey.reading.dim
    answers = task.views() * share * len(task.draws(rows)) / timed["predict"]
    return REPORT + CARE * (answers + task.scoring(rows))


def make_task(survey: Survey, config: Config, normal: Normal, train: NDArray[np.int64]) -> Task:
    """What is learned: labels of whole images, or of each of their pixels."""
    if isinstance(survey, PairSurvey):
        return crops.Segment(survey, config, normal, train)
    return classes.Classify(survey, config, normal, train)


def expected(per_second: float, most: int, seconds: float | None, now: float, n: int) -> str:
    """How many passes over n images the time is expected to allow, at so many images per second."""
    passes = ((seconds or 0) - now) * per_second / n
    if passes < most:
        return f"about {passes:.1f} expected in the time"
    return f"{most}, expected to end after {most * n / per_second / 60:.1f} min of training"


def time_steps(task: Task, draws: NDArray[np.int64]) -> dict[str, float]:
    """Images per second of a few training steps by "precision threads", and of prediction, on this machine now."""
    c = task.config
    assert c.batch and c.device and c.size
    network, generator = task.network().to(c.device), torch.Generator().manual_seed(c.seed)
    few = min(c.batch, max(2, 2**16 // c.size**task.survey.reading.dim))
    x, y = task.batch(np.resize(draws, few), c.size, generator)
    timed = {}
    for number in [c.threads] if c.threads else options(c.device):
        torch.set_num_threads(number)
        for name in precisions(c):
            timed[f"{name} {number}"] = images_per_second(
                lambda n=name: _step(task, network, x, y, n), len(x), c.device
            )
    fastest = max(timed, key=lambda key: timed[key])
    torch.set_num_threads(int(fastest.split()[1]))
    network.eval()
    with (
        torch.inference_mode(),
        autocast(c.device, answering(task.answering() or fastest.split()[0], c.device)),
    ):
        timed["predict"] = images_per_second(lambda: network(x), len(x), c.device)
    return {name: round(value, 1) for name, value in timed.items()}


def precisions(config: Config) -> list[str]:
    """Those worth timing: what was typed, or float32 and what the machine has in hardware."""
    assert config.device
    known = ["float32"] + ["bfloat16"] * multiplies_bfloat16(config.device)
    return [config.precision] if config.precision else known


def _step(task: Task, network: nn.Module, x, y, precision: str) -> None:
    network.train()
    with autocast(x.device.type, precision):
        logits = network(x)
    task.loss(logits, y).backward()
    network.zero_grad()


def images_per_second(work: Callable[[], object], images: int, device: str, repeats: int = 2) -> float:
    """Images per second, the best of a few runs after one to warm up."""
    seconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return images / min(seconds[1:])
