"""Which rows train, validate and test: the user's own split, or one drawn by class, group and seed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.config import Config
from eyespot.data.duplicates.pairs import clusters
from eyespot.data.duplicates.seen import NEW
from eyespot.data.folds import assign_folds, check_folds, check_training
from eyespot.data.groups import CLUSTER, VALIDATED_IN, Grouping, grouping, share_of_groups
from eyespot.data.split import groups_of, hold_out
from eyespot.data.surveys.survey import WARNING, Problem, Survey
from eyespot.errors import UserError
from eyespot.evaluation.seen_by import by_content
from eyespot.plurals import count
from eyespot.training.inherited import Inherited, check_sides, hold_out_unseen

SHARE = 0.2
"""Of each class, for validation."""
MOST_VALIDATED = 2000
"""Images, at the most, that are validated during training: where others test the network, as many are enough."""

DUPLICATES = {
    "group": "duplicates on one side",
    "keep": "duplicates as independent",
    "drop": "one of each duplicate",
}
"""How a split treats them, by --duplicates."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Division:
    """Rows for training, validation and test, and the reason for them.

    groups     the group of each row, if groups were asked for
    clusters   (N,) equal for rows that stay together: those of one group, duplicates, and what is joined by both
    folds      (N,) of a cross-validation: the fold of each row, from 1, or 0 in the test set
    """

    train: Rows
    val: Rows
    test: Rows
    reason: str
    groups: list[str] | None
    clusters: Rows
    folds: Rows | None = None

    @property
    def final(self) -> Rows:
        """The rows that measure the result: the test set, or the validation set where there is none."""
        return self.test if len(self.test) else self.val

    def whole(self) -> "Division":
        """That of a cross-validation as a whole: each row outside the test set trains, whatever fold it is in."""
        assert self.folds is not None
        train = np.flatnonzero(self.folds)
        of_fold = self.reason.removesuffix(f"; {self.share_of_groups()}")
        reason = f"{self.folds.max()} folds{of_fold.partition(' of ')[2].lstrip('0123456789')}"
        return replace(self, train=train, val=train[:0], reason=reason)

    @property
    def sides(self) -> list[str]:
        """The split of each row: train, val or test."""
        sides = np.full(len(self.clusters), "train", dtype="<U5")
        sides[self.val] = "val"
        sides[self.test] = "test"
        return sides.tolist()

    def columns(self) -> dict[str, list[Any]]:
        """The other columns of split.csv for each row: its group, and the copies that it stays together with."""
        columns: dict[str, list[Any]] = {"group": self.groups} if self.groups is not None else {}
        clusters = self.clusters.tolist()
        if self.folds is not None:
            columns[VALIDATED_IN] = [f"fold-{fold}" if fold else "" for fold in self.folds.tolist()]
        return columns | ({CLUSTER: clusters} if len(set(clusters)) < len(clusters) else {})

    def share_of_groups(self) -> str:
        """How many of the groups measure the result; empty where no groups were asked for."""
        side = "test" if len(self.test) else "val"
        return share_of_groups(self.groups, self.sides, side) if self.groups else ""

    def grouping(self, rows: Rows) -> Grouping | None:
        """The groups of these rows; None where each is on its own."""
        return grouping([str(cluster) for cluster in self.clusters[rows].tolist()], self.share_of_groups())


