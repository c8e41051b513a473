"""Metrics of instance segmentation: F1 of objects, and the metrics of the ISBI 2012 challenge.

Arrays of ids have any number of dimensions. 0 is the background, pixels that are VOID in the truth are ignored, and the
order of ids does not matter. `eyespot.labels.components` computes ids from masks of classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.labels import VOID, Labels, thinned
from eyespot.metrics.intervals import Float, bootstrap, ratio

NAMES = ("object_f1", "pixel_error", "v_rand", "v_info", "adapted_rand_error")


def compare(truth: Labels, predicted: Labels) -> Float:
    """The counts (9,) of one image, from which `score` computes the metrics.

    These are matched, predicted and true objects; wrong and all pixels; v_rand, v_info and adapted_rand_error; and 1 if
    the image has these three, else 0. Two objects match if their IoU is above 0.5, so each matches at most one other.
    """
    valid = truth != VOID
    wrong = ((truth > 0) != (predicted > 0))[valid].sum()
    table = Table(truth[valid], predicted[valid])
    plain = Table(truth[truth > 0], predicted[truth > 0])
    thin = thinned(predicted)
    fine = Table(truth[truth > 0], thin[truth > 0])
    has_objects = float((truth > 0).any())
    rand = [fine.rand(), fine.info(), 1 - plain.rand()] if has_objects else [0.0] * 3
    return np.array([*table.matches(), wrong, valid.sum(), *rand, has_objects])


def sizes(ids: Labels) -> NDArray[np.int64]:
    """Pixels of each object, in the order of the ids."""
    return np.unique(ids[ids > 0], return_counts=True)[1]


def score(images: Sequence[Float], groups: Sequence[Any] | None = None) -> dict[str, Any]:
    """Compute the metrics of images from their counts, with 95% intervals by bootstrap over images, or over groups.

    object_f1           F1 of objects matched at an IoU above 0.5, over all images together
    pixel_error         the share of pixels that are background in either the truth or the prediction, but not in both
    v_rand, v_info      the means over images of V_Rand and V_Info at alpha = 0.5, foreground-restricted, after the
                        borders in the prediction were thinned to one pixel (Arganda-Carreras et al. 2015)
    adapted_rand_error  the mean of 1 - V_Rand without the thinning

    The last three are computed from the pixels that are foreground in the truth. Of these, a pixel predicted as background
    counts as an object of its own. Images without objects in the truth do not have these three metrics.
    """
    return dict(zip(NAMES, bootstrap(np.stack(list(images)), _measures, groups=groups), strict=True))


def _measures(counts: Float) -> Float:
    """(..., 9) -> (..., 5)"""
    matched, predicted, true, wrong, pixels, *sums, images = np.moveaxis(counts, -1, 0)
    means = [ratio(sum_of_images, images) for sum_of_images in sums]
    return np.stack([ratio(2 * matched, predicted + true), ratio(wrong, pixels), *means], -1)


class Table:
    """The pixels that each true object i and each predicted object j share, for pairs that overlap."""

    def __init__(self, truth: Labels, predicted: Labels):
        true_ids, i = np.unique(np.maximum(truth, 0), return_inverse=True)
        ids, j = np.unique(np.maximum(predicted, 0), return_inverse=True)
        pairs, n = np.unique(i * len(ids) + j, return_counts=True)
        self.n = n
        i = pairs // max(1, len(ids))
        j = pairs % max(1, len(ids))
        self.both = (true_ids[i] > 0) & (ids[j] > 0)
        self.true = np.bincount(i, n)
        self.predicted = np.bincount(j, n)
        self.union = self.true[i] + self.predicted[j] - n
        self.true_ids = true_ids
        self.ids = ids

    def matches(self) -> tuple[int, int, int]:
        """Matched, predicted and true objects"""
        matched = (2 * self.n > self.union) & self.both
        return int(matched.sum()), int((self.ids > 0).sum()), int((self.true_ids > 0).sum())

    def _masses(self) -> tuple[Float, Float, Float, float]:
        """The shares of all pixels in pairs, in predicted and in true objects; and the share predicted as background"""
        total = self.n.sum()
        missed = self.n[~self.both].sum() / total
        return self.n[self.both] / total, self.predicted[self.ids > 0] / total, self.true / total, missed

    def rand(self) -> float:
        """V_Rand of pixels that are all foreground in the truth: 2 S p_ij^2 / (S s_j^2 + S t_i^2)"""
        pairs, predicted, true, missed = self._masses()
        # A missed pixel is an object with the share 1 / n: the sum of squares over these is missed / n.
        single = missed / self.n.sum()
        joint = (pairs**2).sum() + single
        return float(2 * joint / ((predicted**2).sum() + single + (true**2).sum()))

    def info(self) -> float:
        """V_Info of the same pixels: 2 I(S; T) / (H(S) + H(T)); 1 if the truth and the prediction are one object"""
        pairs, predicted, true, missed = self._masses()
        single = missed * np.log(self.n.sum())
        h_predicted = entropy(predicted) + single
        h_true = entropy(true)
        joint = entropy(pairs) + single
        total = h_predicted + h_true
        return float(2 * (total - joint) / total) if total > 0 else 1.0


def entropy(shares: NDArray[np.floating]) -> float:
    """The entropy in nats of shares above 0"""
    return float(-(shares * np.log(shares)).sum())
