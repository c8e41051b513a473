"""What is predicted of one image: its class, or its label map. Both show themselves, in a notebook as well."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

LINES = 20
"""Predictions of a list that are shown as text."""


@dataclass(frozen=True)
class Prediction:
    """The likeliest class of one image and all probabilities; or, in `error`, the reason why there is none.

    path            of the file, or "(image)"
    label           the class of the largest probability
    probability     of that class, 0 to 1, calibrated on the validation set
    probabilities   of each class, by its name
    error           why the image could not be read; None where it could
    picture         a small one of the image as the network gets it, of the first predictions of a list
    """

    path: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    error: str | None = None
    picture: Any = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.path}  {self.brief()}"

    def brief(self) -> str:
        """The class with its probability, or the reason."""
        if self.label is None:
            return f"cannot be read: {self.error}"
        return f"{self.label}  {100 * (self.probability or 0):.1f}%"

    def _repr_html_(self) -> str:
        return Predictions([self])._repr_html_()


@dataclass(frozen=True, eq=False)
class MaskPrediction:
    """The label map of one image; or, in `error`, the reason why there is none.

    path      of the file, or "(image)"
    labels    (*S) positions of classes in `classes`, at the size of the file; of multi-label masks (classes, *S), whether
              each pixel belongs to the class
    error     why the image could not be read; None where it could
    classes   their names
    picture   a small one of the image, of the first predictions of a list: of a volume its middle slice
    """

    path: str
    labels: NDArray[np.uint8] | NDArray[np.bool_] | None = None
    error: str | None = None
    classes: tuple[str, ...] = ()
    picture: Any = field(default=None, repr=False)

    def shares(self) -> dict[str, float]:
        """The share of the pixels that each class has, by its name; of multi-label masks they may overlap."""
        if self.labels is None:
            return {}
        if self.labels.dtype == bool:
            shares = self.labels.reshape(len(self.labels), -1).mean(1)
        else:
            shares = np.bincount(self.labels.ravel(), minlength=len(self.classes)) / max(1, self.labels.size)
        return dict(zip(self.classes, shares.tolist(), strict=False))

    def brief(self) -> str:
        """The size and the share of each class, or the reason."""
        if self.labels is None:
            return f"cannot be read: {self.error}"
        axes = self.labels.shape[self.labels.dtype == bool :]
        shares = [f"{name}: {share:.1%}" for name, share in self.shares().items()]
        more = f" and {len(shares) - 6} more" * (len(shares) > 6)
        return f"{' x '.join(map(str, axes))}  {', '.join(shares[:6])}{more}"

    def __str__(self) -> str:
        return f"{self.path}  {self.brief()}"

    def __repr__(self) -> str:
        return f"MaskPrediction({self.path!r}, {self.brief()})"

    def _repr_html_(self) -> str:
        return MaskPredictions([self])._repr_html_()


class Predictions(list[Prediction]):
    """Predictions in the order of the images; shows itself as a table, and in a notebook with the images."""

    def __str__(self) -> str:
        return "\n".join(_lines(self, "label"))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from eyespot.notebook.predictions import of_classes

        return of_classes(self)


class MaskPredictions(list[MaskPrediction]):
    """Predictions in the order of the images; shows itself as a table, and in a notebook as masks over the images."""

    def __str__(self) -> str:
        return "\n".join(_lines(self, "size, shares of classes"))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from eyespot.notebook.predictions import of_masks

        return of_masks(self)


def _lines(predictions: list[Any], title: str) -> Iterator[str]:
    """A heading, a line for each of the first predictions, and how many others there are."""
    shown = predictions[:LINES]
    width = max([len("path"), *(len(p.path) for p in shown)])
    yield f"{'path':<{width}}  {title}"
    yield from (f"{p.path:<{width}}  {p.brief()}" for p in shown)
    if len(predictions) > LINES:
        yield f"and {len(predictions) - LINES:,} more"
