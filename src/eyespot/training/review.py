"""After the first tenth of a run its speed is compared with the one that it was planned with, once."""

from eyespot.tasks.training import TrainingTask
from eyespot.training.plan import Plan
from eyespot.training.state import Progress
from eyespot.training.timing import samples_per_second

AT = 0.1
"""The fraction of the run after which the speed is compared."""
NOTABLE = 1.5
"""How many times as fast or as slow as planned the run has to be for a message."""


def speed_note(plan: Plan, progress: Progress, now: float) -> str | None:
    """That the time allows many more or fewer epochs than planned, at second `now` of the run; None where it does not."""
    config = plan.config
    spent = now - progress.start
    if plan.seconds is None or not config.batch or not config.size or not plan.timed or spent <= 0:
        return None
    planned_now = samples_per_second(plan.timed, config.batch, _present_cost(plan.task, progress.side))
    ratio = progress.seen / spent / planned_now
    if 1 / NOTABLE < ratio < NOTABLE:
        return None
    per_epoch = len(plan.task.sample_indices(plan.train))
    planned = samples_per_second(plan.timed, config.batch, plan.task.cost())
    epochs = (plan.seconds - progress.start) * planned / per_epoch
    most = plan.images / per_epoch
    if min(epochs, most) == min(ratio * epochs, most):
        return None
    return (
        f"training is {ratio:.1f} times as fast as timed before: about {min(ratio * epochs, most):.1f} epochs are "
        f"expected in the time instead of {min(epochs, most):.1f}"
    )


def _present_cost(task: TrainingTask, side: int) -> float:
    """Time for a sample of this size, as a share of a full-size one's."""
    assert task.config.size
    return (side / task.config.size) ** task.survey.preprocessing.dim