def split_rows(survey: Survey, config: Config, before: Inherited | None = None) -> Division:
    """Divide the rows of a survey. Raises UserError where nothing can be validated.

    before   what the weights to start from have seen
    """
    splits = survey.splits
    rows = np.arange(len(survey.labels))
    names = [survey.source.samples[int(i)].path.as_posix() for i in survey.images.rows]
    groups = groups_of(names, config.group) if config.group else _groups_of_source(survey)
    joined = survey.alike if groups is None else _join(survey.alike, groups)
    if config.duplicates != "keep":
        joined = _with_copies(survey, joined)
    test = rows[splits == "test"]
    if config.folds:
        return _described(_fold(survey, config, groups, joined))
    if "val" in survey.source.splits:
        own = rows[splits == "train"], rows[splits == "val"], test
        return _described(Division(*own, "your own folders", groups, joined))
    rest = rows if survey.source.splits == ("",) else rows[splits == "train"]
    share = config.val_fraction or min(SHARE, MOST_VALIDATED / len(rest) if len(test) else 1)
    earlier = before.only(rest) if before and (before.trained | before.validation)[rest].any() else None
    if earlier:
        chosen = hold_out_unseen(survey.labels[rest], joined[rest], share, config.seed, earlier)
        check_sides(survey, chosen, rest, earlier)
    else:
        chosen = hold_out(survey.labels[rest], joined[rest], share, config.seed)
    if groups is not None and not survey.source.has_masks:
        _check_groups(survey, chosen, rest)
    if not chosen.any():
        _refuse_one_group(survey, config, len(rest))
    reason = f"{share:.0%} {_description(survey, config, share, bool(len(test)))}, seed {config.seed}"
    if earlier:
        reason = earlier.description(reason, survey.word)
    return _described(Division(rest[~chosen], rest[chosen], test, reason, groups, joined))


def _fold(survey: Survey, config: Config, groups: list[str] | None, joined: Rows) -> Division:
    """The division in which one fold validates and the others train."""
    folds = fold_numbers(survey, config, joined, grouped=groups is not None)
    number = config.fold or 1
    rows = np.arange(len(folds))
    of = "" if survey.source.has_masks else ", classes spread evenly"
    reason = f"fold {number} of {config.folds}{of}, duplicates on one side{_by_groups(survey, config)}, seed {config.seed}"
    train = rows[(folds != number) & (folds > 0)]
    return Division(train, rows[folds == number], rows[folds == 0], reason, groups, joined, folds)


def fold_numbers(survey: Survey, config: Config, joined: Rows, grouped: bool) -> Rows:
    """(N,) the fold of each row, from 1; 0 in the user's own test set. Raises UserError where folds cannot be made."""
    assert config.folds
    if "val" in survey.source.splits:
        raise UserError(
            f"{survey.source.name} has a validation set of its own, and --folds makes one for each network: leave out --folds, "
            "or move the validation set into the training set"
        )
    if config.val_fraction is not None:
        raise UserError(
            "val_fraction is for a single split, and folds are of equal size: leave one of them out"
        )
    rest = np.flatnonzero(survey.splits != "test")
    labels = survey.labels[rest]
    what = "groups" if grouped else f"{survey.word}s that are no duplicates of each other"
    classes = () if survey.source.has_masks else survey.classes
    check_folds(labels, joined[rest], config.folds, classes, what)
    folds = np.zeros(len(joined), np.int64)
    folds[rest] = 1 + assign_folds(labels, joined[rest], config.folds, config.seed)
    if classes:
        check_training(labels, folds[rest], classes)
    return folds


def _described(division: Division) -> Division:
    """With how many groups are held out in its reason."""
    share = division.share_of_groups()
    return replace(division, reason=f"{division.reason}; {share}") if share else division


def _description(survey: Survey, config: Config, share: float, tested: bool) -> str:
    of = f"of the {survey.word}s" if survey.source.has_masks else "of each class"
    text = f"{of} for validation, {DUPLICATES[config.duplicates]}"
    if share < SHARE and tested and not config.val_fraction:
        text += f"; a smaller share is enough, since the test {survey.word}s measure the result"
    return text + _by_groups(survey, config)


def _by_groups(survey: Survey, config: Config) -> str:
    return f"; whole groups by {_by(config)}" if config.group or survey.source.groups else ""


def _groups_of_source(survey: Survey) -> list[str] | None:
    """The group of each decoded row, where the data set has groups."""
    groups = survey.source.groups
    return None if groups is None else [groups[i] for i in survey.images.rows.tolist()]


def _by(config: Config) -> str:
    """What the groups come from."""
    return f"--group {config.group!r}" if config.group else "a column of the CSV"


