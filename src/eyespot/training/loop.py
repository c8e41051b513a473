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
from eyespot.fast import with_cuda_graph
from eyespot.recipe import EMA as EMA_RECIPE
from eyespot.recipe import parse_recipe
from eyespot.tasks.order import Order
from eyespot.training import review
from eyespot.training.division import MOST_VALIDATED
from eyespot.training.keeping import PATIENCE, is_stalled, is_to_be_kept, note_improvement, shortened
from eyespot.training.optimise import EMA, new_optimisers, on_gpu, set_rates
from eyespot.training.plan import Plan
from eyespot.training.schedule import rate
from eyespot.training.signals import StopSignal
from eyespot.training.state import FINISHED, Mark, Progress, Row, TrainState
from eyespot.training.statistics import estimate_statistics, is_lagging, samples_needed
from eyespot.training.threads import Threads, options
from eyespot.training.timing import PREDICT

DIVERGED = "a loss or weight was not finite twice; the best network before that is kept"
STALLED = f"no improvement for {PATIENCE:.0%} of the run, so it ended early"
INTERRUPTED = "stopped by Ctrl-C"
VALIDATIONS = 25
"""In a whole run, about."""
VALIDATION_DIVISOR = 30
"""Validations take at most one part in so many of the time."""
LEAST_VALIDATED = 200
"""Validation images that are predicted while training, at the least."""
CHECKPOINT_SHARE = 100
"""Checkpoints sooner than each minute take at most one part in so many of the time."""


class Watcher(Protocol):
    """What is notified during training: a run folder with its table, or nobody."""

    def on_step(self, fraction: float, per_second: float) -> None:
        """After each step: the fraction done, and samples per second."""
        ...

    def on_row(self, state: TrainState, is_kept: bool) -> None:
        """After each validation, whose row is the last of the history."""
        ...

    def on_validated(self, row: Row) -> None:
        """After each validation, when the state may be saved; an error that is raised here ends training."""
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

    tensors       the weights to keep: of the EMA network as last validated, unless an earlier one was clearly better;
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
        validated = np.random.default_rng(self.config.seed).permutation(plan.val)[: validation_size(plan)]
        self.validation_rows = np.sort(validated)
        self.threads = Threads(options(self.device) if self.config.minutes else [1], elapsed())
        self.checkpoint: Path | None = None
        self.checkpoint_mark = Mark(elapsed())
        self.reported = 0
        self._start()

    def _start(self) -> None:
        """Begin with new weights."""
        config = self.config
        network = self.task.network().to(self.device).train()
        self.task.prepare(network)
        recipe = parse_recipe(config.recipe or "")
        chosen = new_optimisers(network, self.task)
        if self.device.startswith("cuda"):
            on_gpu(chosen, self.device)
        now = self.elapsed()
        progress = Progress(now, config.size or 0, Mark(now))
        self.state = TrainState(network, EMA(network, EMA_RECIPE in recipe), chosen, progress)
        self.step = with_cuda_graph(self._train_step, network.parameters(), self.device)

    def resume(self, checkpoint: Path) -> None:
        """Continue from a checkpoint. The time since then does not count for the speed that is shown."""
        self.state.load(checkpoint)
        self.checkpoint = checkpoint
        progress = self.state.progress
        self.reported = len(progress.history)
        mark = progress.mark
        pause = self.elapsed() - progress.seconds
        progress.mark = Mark(mark.seconds + pause, mark.fraction, mark.seen, mark.cost)

    def run(self) -> Outcome:
        """Train to the end, or to a signal: Ctrl-C ends training, SIGTERM the program; both save a checkpoint."""
        try:
            with StopSignal() as stop:
                while not self.state.progress.ended:
                    self._one_step()
                    self._report_validation()
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
            self._end(FINISHED if progress.stalled_at is None else STALLED)
            return
        set_rates(self.state.optimisers, fraction, progress.rate_factor)
        # 2. a batch
        batch = self.order.at(progress.seen)
        side = self.task.side(fraction)
        if side != progress.side and progress.steps:
            progress.resized_at = progress.steps
        progress.side = side
        x, y = self.task.batch(batch, progress.side)
        # 3. a step
        with arithmetic(self.device, self.config.precision):
            self.threads.adjust(self.state.network, x, self.elapsed())
        self.state.losses.append(self.step(x, y))
        self.state.ema.update()
        progress.steps += 1
        progress.seen += len(batch.rows)
        self._tell_step(fraction)
        self._review_speed(fraction)
        # 4. validate and save now and then
        if self._validation_is_due(fraction):
            self._validate(fraction)
        if self._checkpoint_is_due():
            self._save()

    def _train_step(self, x: Tensor, y: Any) -> Tensor:
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

    def _review_speed(self, fraction: float) -> None:
        """Once, say so if the run is much faster or slower than planned."""
        progress = self.state.progress
        if progress.is_reviewed or fraction < review.AT:
            return
        progress.is_reviewed = True
        note = review.speed_note(self.plan, progress, self.elapsed())
        if note is not None:
            self.watcher.on_message(note)

    def _validation_is_due(self, fraction: float) -> bool:
        """After another 25th of the run; by the clock, if there is one, for at most a thirtieth of the time."""
        mark = self.state.progress.mark
        in_time = not self.config.minutes or self.elapsed() - mark.seconds >= VALIDATION_DIVISOR * mark.cost
        return fraction - mark.fraction >= 1 / VALIDATIONS and in_time

    def _estimate_statistics(self) -> None:
        """Compute the batch-norm statistics of the averaged network anew, from the first samples of the order."""
        progress = self.state.progress
        needed = samples_needed(progress.seen, len(self.order.rows))
        batches_of_rows = [self.order.at(position) for position in range(0, needed, self.order.batch)]
        batches = (self.task.batch(batch, progress.side)[0] for batch in batches_of_rows)
        estimate_statistics(
            self.state.ema.network, batches, lambda: arithmetic(self.device, self.config.precision)
        )

    def _validate(self, fraction: float) -> None:
        state = self.state
        progress = state.progress
        if not self._is_finite():
            self._roll_back()
            return
        now = self.elapsed()
        if fraction >= 1 or is_lagging(progress.steps, progress.resized_at):
            self._estimate_statistics()
        loss, metric = self.task.validate(state.ema.network, self.validation_rows, progress.side)
        cost = self.elapsed() - now
        progress.validation_costs.append(cost / progress.side**self.task.survey.preprocessing.dim)
        progress.history.append(self._row(fraction, loss, metric, now))
        note_improvement(progress, fraction, loss, metric)
        is_kept = is_to_be_kept(
            progress, metric, len(self.validation_rows) if self.task.counts_images else None
        )
        if is_kept:
            state.keep()
            progress.kept_at, progress.kept_side = fraction, progress.side
            progress.kept_score = metric
        self.watcher.on_row(state, is_kept)
        state.losses = []
        progress.mark = Mark(self.elapsed(), fraction, progress.seen, cost)
        if progress.stalled_at is None and is_stalled(progress, fraction, self.task.side(1.0)):
            progress.stalled_at = fraction
            self.watcher.on_message(
                f"no improvement for {PATIENCE:.0%} of the run: it ends early, after the learning rate has fallen to 0"
            )

    def _report_validation(self) -> None:
        """Let the watcher know of a new row. Where it raises an error the work is saved."""
        history = self.state.progress.history
        if len(history) > self.reported:
            try:
                self.watcher.on_validated(history[-1])
            except Exception:
                self._save()
                raise
        self.reported = len(history)

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
        rate_before = progress.rate_factor
        if progress.steps:
            self._validate(1.0)
        if not progress.ended and progress.rate_factor == rate_before:
            progress.ended = why

    def _roll_back(self) -> None:
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
        """The network that is kept; where none was validated yet, the present one."""
        progress = self.state.progress
        tensors: Mapping[str, Tensor] | None = self.state.best or None
        side = progress.kept_side or progress.side
        if tensors is None:
            finite = progress.steps > 0 and self._is_finite()
            tensors = self.state.ema.network.state_dict() if finite else None
        elif progress.history[-1].fraction > progress.kept_at:
            self.watcher.on_message(
                f"the network at the end was validated with {progress.history[-1].score:.1%}, and that after "
                f"{progress.kept_at:.0%} of the run with {progress.kept_score:.1%}: the better one is kept"
            )
        return Outcome(tensors, side, progress.history, progress.ended or INTERRUPTED, interrupted)


