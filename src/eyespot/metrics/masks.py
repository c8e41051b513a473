"""How well predicted masks cover the true ones: IoU, Dice and boundaries, from integer labels in any dimensions.

Each image is first reduced to a few counts per class; scores and intervals are made of these. Void is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.labels import VOID, Labels, Mask, border
from eyespot.metrics.classes import confusion
from eyespot.metrics.intervals import Float, bootstrap, ratio, share

OF_CLASS = ("iou", "dice", "recall", "precision", "boundary_f")


@dataclass(frozen=True)
class Counts:
    """One image: `regions` (K, 3) and `edges` (K, 4) pixels of each class; `matrix` (K, K) where it has one class each.

    regions  in both, true, predicted
    edges    predicted, those of them near a true one, true, those of them near a predicted one
    matrix   rows the truth, columns the prediction
    """

    regions: NDArray[np.int64]
    edges: NDArray[np.int64]
    matrix: NDArray[np.int64] | None = None


def count(truth: Labels, predicted: Labels, k: int, tolerance: float = 2.0) -> Counts:
    """Of labels of one shape, 0 to k - 1 and VOID in the truth. Boundaries are near within `tolerance` pixels."""
    valid = truth != VOID
    matrix = confusion(truth[valid].astype(np.int64), predicted[valid].astype(np.int64), k)
    edges = np.zeros((k, 4), np.int64)
    for i in np.flatnonzero(matrix.sum(0) + matrix.sum(1)):
        edges[i] = _near((predicted == i) & valid, (truth == i) & valid, valid, tolerance)
    return Counts(np.column_stack([np.diag(matrix), matrix.sum(1), matrix.sum(0)]), edges, matrix)


def count_each(truth: Mask, predicted: Mask, valid: Mask, tolerance: float = 2.0) -> Counts:
    """Of classes that may overlap: (K, *S) where each is and was said to be; `valid` (*S) where that counts."""
    both = [(t & valid, p & valid) for t, p in zip(truth, predicted, strict=True)]
    regions = [((t & p).sum(), t.sum(), p.sum()) for t, p in both]
    edges = [_near(p, t, valid, tolerance) for t, p in both]
    return Counts(np.array(regions, np.int64), np.array(edges, np.int64))


def _near(predicted: Mask, truth: Mask, valid: Mask, tolerance: float) -> list[int]:
    lines = border(predicted, valid), border(truth, valid)
    out = []
    for line, other in (lines, lines[::-1]):
        near = _distance(other)[line] <= tolerance if line.any() and other.any() else np.zeros(0)
        out += [int(line.sum()), int(near.sum())]
    return out


def _distance(line: Mask) -> Float:
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~line)  # type: ignore[return-value]


def score(
    images: Sequence[Counts], classes: list[str], groups: Sequence[Any] | None = None
) -> dict[str, Any]:
    """Scores over all pixels of all images together, with 95% intervals by bootstrap over images, or over groups.

    mean_iou, mean_dice and boundary_f are plain (macro) means over the classes that occur in the truth; a class with
    no true pixel has no IoU, Dice, recall or boundary_f, but a `false_alarm`: the share of images without the class
    in which some pixel was given to it. boundary_f is the harmonic mean of the shares of predicted boundary pixels
    near a true one and of true ones near a predicted one (Csurka et al. 2013). n is the images that count, and "groups"
    their groups.
    """
    k = len(classes)
    counts = table(images).reshape(len(images), k, -1)
    scores = bootstrap(counts.reshape(len(images), -1), lambda c: _measures(c, k), groups=groups)
    out: dict[str, Any] = dict(
        zip(("pixel_accuracy", "mean_iou", "mean_dice", "boundary_f"), scores, strict=False)
    )
    matrices = [c.matrix for c in images if c.matrix is not None]
    if not matrices:  # where classes overlap, pixels are right in some and wrong in others
        del out["pixel_accuracy"]
    alone = scores[4:]
    out["classes"] = {
        name: {what: alone[j * k + i] for j, what in enumerate(OF_CLASS)}
        | {"false_alarm": _alarm(counts[:, i], groups)}
        for i, name in enumerate(classes)
    }
    if matrices:
        out["confusion"] = np.sum(matrices, 0).tolist()
    return out


def table(images: Sequence[Counts]) -> Float:
    """(N, K * 7) of the counts of N images, whose sums are those of all together"""
    return np.stack([_flat(c).reshape(-1) for c in images]).astype(np.float64)


def mean_iou(counts: Float, k: int) -> Float:
    """(..., K * 7) counts -> (...) the mean IoU over the classes that occur"""
    return _measures(counts, k)[..., 1]


def _flat(c: Counts) -> NDArray[np.int64]:
    """(K, 7): hits, true and predicted pixels, then the edges"""
    return np.column_stack([c.regions, c.edges])


def _measures(counts: Float, k: int) -> Float:
    """(..., K * 7) counts -> (..., 4 + 5 K): the four scores, then those of each class; nan where there is none"""
    hits, there, said, edge, edge_hits, line, line_hits = np.moveaxis(
        counts.reshape(*counts.shape[:-1], k, 7), -1, 0
    )
    occurs = np.where(there > 0, 1.0, np.nan)
    iou = occurs * ratio(hits, there + said - hits)
    dice = occurs * ratio(2 * hits, there + said)
    precision = np.where(edge > 0, ratio(edge_hits, edge), 0.0)
    recall = ratio(line_hits, line)
    f = np.where(precision + recall == 0, 0.0, ratio(2 * precision * recall, precision + recall))
    over_all = [ratio(hits.sum(-1), there.sum(-1)), *map(_mean, (iou, dice, f))]
    parts = [iou, dice, ratio(hits, there), ratio(hits, said), f]
    return np.concatenate([np.stack(over_all, -1), *parts], -1)


def _mean(values: Float) -> Float:
    """(..., K) -> (...), over what is not nan"""
    return ratio(np.nansum(values, -1), (~np.isnan(values)).sum(-1))


def _alarm(counts: Float, groups: Sequence[Any] | None) -> dict[str, Any]:
    """From (images, 7) counts of one class"""
    empty = counts[:, 1] == 0
    of_empty = None if groups is None else np.asarray(groups)[empty].tolist()
    return share(counts[empty, 2] > 0, of_empty)
