"""How fast this machine trains and answers, from a few steps timed now."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eyespot.training import classes, crops
from eyespot.training.config import Config
from eyespot.training.devices import answering, arithmetic, multiplies_bfloat16, wait
from eyespot.training.recording import WARM_UP, recorded
from eyespot.training.threads import options

Task = classes.Classify | crops.Segment


def time_steps(task: Task, draws: NDArray[np.int64]) -> dict[str, float]:
    """Images per second of a few training steps by "precision threads", and of prediction, on this machine now."""
    c = task.config
    assert c.batch and c.device and c.size
    network, generator = task.network().to(c.device), torch.Generator().manual_seed(c.seed)
    task.prepare(network)
    few = min(c.batch, max(2, 2**16 // c.size**task.survey.reading.dim)) if c.device == "cpu" else c.batch
    x, y = task.batch(np.resize(draws, few), c.size, generator)
    timed: dict[str, float] = {}
    for number in [c.threads] if c.threads else options(c.device):
        torch.set_num_threads(number)
        names = [fastest(timed).split()[0]] if timed else precisions(c)
        steps = {
            f"{name} {number}": partial(
                recorded(partial(_step, task, network, name), network.parameters(), c.device), x, y
            )
            for name in names
        }
        timed |= images_per_second(steps, len(x), c.device)
    precision, threads = fastest(timed).split()
    torch.set_num_threads(int(threads))
    network.eval()
    with (
        torch.inference_mode(),
        arithmetic(c.device, answering(task.answering() or precision, c.device)),
    ):
        timed |= images_per_second({"predict": partial(network, x)}, len(x), c.device)
    return {name: float(f"{value:.4g}") for name, value in timed.items()}


def fastest(timed: dict[str, float]) -> str:
    """The "precision threads" of the quickest training steps."""
    return max((way for way in timed if way != "predict"), key=lambda way: timed[way])


def precisions(config: Config) -> list[str]:
    """Those worth timing: what was typed, or float32, fewer products of it, and bfloat16 where the machine has it."""
    assert config.device
    known = [
        "float32",
        *["winograd"] * (config.device == "cpu"),
        *["bfloat16"] * multiplies_bfloat16(config.device),
    ]
    return [config.precision] if config.precision else known


def _step(task: Task, network: nn.Module, precision: str, x: Tensor, y: Any) -> Tensor:
    network.train()
    network.zero_grad()
    with arithmetic(x.device.type, precision):
        logits = network(x)
    loss = task.loss(logits, y)
    loss.backward()
    return loss.detach()


def images_per_second(
    ways: Mapping[str, Callable[[], object]], images: int, device: str, repeats: int = 3
) -> dict[str, float]:
    """Images per second of each way, the best of a few runs in turn with the others', after some to warm up."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    first = 1 if device == "cpu" else WARM_UP + 2
    for _ in range(first + repeats):
        for way, work in ways.items():
            start = time.perf_counter()
            work()
            wait(device)
            seconds[way].append(time.perf_counter() - start)
    return {way: images / min(taken[first:]) for way, taken in seconds.items()}
