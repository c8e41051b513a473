"""Which images train and which validate: by the user's folders, or drawn by class, group and seed."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from eyespot.errors import UserError


def groups_of(names: Sequence[str], pattern: str) -> list[str]:
    """The group of each path: what the regular expression's first bracket (or the whole of it) matches.

    It is searched in the paths as they are printed, and where it matches in none of them, such as '^(case\\d+)' in
    scans/images/case1.png, in the names of the files.
    """
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--group {pattern!r} is not a regular expression: {error}") from error
    matches = [regex.search(name) for name in names]
    if not any(matches):
        matches = [regex.search(PurePosixPath(name).name) for name in names]
    missing = [name for name, match in zip(names, matches, strict=True) if not match]
    if missing:
        raise UserError(
            f"--group {pattern!r} matches nothing in {missing[0]} ({len(missing)} such files); every file needs a group"
        )
    return [m.group(1) if regex.groups else m.group(0) for m in matches if m]


def hold_out(
    labels: NDArray[np.int64], groups: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.bool_]:
    """(N,) True for the validation images: about `share` of each class, whole groups only, at least one if it can be.

    Groups are visited in a random order; one is taken while that brings the classes nearer to their share. Where all
    are too large for that, the smallest is.
    """
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    members: dict[int, list[int]] = defaultdict(list)
    for i, group in enumerate(groups.tolist()):
        members[group].append(i)
    total = Counter(labels.tolist())
    wanted = {c: min(max(1, round(share * n)), n - 1) for c, n in total.items()}
    taken = Counter()
    chosen = np.zeros(len(labels), bool)
    for group in order.tolist():
        kinds = Counter(labels[members[group]].tolist())
        over = sum(max(0, taken[c] + n - wanted[c]) for c, n in kinds.items())
        under = sum(min(n, max(0, wanted[c] - taken[c])) for c, n in kinds.items())
        if under > over:
            chosen[members[group]] = True
            taken.update(kinds)
    for c in total:
        _add_missing(c, labels, groups, chosen)
    if not chosen.any() and len(order) > 1:
        chosen[min((members[group] for group in order.tolist()), key=len)] = True
    return chosen


def _add_missing(
    c: int, labels: NDArray[np.int64], groups: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> None:
    """Choose the smallest group of a class that has none yet, if all of that group is of this class and others are left."""
    if chosen[labels == c].any():
        return
    own = [group for group in np.unique(groups[labels == c]).tolist() if (labels[groups == group] == c).all()]
    if own and len(np.unique(groups[labels == c])) > 1:
        chosen[groups == min(own, key=lambda group: int((groups == group).sum()))] = True
