"""What is doubtful about a run: said before and after training, and kept for its report."""

from collections.abc import Iterable, Iterator

from eyespot.augment import parse
from eyespot.console import say
from eyespot.data.groups import FEW, few_groups
from eyespot.data.surveys.photographs import imagenet_name
from eyespot.data.surveys.survey import WARNING, Problem, Survey
from eyespot.tasks.augmentation import mirror_warning
from eyespot.training.division import class_problems, seen_problems
from eyespot.training.loop import Outcome
from eyespot.training.plan import Plan

PERFECT = 0.999
"""The validation metric that is doubted where the first epoch reaches it."""


def warn(survey: Survey, problems: Iterable[Problem]) -> None:
    """Print problems, and keep them for the report."""
    problems = list(problems)
    survey.add_problems(problems)
    for problem in problems:
        say(f"{problem.level}: {problem.text}")


def before_training(survey: Survey, plan: Plan) -> Iterator[Problem]:
    """What the split and the weights to start from make of the metrics."""
    if plan.before is None:
        yield from _imagenet(survey, plan)
    else:
        yield from seen_problems(survey, plan.division, plan.before, plan.seen.unknown)
    yield from class_problems(survey, plan.division)
    if mirrored := mirror_warning(parse(plan.config.augment or ""), survey.classes):
        yield Problem(WARNING, mirrored)
    groups = plan.division.grouping(plan.division.final)
    if groups is not None and groups.n < FEW:
        yield Problem(WARNING, few_groups(groups.n))


def _imagenet(survey: Survey, plan: Plan) -> Iterator[Problem]:
    """Images that may be among those that the published weights were trained on."""
    example = imagenet_name(survey)
    if plan.config.weights is not None and example:
        text = (
            f"{example} is a name of ImageNet, whose images the published weights have been trained on: "
            "the metrics may be too good (otherwise: --start-from none)"
        )
        yield Problem(WARNING, text)


def after_training(plan: Plan, outcome: Outcome) -> Iterator[Problem]:
    """A network that is perfect at once may have learned something that gives the classes away."""
    first = next((row for row in outcome.history if row.epoch >= 1), None)
    if plan.config.weights or first is None or first.epoch > 1.5 or first.score < PERFECT:
        return
    epochs = f"{first.epoch:.2g}"
    text = (
        f"the network was perfect on the validation set after {epochs} epoch{'' if epochs == '1' else 's'}: check that "
        "only the content tells the classes apart, and that no image is in both sets"
    )
    yield Problem(WARNING, text)