def validation_size(plan: Plan) -> int:
    """How many validation images are predicted while training: fewer where these would take much of a short run."""
    if plan.config.minutes is None:
        return MOST_VALIDATED
    in_time = plan.timed.get(PREDICT, float("inf")) * 60 * plan.config.minutes / VALIDATION_DIVISOR
    return int(min(MOST_VALIDATED, max(LEAST_VALIDATED, in_time)))


def checkpoint_seconds() -> float:
    """Seconds between two checkpoints, at most."""
    from eyespot.environment import positive_number

    return positive_number("EYESPOT_CHECKPOINT_SECONDS", 60)


def slowdown(costs: list[float]) -> float:
    """How many times as long as the fastest validation the last two took, the better of them: one may be bad luck."""
    return min(costs[-2:]) / min(costs) if costs else 1.0


def fraction_done(now: float, plan: Plan, progress: Progress) -> float:
    """The fraction of the schedule. On a machine that has become slower, what comes after training takes longer, so
    training ends sooner; after a stall too. When it becomes faster again the schedule waits: it never goes back behind the
    last validation.
    """
    by_time = 0.0
    if plan.seconds is not None:
        later = plan.reserve * (slowdown(progress.validation_costs) - 1)
        end = plan.seconds - progress.mark.cost - later  # the last validation is still to come
        by_time = (now - progress.start) / max(end - progress.start, 1e-9)
    by_samples = progress.seen / plan.images if plan.images is not None else 0.0
    return max(progress.mark.fraction, shortened(max(by_time, by_samples), progress.stalled_at))


def clock(spent: float = 0.0) -> Callable[[], float]:
    """Seconds since now, and those spent before."""
    start = time.monotonic() - spent
    return lambda: time.monotonic() - start
