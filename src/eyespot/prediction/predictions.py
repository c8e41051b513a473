"""What is predicted of one image: its class, or its label map."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """The likeliest class of one image and all probabilities; or the reason why there is none."""

    path: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    error: str | None = None


class Predictions(list[Prediction]):
    """Predictions in the order of the images; shows itself as a table."""

    def __str__(self) -> str:
        width = max([len("path"), *(len(p.path) for p in self)])
        rows = [
            f"{p.path:<{width}}  "
            + (
                f"{p.label}  {100 * (p.probability or 0):.1f}%"
                if p.label is not None
                else f"cannot be read: {p.error}"
            )
            for p in self
        ]
        return "\n".join([f"{'path':<{width}}  label", *rows])

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class MaskPrediction:
    """The label map of one image: `labels` (*S), class positions; or the reason why there is none.

    Of multi-label masks: `labels` (classes, *S), whether each pixel belongs to the class.
    """

    path: str
    labels: NDArray[np.uint8] | NDArray[np.bool_] | None = None
    error: str | None = None
