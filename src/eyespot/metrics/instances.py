"""How well objects are separated: F1 of whole objects, and the scores of the ISBI 2012 challenge.

Arrays of ids in any dimensions: 0 is background, VOID in the truth is left out, ids are arbitrary.
Of masks without ids, `eyespot.labels.components` makes them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.labels import VOID, Labels, thinned
from eyespot.metrics.intervals import Float, bootstrap, ratio

NAMES = ("object_f1", "pixel_error", "v_rand", "v_info", "adapted_rand_error")


def compare(truth: Labels, predicted: Labels) -> Float:
    """(9,) of one image: matched, predicted and true objects; wrong and all pixels; the sums of `score`'s last three.

    Two objects match where they share over half of their union, so each has at most one partner.
    """
    valid = truth != VOID
    wrong = ((truth > 0) != (predicted > 0))[valid].sum()
    table = Table(truth[valid], predicted[valid])
    plain = Table(truth[truth > 0], predicted[truth > 0])
    thin = thinned(predicted)
    fine = Table(truth[truth > 0], thin[truth > 0])
    some = float((truth > 0).any())
    rand = [fine.rand(), fine.info(), 1 - plain.rand()] if some else [0.0] * 3
    return np.array([*table.matches(), wrong, valid.sum(), *rand, some])


def sizes(ids: Labels) -> NDArray[np.int64]:
    """Pixels of each object, in the order of the ids."""
    return np.unique(ids[ids > 0], return_counts=True)[1]


def score(images: Sequence[Float], groups: Sequence[Any] | None = None) -> dict[str, Any]:
    """Scores of the images' comparisons, with 95% intervals by bootstrap over images, or over groups.

    object_f1           objects matched at an IoU above 0.5, of all images together
    pixel_error         the share of pixels that are background in one and not in the other
    v_rand, v_info      the means over images of V_Rand and V_Info at alpha = 0.5, foreground-restricted, after the
                        prediction's borders were thinned to one line (Arganda-Carreras et al. 2015)
    adapted_rand_error  the mean of 1 - V_Rand without the thinning

    The last three look at pixels that are foreground in the truth; one that was predicted as background is an object
    of its own. Images with no object in the truth have none of them.
    """
    return dict(zip(NAMES, bootstrap(np.stack(list(images)), _measures, groups=groups), strict=True))


def _measures(counts: Float) -> Float:
    """(..., 9) -> (..., 5)"""
    matched, said, there, wrong, pixels, *means, some = np.moveaxis(counts, -1, 0)
    return np.stack(
        [ratio(2 * matched, said + there), ratio(wrong, pixels), *(ratio(m, some) for m in means)], -1
    )


class Table:
    """How many pixels true object i and predicted object j share, for the pairs that share any."""

    def __init__(self, truth: Labels, predicted: Labels):
        true_ids, i = np.unique(np.maximum(truth, 0), return_inverse=True)
        ids, j = np.unique(np.maximum(predicted, 0), return_inverse=True)
        pairs, n = np.unique(i * len(ids) + j, return_counts=True)
        self.n = n
        i = pairs // max(1, len(ids))
        j = pairs % max(1, len(ids))
        self.both = (true_ids[i] > 0) & (ids[j] > 0)
        self.true = np.bincount(i, n)
        self.said = np.bincount(j, n)
        self.union = self.true[i] + self.said[j] - n
        self.true_ids = true_ids
        self.ids = ids

    def matches(self) -> tuple[int, int, int]:
        """Matched, predicted and true objects"""
        matched = (2 * self.n > self.union) & self.both
        return int(matched.sum()), int((self.ids > 0).sum()), int((self.true_ids > 0).sum())

    def _masses(self) -> tuple[Float, Float, Float, float]:
        """Shares of all pixels in pairs, predicted and true objects; and of those that are alone"""
        total = self.n.sum()
        alone = self.n[~self.both].sum() / total
        return self.n[self.both] / total, self.said[self.ids > 0] / total, self.true / total, alone

    def rand(self) -> float:
        """V_Rand, of pixels that are all foreground in the truth: 2 S p_ij^2 / (S s_j^2 + S t_i^2)"""
        pairs, said, true, alone = self._masses()
        single = (
            alone / self.n.sum()
        )  # each pixel alone has the share 1 / n, so together they have alone / n squared
        joint = (pairs**2).sum() + single
        return float(2 * joint / ((said**2).sum() + single + (true**2).sum()))

    def info(self) -> float:
        """V_Info, of the same pixels: 2 I(S; T) / (H(S) + H(T)); 1 where both are one object"""
        pairs, said, true, alone = self._masses()
        single = alone * np.log(self.n.sum())
        h_said = entropy(said) + single
        h_true = entropy(true)
        joint = entropy(pairs) + single
        return float(2 * (h_said + h_true - joint) / (h_said + h_true)) if h_said + h_true > 0 else 1.0


def entropy(shares: NDArray[np.floating]) -> float:
    """In nats, of shares above 0"""
    return float(-(shares * np.log(shares)).sum())
