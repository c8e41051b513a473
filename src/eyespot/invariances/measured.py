"""What was measured of one change, by image: the same for classes and for masks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.invariances.changes import Change

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Of N images and S severities, values between 0 and 1.

    same     (S, N) whether the prediction is that of the unchanged image, or for which share of its pixels
    right    (S, N) whether it is the label, or the mean IoU with the mask; None without labels
    before   (S, N) the same of the unchanged image
    back     (S, N) `same` after there and back; None where that says nothing
    trials   (k, N) `same` in k directions at the standard severity, and `trials_right`
    inner    (2, M) `same` in a crop without a border and, of the same images, with the border filled; None where there is none
    random   (N,) `same` of a network with random weights, at the standard severity; None where it was not measured
    chance   how often two predictions would agree that have nothing in common
    overlap  (S, N) the mean IoU between predictions of the changed image and changed predictions, for masks
    """

    change: Change
    same: Values
    right: Values | None
    before: Values | None
    trials: Values
    chance: float
    trials_right: Values | None = None
    back: Values | None = None
    inner: Values | None = None
    random: Values | None = None
    overlap: Values | None = None


@dataclass(frozen=True)
class Measurement:
    """All changes of a set of images, and how a constant predictor would do.

    constant    the accuracy of a constant predictor, the best one there is; None without labels
    is_constant whether one class is predicted for everything
    predicted   (N,) the classes predicted of the unchanged images, and `changed` those of the changed ones by view; for classes
    """

    changes: list[Measured]
    constant: float | None
    is_constant: bool
    before: Values | None
    predicted: NDArray[np.int64] | None = None
    changed: dict[Any, NDArray[np.int64]] | None = None
    notes: tuple[str, ...] = ()