def _refuse_one_group(survey: Survey, config: Config, n: int) -> None:
    grouped = config.group or survey.source.groups
    cause = f"{_by(config)} puts" if grouped else "duplicates put"
    remedy = (
        "choose another --group"
        if grouped
        else "add others, or take them as independent with --duplicates keep"
    )
    raise UserError(
        f"{cause} all {n} {survey.word}s of {survey.source.name} into one group, so that none is left for validation: {remedy}"
    )


def _join(alike: Rows, groups: list[str]) -> Rows:
    """(N,) equal for rows that are duplicates or in one group, directly or through others."""
    first: dict[str, int] = {}
    links = [[first.setdefault(group, i), i] for i, group in enumerate(groups)]
    links += [[int(a), i] for i, a in enumerate(alike)]
    return clusters(len(groups), links)


def _with_copies(survey: Survey, joined: Rows) -> Rows:
    """The same, with the copies that `eyespot augment` wrote and their originals, however groups were given"""
    samples = [survey.source.samples[int(i)] for i in survey.images.rows]
    if not any(sample.original for sample in samples):
        return joined
    return _join(joined, [sample.original or sample.path.as_posix() for sample in samples])


def _check_groups(survey: Survey, chosen: NDArray[np.bool_], rest: Rows) -> None:
    for k, name in enumerate(survey.source.classes):
        sides = set(chosen[survey.labels[rest] == k].tolist())
        if len(sides) < 2:
            raise UserError(
                f"class {name!r} has images in one group only, so it cannot be both trained and validated: choose another --group"
            )


def seen_problems(
    survey: Survey, division: Division, before: Inherited, unknown: tuple[str, ...]
) -> Iterator[Problem]:
    """Problems of the user's own split: samples that the initial weights have seen, or weights for which this is unknown."""
    rows = [*division.val.tolist(), *division.test.tolist()]
    seen = [row for row in rows if before.before[row] != NEW]
    if seen:
        text = (
            f"{len(seen):,} of the {len(rows):,} {survey.word}s for validation and testing have been trained on by "
            f"{before.start}, and the split is your own: the metrics are too good"
        )
        yield Problem(WARNING, text, tuple(survey.path(row) for row in seen))
    validated = [row for row in division.train.tolist() if before.validation[row]]
    if validated:
        text = (
            f"{len(validated):,} of the {len(division.train):,} {survey.word}s for training were held out by {before.start}, and "
            "the split is your own: its metrics on them say nothing of this network"
        )
        yield Problem(WARNING, text, tuple(survey.path(row) for row in validated))
    if (
        before.seen is not None
        and not before.seen.knows_copies
        and not (before.trained | before.validation).all()
    ):
        text = f"of {before.start}, {by_content(survey.word)}: if there are any, the metrics are too good"
        yield Problem(WARNING, text)
    for weights in unknown:
        text = f"it is not known on which {survey.word}s {weights} was trained: if some are for validation here, the metrics are too good"
        yield Problem(WARNING, text)


def class_problems(survey: Survey, division: Division) -> Iterator[Problem]:
    """Classes of which no image measures the result, or none is trained on."""
    names = np.array(survey.classes)
    present = survey.present
    sides = (
        (division.final, "not validated: none", "measures the result", "the scores say nothing of it"),
        (division.train, "not trained: none", "is for training", "the network cannot know it"),
    )
    for rows, lacking, purpose, consequence in sides:
        for k in np.flatnonzero(present.any(0) & ~present[rows].any(0)).tolist():
            n = int(present[:, k].sum())
            text = f"class {str(names[k])!r} is {lacking} of its {count(n, survey.word)} {purpose}, so {consequence}"
            yield Problem(WARNING, text + _cause(division, np.flatnonzero(present[:, k])))


def _cause(division: Division, rows: Rows) -> str:
    """The reason why all rows of a class are on one side of the split, and what the user could do."""
    if len(rows) < 2 or len(np.unique(division.clusters[rows])) > 1:
        return ""
    return "; they are duplicates or of one group, which stay together (otherwise: --duplicates keep, or another --group)"
