"""Folds of a cross-validation: each sample is in one, what belongs together is in the same, and classes are spread evenly."""

from heapq import heapify, heapreplace

import numpy as np
from numpy.typing import NDArray

from eyespot.errors import UserError

Rows = NDArray[np.int64]


def assign_folds(labels: Rows, clusters: Rows, k: int, seed: int) -> Rows:
    """(N,) the fold of each row, 0 to k - 1, the same for the same seed.

    clusters   (N,) equal for rows that stay together

    Clusters are taken in a random order, the largest first. Each goes to the fold that has the least of its classes so
    far, and of those to the smallest. Rows that stay alone come last.
    """
    names, place, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    members = np.split(np.argsort(place, kind="stable"), np.cumsum(sizes)[:-1])
    total = np.bincount(labels)
    counts = np.zeros((k, len(total)))
    fold = np.zeros(len(labels), np.int64)
    for cluster in order[sizes[order] > 1].tolist():
        rows = members[cluster]
        classes, n = np.unique(labels[rows], return_counts=True)
        cost = (counts[:, classes] * (n / total[classes])).sum(1)
        chosen = int(np.lexsort((counts.sum(1), cost.round(9)))[0])
        counts[chosen, classes] += n
        fold[rows] = chosen
    single = np.array([members[cluster][0] for cluster in order[sizes[order] == 1].tolist()], np.int64)
    for label in np.unique(labels[single]).tolist():
        _deal(single[labels[single] == label], label, counts, fold)
    return fold


def _deal(rows: Rows, label: int, counts: NDArray[np.float64], fold: Rows) -> None:
    """Each of these rows of one class to the fold that has the least of it, and of those to the smallest."""
    smallest = [(counts[f, label], total, f) for f, total in enumerate(counts.sum(1).tolist())]
    heapify(smallest)
    for row in rows.tolist():
        n, total, chosen = smallest[0]
        fold[row] = chosen
        heapreplace(smallest, (n + 1, total + 1, chosen))
    for n, _, f in smallest:
        counts[f, label] = n


def check_folds(labels: Rows, clusters: Rows, k: int, classes: tuple[str, ...], what: str) -> None:
    """Raises UserError where there are fewer clusters than folds, or a class is in fewer.

    classes   names of the labels
    what      what a cluster is called: groups, or images that are no duplicates of each other
    """
    n = len(np.unique(clusters))
    if n < k:
        raise UserError(f"--folds {k} needs {k} {what}, and there are {n}: {_remedy(n)}")
    sizes = [(len(np.unique(clusters[labels == label])), name) for label, name in enumerate(classes)]
    n, name = min(((n, name) for n, name in sizes if n), default=(k, ""))
    if n < k:
        raise UserError(f"--folds {k} needs {k} {what} with class {name!r}, and there are {n}: {_remedy(n)}")


def check_training(labels: Rows, fold: Rows, classes: tuple[str, ...]) -> None:
    """Raises UserError where all samples of a class are in one fold, whose network would not learn it."""
    for label in np.unique(labels).tolist():
        if len(np.unique(fold[labels == label])) < 2:
            raise UserError(
                f"all groups with class {classes[label]!r} are in one fold, so its network could not learn the class: try another --seed"
            )


def _remedy(n: int) -> str:
    return f"give --folds {n}{' or fewer' * (n > 2)}" if n > 1 else "add others, or leave --folds out"
