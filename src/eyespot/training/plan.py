"""Every choice that the user left open, made from the data and the machine, with its reason."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from eyespot.augment import parse
from eyespot.checkpoints import find
from eyespot.checkpoints.published import IMAGENET
from eyespot.data.duplicates import clusters
from eyespot.data.reading import Reading
from eyespot.data.split import groups_of, hold_out
from eyespot.data.survey import IMBALANCE, Survey
from eyespot.errors import UserError
from eyespot.kit import MEMORY
from eyespot.models import create
from eyespot.models.network import Network
from eyespot.training.batches import Normal, measure, resized
from eyespot.training.config import Config
from eyespot.training.schedule import HEAD_ALONE, mean_cost
from eyespot.training.threads import options
from eyespot.weights import read_card

SMALL = 64
"""Pixels up to which the small network is the better choice."""
DEFAULT_MINUTES, MOST_EPOCHS = 10.0, 100
"""Without --minutes; and the passes beyond which a network of ours learns little more."""
VALUES = 2**20
"""Positions in a batch, at the most."""
MONITOR = 2000
"""Held-out images, at the most, that the table during training is about."""


@dataclass(frozen=True)
class Plan:
    """The resolved settings, why they are so, and what the loop needs.

    train, held    rows of the decoded images
    weights        (classes,) the loss's weight per class, of mean 1 over the images
    seconds        of the clock at which training has to end, counted from the command's start; or None
    images         at most so many images are seen; or None
    timed          images per second, by what was timed
    """

    config: Config
    reasons: dict[str, str]
    train: NDArray[np.int64]
    held: NDArray[np.int64]
    test: NDArray[np.int64]
    groups: list[str] | None
    normal: Normal
    weights: tuple[float, ...] | None
    timed: dict[str, float]
    seconds: float | None
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


def usual_model(size: int, start_from: str | None) -> tuple[str, str]:
    """The preset for images of this size, or of the weights to start from; and why."""
    if start_from is None:
        kind = "small" if size <= SMALL else "resnet18"
        return kind, f"{'up to' if kind == 'small' else 'over'} {SMALL} samples along an axis"
    if start_from == IMAGENET:
        return "resnet18", "the smallest with published weights"
    path = find(start_from, "")
    try:
        return read_card(path).preset, f"the network of {path}"
    except UserError as error:
        raise UserError(
            f"{path} does not tell which network its weights are of: name it with --model"
        ) from error


def new_network(survey: Survey, config: Config) -> Network:
    """The planned network, its weights drawn from the seed."""
    torch.manual_seed(config.seed)
    assert config.model
    classes, reading = len(survey.source.classes), survey.reading
    network = create(
        config.model, classes=classes, channels=reading.channels, dim=reading.dim, weights=config.start_from
    )
    return network.to(memory_format=MEMORY[reading.dim])  # type: ignore[call-overload]


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
    model = settle("model", *usual_model(reading.size, None if config.model else config.start_from))
    photo = reading.channels == 3 and reading.dim == 2
    augment = settle(
        "augment",
        "flip|shift(0.06)" if photo else "shift(0.06)",
        "colour photographs look right when mirrored"
        if photo
        else f"a mirrored {survey.word} may mean something else",
    )
    parse(augment)  # a mistake in it is said before anything is timed
    usual = min(512 if model == "small" else 64, max(16, VALUES // reading.size**reading.dim))
    fitting = int(2 ** np.floor(np.log2(max(len(train) / 10, 1))))
    batch = settle(
        "batch",
        max(16, min(usual, fitting)),
        f"at least 10 steps per epoch, at most {usual} {survey.word}s for {model}",
    )
    batch = min(batch, len(train))
    device = choose_device(config.device)
    reasons["device"] = (
        typed if config.device else "a GPU was found" if device != "cpu" else "no GPU was found"
    )
    weights, reasons["class weights"] = class_weights(survey.labels[train], len(survey.source.classes))
    config = replace(
        config,
        model=model,
        size=reading.size,
        fit=reading.fit,
        view=reading.view,
        dim=reading.dim,
        augment=augment,
        batch=batch,
        device=device,
    )
    if config.start_from is not None:
        reasons["start_from"] = str(new_network(survey, config).started_from)
    if config.fine_tune:
        reasons["fine_tune"] = (
            f"the head alone for {HEAD_ALONE:.0%} of the run, then all layers, early ones least"
        )
    normal = measure(survey.images.pixels, train)
    timed = time_steps(survey, config, normal, train)
    trained = {key: value for key, value in timed.items() if key != "predict"}
    asked = {k: v for k, v in trained.items() if _as_asked(k, config)}
    trained = asked or trained
    fastest = max(trained, key=lambda key: trained[key])
    slowest = min(timed.values())
    how = f"{timed[fastest]:,.0f} images/s trained; the slowest of {len(timed) - 1} ways {slowest:,.0f}"
    precision, threads = (
        settle("precision", fastest.split()[0], how),
        settle("threads", int(fastest.split()[1]), how),
    )
    torch.set_num_threads(threads)
    config = replace(config, precision=precision, threads=threads)
    if config.minutes is None and config.epochs is None:
        config = replace(config, minutes=DEFAULT_MINUTES)
        reasons["minutes"] = f"the default; ends sooner after {MOST_EPOCHS} epochs"
    elif config.minutes is not None:
        reasons["minutes"] = typed
    reserve = 8 + 1.5 * len(held if not len(test) else test) / timed["predict"]
    seconds = None
    if config.minutes is not None:
        seconds = 60 * config.minutes - reserve
        if seconds <= elapsed() + 1:
            raise UserError(
                f"{config.minutes:g} minutes are not enough: reading took {elapsed():.0f} s and the evaluation takes {reserve:.0f} s; give at least --minutes {(elapsed() + reserve) / 60 * 1.5 + 0.2:.1f}"
            )
    epochs = config.epochs if config.epochs is not None else MOST_EPOCHS
    reasons["epochs"] = (
        typed
        if config.epochs is not None
        else expected(timed[fastest], cost(reading), seconds, elapsed(), len(train))
    )
    return Plan(
        config, reasons, train, held, test, groups, normal, weights, timed, seconds, epochs * len(train)
    )


def _as_asked(way: str, config: Config) -> bool:
    precision, threads = way.split()
    return config.precision in (None, precision) and config.threads in (None, int(threads))


def cost(reading: Reading) -> float:
    """Values per image over a whole run, as a share of full-size images."""
    return mean_cost(reading.size, reading.dim) if reading.spacing is None else 1.0


def expected(images: float, share: float, seconds: float | None, now: float, n: int) -> str:
    """How many passes the time is expected to allow, at so many full-size images per second."""
    per_second = images / share
    passes = ((seconds or 0) - now) * per_second / n
    if passes < MOST_EPOCHS:
        return f"about {passes:.1f} expected in the time"
    return f"{MOST_EPOCHS}, expected to end after {MOST_EPOCHS * n / per_second / 60:.1f} min of training"


def split_rows(survey: Survey, config: Config):
    """(train, held out, test) rows, why, and the group of each row if asked."""
    splits, rows = survey.splits, np.arange(len(survey.labels))
    names = [survey.source.samples[int(i)].path.as_posix() for i in survey.images.rows]
    groups = groups_of(names, config.group) if config.group else None
    test = rows[splits == "test"]
    if "val" in survey.source.splits:
        return rows[splits == "train"], rows[splits == "val"], test, "your own folders", groups
    kept = rows if survey.source.splits == ("",) else rows[splits == "train"]
    joined = survey.alike if groups is None else _join(survey.alike, groups)
    held = hold_out(survey.labels[kept], joined[kept], config.held_out, config.seed)
    if groups is not None:
        _check_groups(survey, held, kept)
    what = "of each class, duplicates on one side" + (f", whole groups by {config.group}" if groups else "")
    return kept[~held], kept[held], test, f"{config.held_out:.0%} held out {what}, seed {config.seed}", groups


def _join(alike: NDArray[np.int64], groups: list[str]) -> NDArray[np.int64]:
    """(N,) equal for rows that are alike or in one group, directly or through others."""
    first: dict[str, int] = {}
    links = [[first.setdefault(group, i), i] for i, group in enumerate(groups)]
    links += [[int(a), i] for i, a in enumerate(alike)]
    return clusters(len(groups), links)


def _check_groups(survey: Survey, held: NDArray[np.bool_], kept: NDArray[np.int64]) -> None:
    for k, name in enumerate(survey.source.classes):
        sides = set(held[survey.labels[kept] == k].tolist())
        if len(sides) < 2:
            raise UserError(
                f"class {name!r} has images in one group only, so it cannot be both trained and held out: choose another --group"
            )


def class_weights(labels: NDArray[np.int64], classes: int) -> tuple[tuple[float, ...] | None, str]:
    """Weights 1 / sqrt(count), of mean 1 over the images, where classes differ much in size."""
    counts = np.bincount(labels, minlength=classes)
    ratio = counts.max() / max(1, counts.min())
    if ratio < IMBALANCE:
        return None, f"none: the largest class has {ratio:.1f} times the images of the smallest"
    weights = 1 / np.sqrt(np.maximum(counts, 1))
    weights = weights * counts.sum() / (weights * counts).sum()
    return tuple(
        weights.tolist()
    ), f"1 / sqrt(images): the largest class has {ratio:.1f} times the images of the smallest"


def time_steps(survey: Survey, config: Config, normal: Normal, train: NDArray[np.int64]) -> dict[str, float]:
    """Images per second of a few training steps by "precision threads", and of prediction, on this machine now."""
    assert config.batch and config.device
    network, size, device = new_network(survey, config).to(config.device), survey.reading.size, config.device
    rows = np.sort(train[: min(config.batch, max(8, 2**16 // size**survey.reading.dim))])
    x = resized(normal(survey.images.pixels[rows], device), size)
    y = torch.from_numpy(survey.labels[rows]).to(device)
    timed = {}
    for number in options(device):
        torch.set_num_threads(number)
        for name in ("float32", "bfloat16"):
            timed[f"{name} {number}"] = images_per_second(
                lambda n=name: _step(network, x, y, n), len(x), device
            )
    torch.set_num_threads(int(max(timed, key=lambda key: timed[key]).split()[1]))
    network.eval()
    with torch.inference_mode():
        timed["predict"] = images_per_second(lambda: network(x), len(x), device)
    return {name: round(value, 1) for name, value in timed.items()}


def _step(network: nn.Module, x, y, precision: str) -> None:
    network.train()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        logits = network(x)
    nn.functional.cross_entropy(logits.float(), y).backward()
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
