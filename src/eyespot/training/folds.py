"""The plans of a cross-validation: settings are chosen and timed once, and every fold gets an equal share of the time."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from eyespot.config import Config
from eyespot.data.surveys.survey import Survey
from eyespot.errors import UserError
from eyespot.tasks.batches import measure
from eyespot.tasks.registry import task_of_survey
from eyespot.training.division import split_rows
from eyespot.training.inherited import seen_of
from eyespot.training.plan import (
    DEFAULT_MINUTES,
    REPORT,
    Budget,
    Plan,
    TooLittleTime,
    make_plan,
)


@dataclass(frozen=True)
class FoldPlans:
    """The plan of the first fold, from which those of the others follow.

    first     its plan; the budget is that of every fold, counted from the fold's own beginning
    config    the resolved settings of the whole run
    """

    survey: Survey
    first: Plan
    config: Config

    @property
    def k(self) -> int:
        assert self.config.folds
        return self.config.folds

    @property
    def seconds(self) -> float | None:
        """Of a fold, evaluation and report included, as planned; None where epochs end it."""
        return None if self.first.seconds is None else self.first.seconds + self.first.reserve

    def whole(self) -> Plan:
        """The plan of all folds together, in which every sample outside the test set trains."""
        division = self.first.division.whole()
        reasons = self.first.reasons | {"split": division.reason}
        seen = seen_of(self.survey, division.sides, self.first.before)
        # Masks are sampled from rows that the task has been given, and the first fold's has not been given all.
        kind = task_of_survey(self.survey).training
        task = kind(self.survey, self.first.config, self.first.task.normal, division.train)
        return replace(
            self.first, config=self.config, division=division, reasons=reasons, seen=seen, task=task
        )

    def share(self, fold: int, elapsed: float) -> float | None:
        """The seconds for this fold: an equal share of the remaining time, for this fold and all later ones."""
        if self.config.minutes is None:
            return None
        return (60 * self.config.minutes - REPORT - elapsed) / (self.k - fold + 1)

    def plan(self, fold: int, seconds: float | None) -> Plan:
        """The plan of a fold that may take so many seconds."""
        first = self.first
        minutes = None if seconds is None else seconds / 60
        config = replace(first.config, fold=fold, minutes=minutes)
        end = None if seconds is None else seconds - first.reserve
        division = split_rows(self.survey, config, first.before)
        config = replace(config, batch=min(config.batch or 1, len(division.train)))
        normal = measure(self.survey.images.pixels, division.train)
        task = task_of_survey(self.survey).training(self.survey, config, normal, division.train)
        torch.set_num_threads(config.threads or 1)
        reasons = first.reasons | {"split": division.reason}
        epochs = config.epochs or task.most_epochs
        budget = Budget(end, first.reserve, epochs * len(task.sample_indices(division.train)))
        seen = seen_of(self.survey, division.sides, first.before)
        return Plan(config, reasons, division, task, first.timed, budget, seen, first.before)


def plan_folds(survey: Survey, config: Config, elapsed: Callable[[], float]) -> FoldPlans:
    """Choose the open settings for all folds at once. Raises UserError if the time is not enough."""
    assert config.folds
    minutes = config.minutes if config.minutes or config.epochs else DEFAULT_MINUTES
    began = elapsed()
    share = None if minutes is None else (60 * minutes - REPORT - began) / config.folds
    if share is not None and share <= 0:
        raise UserError(_too_little(minutes, config.folds, REPORT, began))
    of_first = replace(config, fold=1, minutes=None if share is None else share / 60)
    try:
        plan = make_plan(survey, of_first, lambda: (elapsed() - began) / (config.folds or 1))
    except TooLittleTime as error:
        raise UserError(_too_little(minutes, config.folds, error.needed, began)) from error
    resolved = replace(plan.config, fold=None, minutes=minutes)
    if minutes is not None:
        seconds = (60 * minutes - REPORT - elapsed()) / config.folds
        plan = replace(plan, budget=replace(plan.budget, seconds=seconds - plan.reserve))
        plan.reasons["minutes"] = f"for all {config.folds} folds together, {seconds / 60:.1f} min each"
    plan.reasons["folds"] = (
        f"one network each, trained on about {config.folds - 1}/{config.folds} of the {survey.word}s; settings are chosen once"
    )
    return FoldPlans(survey, plan, resolved)


def _too_little(minutes: float | None, folds: int, needed: float, began: float) -> str:
    enough = (REPORT + began + folds * needed) / 60 * 1.1 + 0.1
    return (
        f"--minutes {minutes:g} is not enough for {folds} folds: each needs {needed:.0f} s, and reading took {began:.0f} s; "
        f"give at least --minutes {enough:.1f}, or fewer folds"
    )
