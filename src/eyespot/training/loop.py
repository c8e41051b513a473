"""The training loop: every step on one page."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from eyespot.devices import arithmetic
from eyespot.fast import recorded
from eyespot.recipe import EMA as EMA_PART
from eyespot.recipe import MUON, parse_recipe
from eyespot.tasks.order import Order
from eyespot.training.division import MONITOR
from eyespot.training.optimise import EMA, finetune_optimisers, on_gpu, optimisers, set_rates
from eyespot.training.plan import Plan
from eyespot.training.schedule import rate
from eyespot.training.signals import StopSignal
from eyespot.training.state import FINISHED, Mark, Progress, Row, TrainState
from eyespot.training.statistics import estimate_statistics, is_lagging, samples_needed
from eyespot.training.threads import Threads, options

DIVERGED = "a loss or weight was not finite twice; the best network before that is kept"
INTERRUPTED = "stopped by Ctrl-C"
VALIDATIONS = 25
"""In a whole run, about."""
PATIENCE = 0.4
"""Stop early when this share of the run, past its half, brought no improvement."""
SHARE = 30
"""Validations take at most one part in so many of the time."""
LEAST_DROP = 0.01
"""A final metric is below the best one by at least so much before that network is kept instead."""
CHECKPOINT_SHARE = 100
"""Checkpoints sooner than each minute take at most one part in so many of the time."""


class Watcher(Protocol):
    """What is notified during training: a run folder with its table, or nobody."""

    def on_step(self, fraction: float, per_second: float) -> None:
        """After each step: the fraction done, and samples per second."""
        ...

    def on_row(self, state: TrainState, is_best: bool) -> None:
        """After each validation, whose row is the last of the history."""
        ...

    def on_checkpoint(self, state: TrainState) -> Path | None:
        """The state is to be saved: where it was, or None where nothing is saved."""
        ...

    def on_message(self, text: str) -> None:
        """A line for the user."""
        ...


@dataclass
class Outcome:
    """What training ended with.

    tensors       the weights to keep: of the EMA network at the end, or of the best one where training was cut short;
                  None where there are none
    side          samples along an axis at which they were last trained
    """

    tensors: Mapping[str, Tensor] | None
    side: int
    history: list[Row]
    ended: str
    interrupted: bool = False


class Loop:
    """A training run, from the plan or from a checkpoint, until the time or the samples are used up."""

    def __init__(self, plan: Plan, elapsed: Callable[[], float], watcher: Watcher):
        self.plan = plan
        self.config = plan.config
        self.task = plan.task
        self.elapsed = elapsed
        self.watcher = watcher
        assert self.config.batch
        assert self.config.device
        self.device = self.config.device
        self.order = Order(self.task.sample_indices(plan.train), self.config.batch, self.config.seed)
        validated = np.random.default_rng(self.config.seed).permutation(plan.val)[:MONITOR]
        self.validation_rows = np.sort(validated)
        self.threads = Threads(options(self.device) if self.config.minutes else [1], elapsed())
        self.checkpoint: Path | None = None
        self.checkpoint_mark = Mark(elapsed())
        self._start()

    def _start(self) -> None:
        """Begin with new weights."""
        config = self.config
        network = self.task.network().to(self.device).train()
        self.task.prepare(network)
        recipe = parse_recipe(config.recipe or "")
        assert config.batch
        if config.fine_tune:
            chosen = finetune_optimisers(network, config.batch)
        else:
            chosen = optimisers(network, config.batch, self.task.muon if MUON in recipe else 0.0)
        if self.device.startswith("cuda"):
            on_gpu(chosen, self.device)
        now = self.elapsed()
        progress = Progress(now, config.size or 0, Mark(now))
        self.state = TrainState(network, EMA(network, EMA_PART in recipe), chosen, progress)
        self.step = recorded(self._learn, network.parameters(), self.device)

    def resume(self, checkpoint: Path) -> None:
        """Continue from a checkpoint. The time since then does not count for the speed that is shown."""
        self.state.load(checkpoint)
        self.checkpoint = checkpoint
        progress = self.state.progress
        mark = progress.mark
        pause = self.elapsed() - progress.seconds
        progress.mark = Mark(mark.seconds + pause, mark.fraction, mark.seen, mark.cost)

    def run(self) -> Outcome:
        """Train to the end, or to a signal: Ctrl-C ends training, SIGTERM the program; both save a checkpoint."""
        try:
            with StopSignal() as stop:
                while not self.state.progress.ended:
                    self._one_step()
                    if stop.received and not self.state.progress.ended:
                        self._save()
                        stop.exit_if_terminated(self.watcher.on_message)
                        return self._outcome(interrupted=True)
            self._save()
        except KeyboardInterrupt:  # in the middle of a step: the last checkpoint stays
            return self._outcome(interrupted=True)
        return self._outcome(interrupted=False)

    def _one_step(self) -> None:
        progress = self.state.progress
        # 1. how far the run is, by the clock or by the samples, whichever is further
        fraction = fraction_done(self.elapsed(), self.plan, progress)
        if fraction >= 1:
            self._end(FINISHED)
            return
        set_rates(self.state.optimisers, fraction, progress.rate_factor)
        # 2. a batch
        draw = self.order.at(progress.seen)
        side = self.task.side(fraction)
        if side != progress.side and progress.steps:
            progress.resized_at = progress.steps
        progress.side = side
        x, y = self.task.batch(draw, progress.side)
        # 3. a step
        with arithmetic(self.device, self.config.precision):
            self.threads.adjust(self.state.network, x, self.elapsed())
        self.state.losses.append(self.step(x, y))
        self.state.ema.update()
        progress.steps += 1
        progress.seen += len(draw.rows)
        self._tell_step(fraction)
        # 4. validate and save now and then
        if self._validation_is_due(fraction):
            self._validate(fraction)
        if self._checkpoint_is_due():
            self._save()

    def _learn(self, x: Tensor, y: Any) -> Tensor:
        """Forward pass, backward pass, and the optimisers' steps; the loss."""
        state = self.state
        with arithmetic(self.device, self.config.precision):
            logits = state.network(x)
        loss = self.task.loss(logits, y)
        for optimiser in state.optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in state.optimisers:
            optimiser.step()
        return loss.detach()

    def _tell_step(self, fraction: float) -> None:
        mark = self.state.progress.mark
        seconds = max(self.elapsed() - mark.seconds, 1e-9)
        self.watcher.on_step(fraction, (self.state.progress.seen - mark.seen) / seconds)

    def _validation_is_due(self, fraction: float) -> bool:
        """After another 25th of the run; by the clock, if there is one, for at most a thirtieth of the time."""
        mark = self.state.progress.mark
        in_time = not self.config.minutes or self.elapsed() - mark.seconds >= SHARE * mark.cost
        return fraction - mark.fraction >= 1 / VALIDATIONS and in_time

    def _estimate_statistics(self) -> None:
        """Compute the batch-norm statistics of the averaged network anew, from the first samples of the order."""
        progress = self.state.progress
        needed = samples_needed(progress.seen, len(self.order.rows))
        draws = [self.order.at(position) for position in range(0, needed, self.order.batch)]
        batches = (self.task.batch(draw, progress.side)[0] for draw in draws)
        with arithmetic(self.device, self.config.precision):
            estimate_statistics(self.state.ema.network, batches)

    def _validate(self, fraction: float) -> None:
        state = self.state
        progress = state.progress
        if not self._is_finite():
            self._take_back()
            return
        now = self.elapsed()
        if fraction >= 1 or is_lagging(progress.steps, progress.resized_at):
            self._estimate_statistics()
        loss, metric = self.task.validate(state.ema.network, self.validation_rows, progress.side)
        cost = self.elapsed() - now
        progress.validation_costs.append(cost / progress.side**self.task.survey.preprocessing.dim)
        progress.history.append(self._row(fraction, loss, metric, now))
        is_best = metric >= progress.best
        if metric > progress.best:
            progress.best = metric
            progress.best_at = fraction
        if is_best:
            state.keep_best()
            progress.kept_at = fraction
            progress.kept_side = progress.side
        self.watcher.on_row(state, is_best)
        state.losses = []
        progress.mark = Mark(self.elapsed(), fraction, progress.seen, cost)
        if 1 > fraction > 0.5 and fraction - progress.best_at > PATIENCE:
            progress.ended = f"no improvement for {PATIENCE:.0%} of the run, so it stopped early"

    def _row(self, fraction: float, loss: float, metric: float, now: float) -> Row:
        """What a validation that began at `now` adds to the history."""
        progress = self.state.progress
        losses = self.state.losses
        trained = progress.seen - progress.mark.seen
        last = (
            progress.history[-1] if progress.history and not trained else None
        )  # validated twice at the end
        return Row(
            epoch=progress.seen / len(self.order.rows),
            seconds=self.elapsed(),
            fraction=fraction,
            size=progress.side,
            rate=rate(fraction),
            train_loss=last.train_loss if last else torch.stack(losses).mean().item(),
            loss=loss,
            score=metric,
            images_per_second=last.images_per_second
            if last
            else trained / max(now - progress.mark.seconds, 1e-9),
        )

    def _is_finite(self) -> bool:
        losses = self.state.losses
        return (not losses or bool(torch.stack(losses).isfinite().all())) and self.state.is_finite()

    def _end(self, why: str) -> None:
        """Validate the network as it will be saved; where a weight is not finite, go back instead."""
        progress = self.state.progress
        taken_back = progress.rate_factor
        if progress.steps:
            self._validate(1.0)
        if not progress.ended and progress.rate_factor == taken_back:
            progress.ended = why

    def _take_back(self) -> None:
        """Go back to the last checkpoint, whose weights are finite, and continue at half the learning rate: once."""
        before = self.state.progress
        if before.rate_factor < 1:
            before.ended = DIVERGED
            return
        infinite = [not bool(loss.isfinite()) for loss in self.state.losses]
        what = "the loss" if any(infinite) else "a weight"
        step = before.steps - len(infinite) + infinite.index(True) + 1 if any(infinite) else before.steps
        start = before.start
        self._start()
        if self.checkpoint is not None:
            self.resume(self.checkpoint)
        progress = self.state.progress
        progress.start = start
        progress.rate_factor = 0.5
        self.watcher.on_message(
            f"{what} was not finite at step {step:,}: back to step {progress.steps:,}, at half the learning rate"
        )

    def _checkpoint_is_due(self) -> bool:
        """Every minute; after a validation also sooner, where saving takes at most a hundredth of the time."""
        since = self.elapsed() - self.checkpoint_mark.seconds
        just_validated = self.state.progress.mark.seen == self.state.progress.seen
        return since >= checkpoint_seconds() or (
            just_validated and since >= CHECKPOINT_SHARE * self.checkpoint_mark.cost
        )

    def _save(self) -> None:
        """Save a checkpoint, unless a weight is not finite."""
        if not self._is_finite():
            return
        now = self.elapsed()
        self.checkpoint = self.watcher.on_checkpoint(self.state)
        self.checkpoint_mark = Mark(self.elapsed(), cost=self.elapsed() - now)

    def _outcome(self, interrupted: bool) -> Outcome:
        progress = self.state.progress
        at_end = (progress.ended == FINISHED and not self._is_below_best()) or not self.state.best
        tensors: Mapping[str, Tensor] | None = self.state.best or None
        side = progress.kept_side or progress.side
        if at_end:
            finite = progress.steps > 0 and self._is_finite()
            tensors = self.state.ema.network.state_dict() if finite else None
            side = progress.side
        return Outcome(tensors, side, progress.history, progress.ended or INTERRUPTED, interrupted)

    def _is_below_best(self) -> bool:
        """Whether the last validation is below the best one by more than chance; if so, it is said."""
        progress = self.state.progress
        if not progress.history:
            return False
        last = progress.history[-1].score
        best = progress.best
        if best - last <= max(LEAST_DROP, 2 * (best * (1 - best) / len(self.validation_rows)) ** 0.5):
            return False
        self.watcher.on_message(
            f"the network at the end was validated with {last:.1%}, and that after {progress.kept_at:.0%} of the run with "
            f"{best:.1%}: the better one is kept"
        )
        return True


def checkpoint_seconds() -> float:
    """Seconds between two checkpoints, at most."""
    from eyespot.environment import positive_number

    return positive_number("EYESPOT_CHECKPOINT_SECONDS", 60)


def slowdown(costs: list[float]) -> float:
    """How many times as long as the fastest validation the last two took, the better of them: one may be bad luck."""
    return min(costs[-2:]) / min(costs) if costs else 1.0


def fraction_done(now: float, plan: Plan, progress: Progress) -> float:
    """The fraction of the run. On a machine that has become slower, what comes after training takes longer, so training
    ends sooner.
    """
    by_time = 0.0
    if plan.seconds is not None:
        later = plan.reserve * (slowdown(progress.validation_costs) - 1)
        end = plan.seconds - progress.mark.cost - later  # the last validation is still to come
        by_time = (now - progress.start) / max(end - progress.start, 1e-9)
    by_samples = progress.seen / plan.images if plan.images is not None else 0.0
    return max(by_time, by_samples)


def clock(spent: float = 0.0) -> Callable[[], float]:
    """Seconds since now, and those spent before."""
    start = time.monotonic() - spent
    return lambda: time.monotonic() - start
