"""How fast this machine trains and predicts, from the fewest steps that decide, timed now."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eyespot.config import Config
from eyespot.devices import arithmetic, multiplies_bfloat16, prediction_precision, wait
from eyespot.fast import WARM_UP, Reference, compiled_by, enabled, use_compiled, with_cuda_graph
from eyespot.tasks.order import Order
from eyespot.tasks.training import TrainingTask
from eyespot.training.optimise import new_optimisers, set_rates
from eyespot.training.threads import options

SHARE = 0.1
"""Of the time of a run, for timing, at the most."""
LEAST = 0.5
"""Seconds for timing that any run may take."""
SUSTAINED = 0.01
"""Of the time of a run, for whole steps on new batches: a machine that others share may be twice as fast for a while."""
CLOSE = 1.3
"""How much slower than the fastest so far a way may be and still be timed again."""
FAR = 2.0
"""How much slower a small forward pass may be with a number of threads that is worth timing."""
REPEATS = 3
"""Times that a way is timed, at the most."""
NEARLY = 1.1
"""How much faster plain bfloat16 has to be: it gains the more where a machine is fast for a while."""
PREDICT = "predict"
"""The key of predictions, in samples per second."""
BATCH = "batch"
"""The key of making batches, in samples per second."""
UPDATE = "update"
"""The key of updates of the weights, per second."""
COMPILED = "compiled passes"
"""What may be rejected beside precisions."""


class Timed(dict[str, float]):
    """Samples per second by "precision threads", which is a way to train, and of what else is timed.

    rejected   why a precision is not used
    """

    def __init__(self, rates: Mapping[str, float], rejected: Mapping[str, str] | None = None):
        super().__init__(rates)
        self.rejected = dict(rejected or {})

    def scaled(self, factor: float) -> "Timed":
        """The same of a network that takes so many times as long."""
        rest = {name: rate for name, rate in self.items() if name in (BATCH, UPDATE)}
        return Timed({name: rate / factor for name, rate in self.items()} | rest, self.rejected)


class Allowance:
    """The seconds that timing may take, and those that it took."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter):
        self.clock = clock
        self.start = clock()
        self.seconds = max(LEAST, SHARE * seconds)

    def grant(self, seconds: float) -> None:
        """A share of the seconds that the run is expected to take."""
        self.seconds = max(LEAST, SHARE * seconds)

    def spent(self) -> float:
        return self.clock() - self.start

    def fits(self, seconds: float) -> bool:
        """Whether so many seconds more are allowed."""
        return self.spent() + seconds <= self.seconds


