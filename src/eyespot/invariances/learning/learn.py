"""Learn which transforms keep the class, from the training images alone; the validation set chooses nothing."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch

from eyespot.config import Config, Settings, given_settings, reading_settings
from eyespot.console import say, track
from eyespot.data.guesses import Guess
from eyespot.data.sources.samples import is_run
from eyespot.data.surveys.survey import Survey
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.invariances.learning.candidates import Candidate, candidates
from eyespot.invariances.learning.judge import Learned, Margins
from eyespot.invariances.learning.learner import FOLDS, Learner, TooSlow
from eyespot.invariances.learning.quick import Rows
from eyespot.invariances.learning.ranges import Ranges
from eyespot.invariances.learning.together import pipeline_of
from eyespot.plurals import count
from eyespot.signature import with_settings
from eyespot.tasks.augmentation import LEARN
from eyespot.tasks.classification_settings import usual_augment
from eyespot.training.division import split_rows
from eyespot.training.inherited import inherited

SHARE = 0.2
"""Of the time of a run, for learning its augmentation, at the most."""
MOST = 1500
"""Training images that are used, at the most."""
FEWEST = 100
"""Training images that are needed."""
FEWEST_OF_CLASS = 10
"""Training images that are needed of each class."""
LEAD = 0.05
"""By so much quick networks have to be better than a constant predictor."""
VALUES = 2**27
"""Of all images that are used, at the most, so that several copies of them fit into memory."""
PROBES = 1.3
"""Seconds of training with a dose and of its probes, over those of training alone."""
LEAST_SECONDS = 15.0
"""With less time nothing is learned."""


def learn_ranges(
    survey: Survey, settings: Config, seconds: float | None = None, names: Sequence[str] | None = None
) -> Ranges:
    """Which transforms keep the class.

    seconds   that it may take; transforms for which none are left are not trained with

    Raises UserError for masks, for a cross-validation, and for names that the data do not have.
    """
    check_learnable(survey, settings)
    wanted = candidates(survey.preprocessing, names)
    division = split_rows(survey, settings, inherited(survey, settings))
    rows = np.sort(np.random.default_rng(settings.seed).permutation(division.train)[: _most(survey)])
    clusters = division.clusters[rows]
    usual, why = usual_augment(survey, division.train)
    nothing = Ranges(survey.source.name, len(rows), survey.word, None, Margins(0, 0), [], usual, why)
    flag = _too_few(survey, rows, clusters)
    if not flag and seconds is not None and seconds < LEAST_SECONDS:
        flag = f"{seconds:.0f} s are left for it, and {LEAST_SECONDS:.0f} are needed"
    if flag:
        return nothing.undecided(flag)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _learned(Learner(survey, settings, rows, clusters, seconds), wanted, nothing, seconds)
    except TooSlow as needed:
        return nothing.undecided(f"{seconds:.0f} s are left for it, and about {needed} are needed")
    finally:
        torch.set_num_threads(threads)


def _learned(learner: Learner, wanted: Sequence[Candidate], nothing: Ranges, seconds: float | None) -> Ranges:
    accuracy = float(learner.before.mean())
    nothing = replace(nothing, accuracy=accuracy, margins=learner.margins)
    if accuracy - learner.constant <= LEAD:
        return nothing.undecided(
            f"quick networks reach {accuracy:.1%}, hardly more than the {learner.constant:.1%} of a constant predictor"
        )
    learned = _all(learner, wanted, seconds)
    unjudged = [one.name for one in wanted if one.name not in {own.candidate.name for own in learned}]
    ends = learner.start + (seconds or float("inf"))
    pipeline, reason = pipeline_of(learner, learned, nothing.pipeline, ends)
    reason += f"; no time was left for {', '.join(unjudged)}" * bool(unjudged)
    took = time.monotonic() - learner.start
    return replace(nothing, learned=learned, pipeline=pipeline, reason=reason, seconds=took)


@with_settings(*reading_settings(), "group", "seed")
def learn_changes(
    data: str | os.PathLike, *, changes: Sequence[str] | None = None, **settings: Unpack[Settings]
) -> Ranges:
    """Which transforms keep the class, and up to which severity, learned from the training images of a data set.

    changes   names, such as ["hflip", "shift"]; all that the data have, if not given
    """
    if is_run(Path(data)):
        raise UserError(f"{data} is a run: give a data set, such as the one that it was trained on")
    config = Config(**given_settings({"data": data, **settings}))
    survey = survey_data(config.data, config)
    survey.refuse_errors()
    return learn_ranges(survey, config, names=changes)


def _all(learner: Learner, wanted: Sequence[Candidate], seconds: float | None) -> list[Learned]:
    """Verdicts, one after the other, with as many trainings as the time that is left allows; one is kept for all together.

    What there is no time to probe is left out.
    """
    ends = learner.start + (seconds or float("inf"))
    learned: list[Learned] = []
    for candidate in track(wanted, len(wanted), "learning what keeps the class, transforms"):
        if time.monotonic() > ends:
            continue
        affordable = (ends - time.monotonic()) / (PROBES * learner.cost) - 1
        learned.append(learner.judged(candidate, max(0, min(2, int(min(affordable, 2))))))
    return learned


def check_learnable(survey: Survey, settings: Config) -> None:
    """Raises UserError for masks, and for a cross-validation."""
    if survey.source.has_masks:
        raise UserError(
            f"augment {LEARN!r} is for classes, and {survey.source.name} has masks: name transforms"
        )
    if settings.folds:
        raise UserError(f"augment {LEARN!r} would learn from every fold's validation set: name transforms")


def _most(survey: Survey) -> int:
    return min(MOST, VALUES // int(np.prod(survey.preprocessing.shape)))


def _too_few(survey: Survey, rows: Rows, clusters: Rows) -> str:
    """Why these images are too few; empty where they are not."""
    if len(rows) < FEWEST:
        return f"{count(len(rows), f'training {survey.word}')}, and {FEWEST} are needed"
    for k, name in enumerate(survey.classes):
        n = len(np.unique(clusters[survey.labels[rows] == k]))
        if n < FEWEST_OF_CLASS:
            return f"class {name!r} has {n} of the training {survey.word}s that are no duplicates, and {FEWEST_OF_CLASS} are needed"
    return ""


def learn_for_run(survey: Survey, settings: Config) -> tuple[Config, Guess]:
    """The settings of a run with the learned pipeline, which is announced as a guess."""
    from eyespot.training.plan import DEFAULT_MINUTES

    minutes = settings.minutes if settings.minutes or settings.epochs else DEFAULT_MINUTES
    seconds = SHARE * 60 * minutes if minutes else None
    limit = f"in at most {SHARE:.0%} of the time" if seconds else f"with {FOLDS} quick networks for each"
    say(f"learning which transforms keep the class, {limit}")
    ranges = learn_ranges(survey, replace(settings, augment=None), seconds)
    say(str(ranges))
    return replace(settings, augment=ranges.pipeline), ranges.guess
