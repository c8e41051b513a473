"""The training loop: one page that shows every step."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eyespot.fast import recorded
from eyespot.training.batches import forever
from eyespot.training.devices import arithmetic
from eyespot.training.division import MONITOR
from eyespot.training.optimise import Average, finetune_optimisers, on_gpu, optimisers, set_rates
from eyespot.training.plan import Plan
from eyespot.training.recipe import parse_recipe
from eyespot.training.schedule import rate
from eyespot.training.threads import Threads, options

DONE = "the schedule is done"
DIVERGED = "the loss became infinite; the best network before that is kept"
ROWS = 25
"""Lines of the table, about, over a whole run."""
PATIENCE = 0.4
"""Stop early when this share of the run, past its half, brought nothing new."""


@dataclass
class Row:
    """One line of the table: where training stands."""

    epoch: float
    seconds: float
    fraction: float
    size: int
    rate: float
    train_loss: float
    loss: float
    score: float
    images_per_second: float


@dataclass
class Outcome:
    """The trained network (averaged weights, evaluation mode), its history, and why it ended."""

    network: nn.Module
    side: int
    history: list[Row] = field(default_factory=list)
    ended: str = DONE
    interrupted: bool = False


def fit(
    plan: Plan,
    elapsed: Callable[[], float],
    on_row: Callable[[Row, nn.Module, bool], None],
    on_step: Callable[[float, float], None],
) -> Outcome:
    """Train until the time or the images are used up.

    on_row    after each look at the held-out images: the row, the averaged network, and whether it is the best so far
    on_step   after each step: the fraction done and the images per second
    """
    c, task, start = plan.config, plan.task, elapsed()
    assert c.device and c.batch and c.size
    network = task.network().to(c.device).train()
    task.prepare(network)
    parts = parse_recipe(c.recipe or "")
    average, sample_indices = Average(network, "average" in parts), task.sample_indices(plan.train)
    steppers = (
        finetune_optimisers(network, c.batch)
        if c.fine_tune
        else optimisers(network, c.batch, task.muon if "muon" in parts else 0.0)
    )
    if c.device.startswith("cuda"):
        on_gpu(steppers, c.device)
    generator = torch.Generator().manual_seed(c.seed)
    watched = np.sort(np.random.default_rng(c.seed).permutation(plan.held)[:MONITOR])
    outcome = Outcome(average.network, c.size)
    seen, losses, last, best, best_at = 0, [], Mark(start, 0.0, 0), -1.0, 0.0
    looks: list[float] = []  # seconds for each, by its size: they tell when the machine slows down
    threads = Threads(options(c.device) if c.minutes else [1], elapsed())

    def learn(x: Tensor, y: Any) -> Tensor:
        """One step: forward, backward, and the weights changed; the loss."""
        with arithmetic(c.device or "cpu", c.precision):
            logits = network(x)
        loss = task.loss(logits, y)
        for optimiser in steppers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in steppers:
            optimiser.step()
        return loss.detach()

    step = recorded(learn, network.parameters(), c.device)
    try:
        for rows in forever(sample_indices, c.batch, c.seed):
            # 1. how far the run is, by the clock or by the images, whichever is further
            fraction = progress(elapsed(), start, seen, plan, slowness(looks))
            if fraction >= 1:
                break
            set_rates(steppers, fraction)
            # 2. a batch
            outcome.side = task.side(fraction)
            x, y = task.batch(rows, outcome.side, generator)
            # 3. a step
            with arithmetic(c.device, c.precision):
                threads.adjust(network, x, elapsed())
            losses.append(step(x, y))
            average.update()
            # 4. look now and then
            seen += len(rows)
            on_step(fraction, (seen - last.seen) / max(elapsed() - last.seconds, 1e-9))
            if not last.due(fraction, elapsed() if c.minutes else None):
                continue
            mean = torch.stack(losses).mean().item()
            if not np.isfinite(mean):
                outcome.ended = DIVERGED
                break
            now = elapsed()
            scored = task.validate(average.network, watched, outcome.side)
            looks.append((elapsed() - now) / outcome.side**task.survey.preprocessing.dim)
            row = Row(
                seen / len(sample_indices),
                elapsed(),
                fraction,
                outcome.side,
                rate(fraction),
                mean,
                *scored,
                (seen - last.seen) / (now - last.seconds),
            )
            outcome.history.append(row)
            better = row.score > best
            best, best_at = (row.score, fraction) if better else (best, best_at)
            on_row(row, average.network, row.score >= best)
            losses, last = [], Mark(elapsed(), fraction, seen, elapsed() - now)
            if fraction > 0.5 and fraction - best_at > PATIENCE:
                outcome.ended = f"nothing new in {PATIENCE:.0%} of the run, so it stopped early"
                break
    except KeyboardInterrupt:
        outcome.ended, outcome.interrupted = "stopped by you", True
    if outcome.ended == DONE and losses and not torch.stack(losses).isfinite().all():
        outcome.ended = DIVERGED
    return outcome


@dataclass(frozen=True)
class Mark:
    """When the held-out images were last looked at, and what that cost in seconds."""

    seconds: float
    fraction: float
    seen: int
    cost: float = 0.0

    def due(self, fraction: float, now: float | None) -> bool:
        """After another 25th of the run; by the clock, if there is one, never for more than a thirtieth of the time."""
        return fraction - self.fraction >= 1 / ROWS and (now is None or now - self.seconds >= 30 * self.cost)


def slowness(looks: list[float]) -> float:
    """How many times as long as the quickest look the last two took, the better of them: one may be bad luck."""
    return min(looks[-2:]) / min(looks) if looks else 1.0


def progress(now: float, start: float, seen: int, plan: Plan, slower: float) -> float:
    """The fraction done. A machine that has become slower needs more time for what comes after, so training ends sooner."""
    by_time = 0.0
    if plan.seconds is not None:
        end = plan.seconds - plan.reserve * (slower - 1)
        by_time = (now - start) / max(end - start, 1e-9)
    by_images = seen / plan.images if plan.images is not None else 0.0
    return max(by_time, by_images)


def clock() -> Callable[[], float]:
    """Seconds since now."""
    start = time.monotonic()
    return lambda: time.monotonic() - start
