"""Which network of a run is kept, and when training ends early: neither by luck nor because the machine is busy."""

from eyespot.training.state import Progress
from eyespot.training.statistics import is_lagging

PATIENCE = 0.4
"""End early when this share of the run, past its half, improved neither the metric nor the loss."""
LAST_SHARE = 0.1
"""The share of the run in which the rest of the schedule is then completed: a falling rate still improves the weights."""
LEAST_GAIN = 0.005
"""A validation loss is better where it is smaller by at least this share of itself."""
LEAST_DROP = 0.01
"""A share of right images is below the best one by at least so much before a later network is not kept."""
MASK_DROP = 0.02
"""The same for metrics of pixels: networks differ on the same images by less than images from each other."""


def note_improvement(progress: Progress, fraction: float, loss: float, metric: float) -> None:
    """Remember the best metric and the smallest loss, and when one of the two last became better."""
    is_smaller = loss < (1 - LEAST_GAIN) * progress.least_loss
    if metric > progress.best or is_smaller:
        progress.improved_at = fraction
        progress.improved_step = progress.steps
    progress.best = max(progress.best, metric)
    if is_smaller:
        progress.least_loss = loss


def is_to_be_kept(progress: Progress, metric: float, images: int | None) -> bool:
    """Whether the network just validated is kept instead of an earlier one: unless it is worse by more than chance.

    The best of many validations is partly lucky, and a later network has learned more. The same rule holds however
    training ends.

    images   that were validated, if the metric is the share of them that is right
    """
    drop = progress.best - metric
    if images is None:
        return drop <= MASK_DROP
    mean = (metric + progress.best) / 2
    return drop <= max(LEAST_DROP, 2 * (max(mean * (1 - mean), 0.0) / images) ** 0.5)


def shortened(fraction: float, stalled_at: float | None) -> float:
    """The fraction of the schedule at this fraction of the run: after a stall, the rest of the schedule is faster."""
    if stalled_at is None:
        return fraction
    speed = max(1.0, (1 - stalled_at) / LAST_SHARE)
    return min(1.0, stalled_at + speed * (fraction - stalled_at))


def is_stalled(progress: Progress, fraction: float, last_side: int) -> bool:
    """Whether neither time nor steps brought an improvement for long, at the last image size, to which the averaged
    weights have caught up.
    """
    by_time = 1 > fraction > 0.5 and fraction - progress.improved_at > PATIENCE
    by_steps = progress.steps - progress.improved_step > PATIENCE * progress.steps
    has_last_size = progress.side == last_side
    return by_time and by_steps and has_last_size and not is_lagging(progress.steps, progress.resized_at)
