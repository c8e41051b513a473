"""One self-contained HTML page about a run: its curves, plan and problems, around the part of its task."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eyespot.data.preprocess.preprocessing import OWN
from eyespot.data.surveys.survey import Survey
from eyespot.evaluation.evaluation import Evaluation
from eyespot.evaluation.run_split import SEEN
from eyespot.files import write_file
from eyespot.metrics.intervals import Score, percent
from eyespot.pages.page import template, whole
from eyespot.parallel import cores
from eyespot.plurals import count
from eyespot.report import charts
from eyespot.tasks.registry import task_of_survey
from eyespot.training.loop import Outcome
from eyespot.training.plan import Plan, settings_with_reasons
from eyespot.weights.card import Card


def write_report(
    path: Path,
    evaluation: Evaluation,
    card: Card,
    outcome: Outcome,
    plan: Plan,
    survey: Survey,
    maps: Mapping[str, Any] | None = None,
) -> None:
    """Write the page. It opens anywhere, without a network.

    maps   by path, what the network looked at in an image: see `explanation.gallery`
    """
    headline = [
        (title, *_value_and_interval(evaluation.scores[key]))
        for key, title in evaluation.details.titles.items()
        if key in evaluation.scores
    ]
    task = task_of_survey(survey)
    body = template("report", f"{task.name}.html.j2").render(
        **frame(card, outcome, plan, survey),
        **task.report(evaluation, survey),
        notes=evaluation.notes,
        seen=any(SEEN in note for note in evaluation.notes),
        over=evaluation.details.over(),
        grouped=evaluation.details.groups is not None,
        folds=evaluation.folds,
        percent=percent,
        headline=headline,
        maps=maps or {},
    )
    write_file(path, whole(survey.source.name, body))


def _value_and_interval(score: Score) -> tuple[str, str]:
    value, bracket, rest = percent(score).partition(" (")
    return value, bracket.strip() + rest


def _reduced(side: int | None, size: int | None) -> str:
    """That the network was trained to its end at a smaller size, at which it predicts too; empty where it was not."""
    return f" (reduced to {side} for the network)" if side and size and side < size else ""


def frame(card: Card, outcome: Outcome, plan: Plan, survey: Survey) -> dict[str, Any]:
    """What every report says, whatever was learned."""
    size = plan.config.size if survey.preprocessing.fit == OWN else survey.preprocessing.size
    return {
        "card": card,
        "word": survey.word,
        "size": " × ".join([str(size)] * survey.preprocessing.dim)
        + " frames" * (survey.preprocessing.view == "spectrum")
        + _reduced(outcome.side if survey.preprocessing.fit != OWN else None, size),
        "ended": outcome.ended,
        "machine": f"{platform.machine()}, {cores()} cores, {plan.config.device}",
        "trained": len(plan.train),
        "curves": charts.curves(outcome.history, plan.task.score) if outcome.history else [],
        "reasons": settings_with_reasons(plan, survey),
        "problems": survey.problems,
        "guesses": survey.guesses,
        "checks": count(len(survey.checks), "plausibility check"),
        "split": plan.reasons["split"],
    }
