"""A data set without its duplicates: one of each is kept."""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from eyespot.data.images import Images
from eyespot.data.store import ChosenRows
from eyespot.data.surveys.survey import NOTE, PairSurvey, Problem, Survey
from eyespot.plurals import count

PREFERRED = ("test", "val", "train", "")
"""Of duplicates in several splits, that of the first of these is kept: it measures the result."""
AnySurvey = TypeVar("AnySurvey", bound=Survey)


def without_duplicates(survey: AnySurvey) -> AnySurvey:
    """The survey with one row of each group of duplicates; of one in several classes, with one of each class."""
    order = sorted(range(len(survey.labels)), key=lambda row: (PREFERRED.index(str(survey.splits[row])), row))
    kept: dict[tuple[int, int], int] = {}
    for row in order:
        kept.setdefault((int(survey.alike[row]), int(survey.labels[row])), row)
    rows = np.array(sorted(kept.values()), np.int64)
    dropped = {
        survey.path(row): survey.path(kept[int(survey.alike[row]), int(survey.labels[row])])
        for row in sorted(set(order) - set(rows.tolist()))
    }
    changed: dict[str, Any] = {
        "images": _only(survey.images, rows),
        "labels": survey.labels[rows],
        "alike": np.unique(survey.alike[rows], return_inverse=True)[1],
        "headers": [survey.headers[int(row)] for row in rows],
        "dropped": dropped,
    }
    if isinstance(survey, PairSurvey):
        changed["shares"] = survey.shares[rows]
    smaller = replace(survey, **changed)
    smaller.add_problems(_dropped(dropped, survey.word))
    return smaller


def _only(images: Images, rows: NDArray[np.int64]) -> Images:
    """The decoded images at these positions."""
    arrays: dict[str, Any] = {name: getattr(images, name)[rows] for name in ("rows", "thumbs", "low", "high")}
    stores = [f.name for f in fields(images) if f.name in ("pixels", "labels")]
    return replace(images, **arrays, **{name: ChosenRows(getattr(images, name), rows) for name in stores})


def _dropped(dropped: dict[str, str], word: str) -> Iterator[Problem]:
    if dropped:
        text = f"{count(len(dropped), word)} dropped as duplicates of others (--duplicates drop)"
        yield Problem(NOTE, text, tuple(f"{path} = {kept}" for path, kept in dropped.items()))
