"""A map of what a network looked at in an image; and a list of them. Both show themselves in a notebook."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.explanation.constant import CONSTANT, is_constant
from eyespot.notebook import html

MOST = 8
"""Maps that a notebook shows."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a network looked at in one image.

    map          (*S) at the file's own samples, with its sign: what speaks for the target is positive
    values       (C, *S) per channel at the size that preprocessing gives, or (*S) where channels are not told apart
    target       what is explained: a class, "a and not b", a region of a mask
    layer        that Grad-CAM looked at, and its grid
    label        "exact", "bounded" or "estimate", and `why`
    meaning      what a value of the map is
    path         of the image
    image        (*S, C) as it was read
    predicted    what the network predicts of the image
    trust        insertion and deletion against baselines: see `trust.Trust`; None where it was not measured
    notes        what a reader should know, one sentence each
    position     of the class that is explained, among the classes
    """

    map: NDArray[np.float32]
    values: NDArray[np.float32]
    method: str
    target: str
    label: str
    why: str
    meaning: str
    path: str
    image: Array
    predicted: str
    layer: str | None = None
    trust: Any = None
    notes: tuple[str, ...] = ()
    position: int | None = None

    @property
    def warnings(self) -> list[str]:
        """What speaks against believing the map, one sentence each."""
        of_trust = [] if self.trust is None else self.trust.warnings
        return [CONSTANT] * is_constant(self.map) + of_trust

    def __str__(self) -> str:
        layer = f" at {self.layer}" if self.layer else ""
        lines = [f"{self.path}: {self.method} for {self.target}{layer}, predicted {self.predicted}"]
        lines.append(f"{self.label}: {self.why}")
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings), *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return Explanations([self])._repr_html_()


class Explanations(list[Explanation]):
    """Maps in the order of the images; shows itself as their pictures, on one colour scale."""

    def __str__(self) -> str:
        return "\n\n".join(map(str, self))

    __repr__ = __str__

    @property
    def limit(self) -> float:
        """The end of the colour scale that all maps share: the largest absolute value."""
        return max((float(np.abs(e.map).max()) for e in self), default=0.0)

    def _repr_html_(self) -> str:
        from eyespot.explanation.page import fragment

        return fragment(self[:MOST]) + html.not_shown(len(self) - MOST, "image")
