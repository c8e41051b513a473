"""Evaluate a predictor: after training, or on a data set. What is compared is up to its task."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.config import Config, given_settings
from eyespot.data.findings import Survey
from eyespot.data.sources.find import find_samples
from eyespot.evaluation.evaluation import Evaluation
from eyespot.evaluation.run_split import in_splits, untrained
from eyespot.prediction.predictor import Predictor
from eyespot.tasks.registry import task_of_card


def finish(
    predictor: Predictor, survey: Survey, val: NDArray[np.int64], rows: NDArray[np.int64], groups: Any
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate rows of a survey after training; and the card's fields that come from the validation rows."""
    return task_of_card(predictor.card).evaluator().finish(predictor, survey, val, rows, groups)


def evaluate(
    predictor: Predictor,
    run: Path,
    data: str | os.PathLike | None = None,
    layout: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Try a predictor on a data set (its test set, where it has one), or on the images that the run did not train on.

    The data set is read for the task of the model, and its masks as objects or classes as the model has them, whatever
    else they could be.

    layout   the settings that say which files are samples: images, masks, label_from
    """
    evaluator = task_of_card(predictor.card).evaluator()
    if data is not None:
        given = evaluator.reading(predictor) | given_settings(layout or {})
        source = in_splits(find_samples(data, Config(task=predictor.card.task, **given)), "test")
    else:
        source = untrained(run)
    return evaluator.on_source(predictor, source, run, str(data or run))