class NetworkTimer:
    """Training steps and predictions of one network, timed on a batch of the training set."""

    def __init__(self, task: TrainingTask, sample_indices: NDArray[np.int64], allowance: Allowance):
        config = task.config
        assert config.batch and config.device and config.size
        self.task = task
        self.device = config.device
        self.clock = allowance.clock
        self.allowance = allowance
        self.network = task.network().to(self.device)
        task.prepare(self.network)
        values = config.size**task.survey.preprocessing.dim
        number = min(config.batch, max(2, 2**16 // values)) if self.device == "cpu" else config.batch
        self.order = Order(sample_indices, number, config.seed)
        self.x, self.y = task.batch(self.order.at(0), config.size)
        self.seconds: dict[str, list[float]] = {}
        self.steps: dict[str, Callable[[Tensor, Any], Tensor]] = {}
        self.rejected: dict[str, str] = {}
        self.slowdown = 1.0
        self.others: dict[str, float] = {}

    def quick(self, way: str | None = None) -> Timed:
        """First rates: of this way to train, or of the plainest, and of predictions."""
        self._time(way or self._plainest())
        self._time_predictions(1)
        return self.timed()

    def compare(self) -> Timed:
        """The rates of all ways that may be the fastest."""
        precision, now = fastest(self.timed()).split()
        self._race([f"{precision} {number}" for number in self._promising(int(now))])
        threads = fastest(self.timed()).split()[1]
        self._race([f"{name} {threads}" for name in precisions(self.task.config)])
        return self.timed()

    def finish(self, seconds: float) -> Timed:
        """The rates to plan with: of a precision that computes what float32 does, for some seconds of whole steps."""
        self._verify()
        self._sustain(fastest(self.timed()), min(seconds, self.allowance.seconds))
        self._time_predictions(REPEATS)
        return self.timed()

    def timed(self) -> Timed:
        rates = {way: len(self.x) / median(taken) / self.slowdown for way, taken in self.seconds.items()}
        return Timed(
            {name: float(f"{rate:.4g}") for name, rate in (rates | self.others).items()}, self.rejected
        )

    def _numbers(self) -> list[int]:
        """Numbers of threads, the smallest first: all cores are many times slower where another program has one."""
        threads = self.task.config.threads
        return [threads] if threads else sorted(options(self.device))

    def _promising(self, now: int) -> list[int]:
        """Those numbers of threads with which a small forward pass is not many times slower than with the present one."""
        numbers = self._numbers()
        if len(numbers) < 2 or not self.allowance.fits(0):
            return [now]
        images = self.x[: max(1, len(self.x) // 8)]
        typical = self._forward(images, now)
        return [n for n in numbers if n == now or self._forward(images, n, FAR * typical) < FAR * typical]

    def _forward(self, x: Tensor, number: int, most: float = float("inf")) -> float:
        """Seconds of a forward pass with so many threads, the better of two, or of one that takes far too long."""
        torch.set_num_threads(number)
        self.network.eval()
        seconds = float("inf")
        with torch.no_grad():
            for _ in range(2):
                start = self.clock()
                self.network(x)
                seconds = min(seconds, self.clock() - start)
                if seconds > FAR * most:
                    break
        return seconds

    def _plainest(self) -> str:
        return f"{precisions(self.task.config)[0]} {self._numbers()[0]}"

    def _race(self, ways: list[str]) -> None:
        """Time each way, then those that are close to the fastest again, as long as it is allowed."""
        for turn in range(REPEATS):
            typical = {way: median(taken) for way, taken in self.seconds.items()}
            best = min((typical[way] for way in ways if way in typical), default=0.0)
            close = [way for way in ways if typical.get(way, best) <= CLOSE * best]
            if turn and len(close) < 2:
                return
            for way in close if turn else [way for way in ways if way not in typical]:
                if not self.allowance.fits(2 * best):
                    return
                self._time(way)

    def _time(self, way: str) -> None:
        """Time a step, after some to warm up where it is the first; if even one takes too long, it counts itself."""
        precision, threads = way.split()
        torch.set_num_threads(int(threads))
        if way not in self.steps:
            step = partial(_step, self.task, self.network, precision)
            self.steps[way] = with_cuda_graph(step, self.network.parameters(), self.device)
            first = [self._seconds(way) for _ in range(1 if self.device == "cpu" else WARM_UP + 2)]
            self.seconds[way] = []
            if not self.allowance.fits(first[-1]):
                self.seconds[way] = first[-1:]
                return
        self.seconds[way].append(self._seconds(way))

    def _seconds(self, way: str) -> float:
        start = self.clock()
        self.steps[way](self.x, self.y)
        wait(self.device)
        return max(self.clock() - start, 1e-9)

    def _verify(self) -> None:
        """Leave out a precision that departs from float32, unless it was typed. Where float32 does, compiled passes
        are at fault and are not used.
        """
        checked: set[str] = set()
        try:
            reference = Reference(self.network, self.task.loss, self.x, self.y, self.device)
            while (precision := fastest(self.timed()).split()[0]) not in checked:
                checked.add(precision)
                reason = reference.departs(precision)
                if reason is not None and precision == "float32" and compiled_by(torch.float32):
                    use_compiled(False)
                    self.rejected[COMPILED] = reason
                    reason = reference.departs(precision)
                if reason is None:
                    return
                self.rejected[precision] = reason
                self._leave_out(precision)
        except torch.OutOfMemoryError:  # as the comparison takes more memory than a step
            torch.cuda.empty_cache()

    def _leave_out(self, precision: str) -> None:
        usable = [name for name in precisions(self.task.config) if name not in self.rejected]
        if not usable:
            return
        threads = fastest(self.timed()).split()[1]
        self.seconds = {way: s for way, s in self.seconds.items() if way.split()[0] != precision}
        if not self.seconds:
            self._time(f"{usable[0]} {threads}")

    def _sustain(self, way: str, seconds: float) -> None:
        """Whole steps on new batches for so many seconds, at least one: how long batch, step and update take."""
        torch.set_num_threads(int(way.split()[1]))
        # On a GPU the updates are recorded with the step, which hides most of what they take.
        steppers = new_optimisers(self.network, self.task) if self.device == "cpu" else []
        set_rates(steppers, 0.5)  # all layers are trained
        step = self.steps[way]
        start = self.clock()
        taken = {BATCH: 0.0, way: 0.0, UPDATE: 0.0}
        turns = 0
        while turns == 0 or self.clock() - start < seconds:
            turns += 1
            self._whole_step(step, steppers, turns, way, taken)
        samples = turns * len(self.x)
        burst = len(self.x) / median(self.seconds[way])
        self.slowdown = burst * taken.pop(way) / samples
        self.others[BATCH] = samples / max(taken[BATCH], 1e-9)
        if steppers:
            self.others[UPDATE] = turns / max(taken[UPDATE], 1e-9)

    def _whole_step(
        self,
        step: Callable[[Tensor, Any], Tensor],
        steppers: Iterable[torch.optim.Optimizer],
        number: int,
        way: str,
        taken: dict[str, float],
    ) -> None:
        marks = [self.clock()]
        x, y = self.task.batch(self.order.at(number * self.order.batch), self.task.config.size or 0)
        wait(self.device)
        marks.append(self.clock())
        step(x, y)
        wait(self.device)
        marks.append(self.clock())
        for stepper in steppers:
            stepper.step()
        marks.append(self.clock())
        for name, before, after in zip((BATCH, way, UPDATE), marks[:-1], marks[1:], strict=True):
            taken[name] += after - before

    def _time_predictions(self, times: int) -> None:
        precision, threads = fastest(self.timed()).split()
        torch.set_num_threads(int(threads))
        wanted = self.task.prediction_precision() or precision
        self.network.eval()
        taken = []
        with torch.inference_mode(), arithmetic(self.device, prediction_precision(wanted, self.device)):
            self.network(self.x)  # to warm up
            while not taken or (len(taken) < times and self.allowance.fits(taken[-1])):
                start = self.clock()
                self.network(self.x)
                wait(self.device)
                taken.append(max(self.clock() - start, 1e-9))
        self.others[PREDICT] = len(self.x) / median(taken) / self.slowdown


def ways(timed: Mapping[str, float]) -> list[str]:
    """The ways to train that were timed."""
    return [name for name in timed if " " in name]


def fastest(timed: Mapping[str, float]) -> str:
    """The "precision threads" of the fastest training steps."""
    return max(ways(timed), key=lambda way: timed[way] * (NEARLY if way.startswith("im2col") else 1))


def samples_per_second(timed: Mapping[str, float], batch: int, cost: float = 1.0) -> float:
    """Of training in the fastest way, batches and updates included; `cost` is of a sample, as a share of a full-size one's."""
    seconds = cost / timed[fastest(timed)] + 1 / timed.get(BATCH, float("inf"))
    return 1 / (seconds + 1 / timed.get(UPDATE, float("inf")) / batch)


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
