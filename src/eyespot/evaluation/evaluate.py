"""Evaluate a predictor: after training, or on a data set. What is compared is up to its task."""

import os
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.config import Config, given_settings, option
from eyespot.data.duplicates.recognise import Looked
from eyespot.data.groups import Grouping, with_groups
from eyespot.data.sources.find import find_samples
from eyespot.data.sources.samples import Source
from eyespot.data.surveys.survey import Survey
from eyespot.errors import UserError
from eyespot.evaluation.evaluation import Evaluation
from eyespot.evaluation.out_of_fold import evaluate_folds
from eyespot.evaluation.run_split import NAMES, VALIDATION, in_splits, only_split, share_held_out, untrained
from eyespot.evaluation.seen_by import check_seen
from eyespot.prediction.predictor import Predictor
from eyespot.tasks.registry import task_of_card
from eyespot.weights.ensemble_file import is_ensemble


def finish(
    predictor: Predictor,
    survey: Survey,
    val: NDArray[np.int64],
    rows: NDArray[np.int64],
    groups: Grouping | None,
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate rows of a survey after training; and the card's fields that come from the validation rows."""
    return task_of_card(predictor.card).evaluator().finish(predictor, survey, val, rows, groups)


def finish_run(
    predictor: Predictor, survey: Survey, run: Path, division: Any, rows: NDArray[np.int64]
) -> tuple[Evaluation, dict[str, Any]]:
    """`finish` for a run folder, with what the network had been trained on. division   a `training.division.Division`"""
    evaluation, fitted = finish(predictor, survey, division.val, rows, division.grouping(rows))
    headers = [survey.headers[row] for row in rows.tolist()]
    samples = [survey.source.samples[int(survey.images.rows[row])] for row in rows.tolist()]
    looked = Looked(
        headers, survey.images.pixels, survey.images.thumbs[rows], predictor.preprocessing, samples
    )
    paths = [survey.path(row) for row in rows.tolist()]
    split = "test" if len(division.test) and np.array_equal(rows, division.test) else VALIDATION
    return check_seen(replace(evaluation, split=split), run, predictor.card, looked, paths), fitted


def evaluate(
    predictor: Predictor,
    run: Path,
    data: str | os.PathLike | None = None,
    layout: Mapping[str, Any] | None = None,
    split: str | None = None,
) -> Evaluation:
    """Try a predictor on a data set (its test set, where it has one), or on the images that the run did not train on.

    The data set is read for the task of the model, and its masks as objects or classes as the model has them, whatever
    else they could be.

    layout   the settings that say which files are samples, and which of them belong together
    split    "validation" or "test", of the data set or of the run's images; the test set where there is one if not given

    Groups are those of the data set or of the layout, or else by the expression that the run was trained with, where
    it matches all files.
    """
    evaluator = task_of_card(predictor.card).evaluator()
    if data is None and is_ensemble(run):
        _refuse_layout(run, layout)
        if split is not None:
            raise UserError(
                f"{run} is a cross-validation, in which each image is validated once: leave out --split, or name one fold"
            )
        return evaluate_folds(predictor, run)
    chosen = choose(predictor, run, data, layout, split)
    evaluation = evaluator.on_source(chosen.predictor, chosen.source, run, chosen.name, chosen.share)
    return replace(evaluation, notes=(*evaluation.notes, *chosen.notes), split=chosen.split)


@dataclass(frozen=True)
class Chosen:
    """What is evaluated: the samples, the predictor that reads them, their name, how many of all groups they are, and notes."""

    predictor: Predictor
    source: Source
    name: str
    share: str = ""
    notes: tuple[str, ...] = ()

    @property
    def split(self) -> str:
        """The set that all samples are of, as users call it; empty where they are of several, or of none."""
        return NAMES.get(self.source.splits[0], "") if len(self.source.splits) == 1 else ""


def choose(
    predictor: Predictor,
    run: Path,
    data: str | os.PathLike | None = None,
    layout: Mapping[str, Any] | None = None,
    split: str | None = None,
) -> Chosen:
    """A data set's samples, or those that a run did not train on: see `evaluate`."""
    if data is None:
        _refuse_layout(run, layout)
        return Chosen(predictor, untrained(run, split), str(run), share_held_out(run, split))
    given = given_settings(layout or {})
    evaluator = task_of_card(predictor.card).evaluator()
    options = Config(task=predictor.card.task, **evaluator.reading(predictor) | given)
    source = find_samples(data, options)
    source = in_splits(source, "test") if split is None else only_split(source, split, str(data))
    source, notes = _grouped(source, options.group, predictor.card.plan.get("group"))
    return Chosen(_reading_as(predictor, options), source, str(data), notes=notes)


def _refuse_layout(run: Path, layout: Mapping[str, Any] | None) -> None:
    for name in given_settings(layout or {}):
        raise UserError(
            f"{option(name)} says how a data set is read, and none was named: name one after {run}"
        )


def _reading_as(predictor: Predictor, options: Config) -> Predictor:
    """The predictor, with what the user says of files that differ from those trained on."""
    given = {name: getattr(options, name) for name in ("align", "nan")}
    given = {name: value for name, value in given.items() if value is not None}
    if not given and options.harden is None:
        return predictor
    result = copy(predictor)
    result.preprocessing = replace(predictor.preprocessing, **given)
    if options.harden is not None and predictor.card.task == "segmentation":
        result.output = copy(predictor.output)
        result.output.mapping = replace(predictor.output.mapping, harden=options.harden)
    return result


def _grouped(source: Source, asked: str | None, of_run: str | None) -> tuple[Source, tuple[str, ...]]:
    """The samples with their groups, and a note where the run had groups and these samples have none."""
    if asked:
        return with_groups(source, asked), ()
    if source.groups is not None or not of_run:
        return source, ()
    try:
        return with_groups(source, of_run), ()
    except UserError:
        text = (
            f"note: --group {of_run!r} of the run does not match these files, so the intervals take them as independent: "
            "give --group for these"
        )
        return source, (text,)
