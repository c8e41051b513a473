"""How fast this machine trains and predicts, from a few steps timed now."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eyespot.config import Config
from eyespot.devices import arithmetic, multiplies_bfloat16, prediction_precision, wait
from eyespot.fast import WARM_UP, Reference, compiled_by, enabled, recorded, use_compiled
from eyespot.tasks.order import first_draw
from eyespot.tasks.training import TrainingTask
from eyespot.training.threads import options

SHARE = 5e-4
"""Of the time, for timing each way at the least: a machine that others share may be twice as quick for some seconds."""
NEARLY = 1.1
"""How much faster plain bfloat16 has to be: it gains the more in such seconds."""


class Timed(dict[str, float]):
    """Samples per second by "precision threads", and of "predict"; `rejected`: why a precision was not timed."""

    rejected: dict[str, str]


def time_steps(task: TrainingTask, sample_indices: NDArray[np.int64]) -> Timed:
    """Images per second of a few training steps by "precision threads", and of prediction, on this machine now."""
    c = task.config
    assert c.batch and c.device and c.size
    network = task.network().to(c.device)
    task.prepare(network)
    few = (
        min(c.batch, max(2, 2**16 // c.size**task.survey.preprocessing.dim)) if c.device == "cpu" else c.batch
    )
    x, y = task.batch(first_draw(np.resize(sample_indices, few), c.seed), c.size)
    usable, rejected = verified(task, network, x, y)
    timed: dict[str, float] = {}
    rates = partial(images_per_second, images=len(x), device=c.device, least=60 * SHARE * (c.minutes or 0))
    for number in [c.threads] if c.threads else options(c.device):
        torch.set_num_threads(number)
        names = [fastest(timed).split()[0]] if timed else usable
        steps = {
            f"{name} {number}": partial(
                recorded(partial(_step, task, network, name), network.parameters(), c.device), x, y
            )
            for name in names
        }
        timed |= rates(steps)
    precision, threads = fastest(timed).split()
    torch.set_num_threads(int(threads))
    network.eval()
    with (
        torch.inference_mode(),
        arithmetic(c.device, prediction_precision(task.prediction_precision() or precision, c.device)),
    ):
        timed |= rates({"predict": partial(network, x)})
    rounded = Timed({name: float(f"{value:.4g}") for name, value in timed.items()})
    rounded.rejected = rejected
    return rounded


def verified(task: TrainingTask, network: nn.Module, x: Tensor, y: Any) -> tuple[list[str], dict[str, str]]:
    """The precisions that compute what plain float32 does on this batch; and of the others, what departs.

    A precision that the user asked for is used whatever it does. Where float32 departs, compiled passes are at fault
    and are not used.
    """
    device = task.config.device or "cpu"
    candidates = precisions(task.config)
    rejected: dict[str, str] = {}
    try:
        reference = Reference(network, task.loss, x, y, device)
        for precision in candidates:
            reason = reference.departs(precision)
            if reason is not None and precision == "float32" and compiled_by(torch.float32):
                use_compiled(False)
                rejected["compiled passes"] = reason
                reason = reference.departs(precision)
            if reason is not None:
                rejected[precision] = reason
    except torch.OutOfMemoryError:  # as the comparison takes more memory than a step
        torch.cuda.empty_cache()
    usable = [precision for precision in candidates if precision not in rejected]
    return usable or candidates[:1], rejected


def fastest(timed: Mapping[str, float]) -> str:
    """The "precision threads" of the quickest training steps."""
    ways = [way for way in timed if way != "predict"]
    return max(ways, key=lambda way: timed[way] * (NEARLY if way.startswith("im2col") else 1))


def precisions(config: Config) -> list[str]:
    """Those worth timing: what was typed, or float32, bfloat16 where the machine has it, and other gradients of either."""
    assert config.device
    half = multiplies_bfloat16(config.device)
    maps = config.device == "cpu" and config.dim != 1 and enabled()
    known = ["float32", *["bfloat16"] * half, *["im2col" if half else "winograd"] * maps]
    return [config.precision] if config.precision else known


def _step(task: TrainingTask, network: nn.Module, precision: str, x: Tensor, y: Any) -> Tensor:
    network.train()
    network.zero_grad()
    with arithmetic(x.device.type, precision):
        logits = network(x)
    loss = task.loss(logits, y)
    loss.backward()
    return loss.detach()


def images_per_second(
    ways: Mapping[str, Callable[[], object]], images: int, device: str, least: float = 0.0, repeats: int = 3
) -> dict[str, float]:
    """Images per second of each way, the median of some runs in turn with the others', after some to warm up.

    least: seconds for each way, at the least
    """
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    first, end, runs = 1 if device == "cpu" else WARM_UP + 2, time.perf_counter() + least * len(ways), 0
    while runs < first + repeats or time.perf_counter() < end:
        runs += 1
        for way, work in ways.items():
            start = time.perf_counter()
            work()
            wait(device)
            seconds[way].append(time.perf_counter() - start)
    return {way: images / median(taken[first:]) for way, taken in seconds.items()}
