"""Statistics of batch norms computed anew from training batches.

Running statistics lag: behind a change of the image size, and behind averaged weights, whose statistics are not the average
of those of the weights (Izmailov et al. 2018, "Averaging weights leads to wider optima", section 3.2).
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm  # of any rank

SAMPLES = 1024
"""From which statistics are computed, at most."""
FEWEST = 256
"""At least, where there are as many."""
SHARE = 50
"""One sample for so many that were trained, between the two."""
LAG = 0.15
"""Averaged weights forget an earlier image size after this share of all steps."""
LAG_STEPS = 30
"""Running statistics forget it after so many steps."""


def samples_needed(seen: int, available: int) -> int:
    """From how many of the available samples to compute statistics, after `seen` were trained."""
    return min(SAMPLES, available, max(FEWEST, seen // SHARE))


def is_lagging(steps: int, resized_at: int) -> bool:
    """Whether statistics still remember what was before the last change of the image size, which was at this step.

    At step 0 that is the network without any training.
    """
    return steps - resized_at < LAG * steps + LAG_STEPS


@torch.no_grad()
def estimate_statistics(
    network: nn.Module,
    batches: Iterable[Tensor],
    arithmetic: Callable[[], AbstractContextManager] = nullcontext,
) -> None:
    """Replace the running statistics of all batch norms by the mean over these batches (B, C, *S).

    Everything else of the network stays as it is, and dropout in evaluation mode. Without batch norms no batch is drawn.

    arithmetic   makes the context in which the network runs; batches are made outside it, as in training
    """
    norms = [m for m in network.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches, each with the same weight
        norm.train()
    try:
        for x in batches:
            with arithmetic():
                network(x)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
