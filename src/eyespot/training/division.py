"""Which rows train, which are held out, and which only test: the user's own split, or one by class, group and seed."""

import numpy as np
from numpy.typing import NDArray

from eyespot.data.duplicates import clusters
from eyespot.data.split import groups_of, hold_out
from eyespot.data.survey import Survey
from eyespot.errors import UserError
from eyespot.training.config import Config

SHARE, MONITOR = 0.2, 2000
"""Of each class, held out; and images, at the most, that the table during training is about: where others are to test the
network, as many are enough."""


def split_rows(survey: Survey, config: Config):
    """(train, held out, test) rows, why, and the group of each row if asked."""
    splits, rows = survey.splits, np.arange(len(survey.labels))
    names = [survey.source.samples[int(i)].path.as_posix() for i in survey.images.rows]
    groups = groups_of(names, config.group) if config.group else None
    test = rows[splits == "test"]
    if "val" in survey.source.splits:
        return rows[splits == "train"], rows[splits == "val"], test, "your own folders", groups
    kept = rows if survey.source.splits == ("",) else rows[splits == "train"]
    joined = survey.alike if groups is None else _join(survey.alike, groups)
    share = config.held_out or min(SHARE, MONITOR / len(kept) if len(test) else 1)
    held = hold_out(survey.labels[kept], joined[kept], share, config.seed)
    if groups is not None and not survey.source.has_masks:
        _check_groups(survey, held, kept)
    if not held.any():
        why = f"--group {config.group!r} puts" if groups else "duplicates put"
        raise UserError(
            f"{why} all {len(kept)} {survey.word}s of {survey.source.name} into one group, so that none can be held out: {'choose another --group' if groups else 'add others'}"
        )
    of = f"of the {survey.word}s" if survey.source.has_masks else "of each class"
    if share < SHARE and not config.held_out:
        of += f", enough to watch training, as the test {survey.word}s score it"
    what = f"{of}, duplicates on one side" + (f", whole groups by {config.group}" if groups else "")
    return kept[~held], kept[held], test, f"{share:.0%} held out {what}, seed {config.seed}", groups


def _join(alike: NDArray[np.int64], groups: list[str]) -> NDArray[np.int64]:
    """(N,) equal for rows that are alike or in one group, directly or through others."""
    first: dict[str, int] = {}
    links = [[first.setdefault(group, i), i] for i, group in enumerate(groups)]
    links += [[int(a), i] for i, a in enumerate(alike)]
    return clusters(len(groups), links)


def _check_groups(survey: Survey, held: NDArray[np.bool_], kept: NDArray[np.int64]) -> None:
    for k, name in enumerate(survey.source.classes):
        sides = set(held[survey.labels[kept] == k].tolist())
        if len(sides) < 2:
            raise UserError(
                f"class {name!r} has images in one group only, so it cannot be both trained and held out: choose another --group"
            )
