"""Masks: which value of a file means which class."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array, Unreadable
from eyespot.data.masks.soft_edges import harden
from eyespot.labels import neighbours
from eyespot.plurals import count

VOID = 255
"""The label of pixels that count neither in training nor in a score."""
MOST_CLASSES = 254
"""Labels are bytes, and VOID is one of them."""
COLOUR = 1 << 62
"""Colours are numbered red * 65536 + green * 256 + blue, above this; no file has such values."""
OLD_COLOUR = 1 << 24
"""Until version 0.1 they were above this, and larger values were written as if they were colours."""
GREY = 0x010101
"""A grey value times this is its colour."""


@dataclass(frozen=True)
class Mapping:
    """From the values of masks to classes.

    values      of each class, in the order of the classes
    void        the value that means "do not count this pixel", if there is one
    objects     values other than zero (of colours: black) number objects: one class "object", and pixels between two
                touching ones are background
    multilabel  a pixel may belong to several classes or none: each has a mask of its own, and no value (`multilabel`)
    harden      pixels between two values at a soft edge take the nearer one
    """

    values: tuple[int, ...]
    classes: tuple[str, ...]
    void: int | None = None
    objects: bool = False
    multilabel: bool = False
    harden: bool = False

    @property
    def has_objects(self) -> bool:
        """Whether one class lies on a background, so that its connected parts are objects."""
        return not self.multilabel and len(self.classes) == 2 and self.classes[0] == "background"

    def as_dict(self) -> dict[str, Any]:
        return {
            "values": [shown(v) for v in self.values],
            "classes": list(self.classes),
            "void": None if self.void is None else shown(self.void),
            "objects": self.objects,
            "multilabel": self.multilabel,
            "harden": self.harden,
        }

    def labels(self, values: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(*S) values -> class positions, VOID where nothing counts. Raises Unreadable for a value that has no class."""
        values = self._as_colours(values)
        void = np.zeros(values.shape, bool) if self.void is None else values == self.void
        if self.harden:
            values = harden(values, () if self.objects else self._known(), void)
        if self.objects:
            return _of_objects(values, void)
        out = np.full(values.shape, VOID, np.uint8)
        known = void.copy()
        for k, value in enumerate(self.values):
            here = values == value
            out[here] = k
            known |= here
        if not known.all():
            odd, n = Counter(values[~known].tolist()).most_common(1)[0]
            raise Unreadable(
                f"its mask has the value {shown(odd)} in {count(n, 'pixel')}, which is not one of {', '.join(map(shown, self.values))}"
            )
        return out

    def _known(self) -> tuple[int, ...]:
        return self.values if self.void is None else (*self.values, self.void)

    def _as_colours(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Grey values of a mask among coloured ones are colours too."""
        if not any(value >= COLOUR for value in self.values) or values.max(initial=0) >= COLOUR:
            return values
        grey = (values >= 0) & (values < 256)
        return np.where(grey, COLOUR + values * GREY, values)

    def value_of(self) -> Array:
        """(classes,) the values as a file has them: one number each, or (classes, 3) for colours."""
        values = np.array([0, 255] if self.objects else self.values, np.int64)
        if (values >= COLOUR).any():
            rest = values - COLOUR
            return np.stack([rest >> 16, (rest >> 8) & 255, rest & 255], 1).astype(np.uint8)
        types = (np.uint8, np.uint16, np.int16, np.uint32, np.int32, np.int64)
        fits = (t for t in types if np.iinfo(t).min <= values.min() and values.max() <= np.iinfo(t).max)
        return values.astype(next(fits))


def shown(value: int) -> str:
    return f"#{value - COLOUR:06x}" if value >= COLOUR else str(value)


def number_of(text: str) -> int | None:
    """The value that `shown` shows so; None for what is none."""
    try:
        if not text.startswith("#"):
            return int(text)
        number = int(text[1:], 16)
    except ValueError:
        return None
    return COLOUR + number if number < OLD_COLOUR else OLD_COLOUR + number


def mapping_of(content: dict[str, Any]) -> Mapping:
    """A mapping from its `as_dict`."""
    void = content["void"]
    return Mapping(
        tuple(number for s in content["values"] if (number := number_of(s)) is not None),
        tuple(content["classes"]),
        None if void is None else number_of(void),
        content["objects"],
        content.get("multilabel", False),  # runs before 0.1 do not have it
        content.get("harden", False),
    )


def _of_objects(ids: NDArray[np.int64], void: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """1 within objects, 0 outside and where two touch, VOID where nothing counts."""
    out = _separate(np.where(void | (ids == COLOUR), 0, ids))
    out[void] = VOID
    return out


def _separate(ids: NDArray[np.int64]) -> NDArray[np.uint8]:
    """1 within objects, 0 outside and where two touch: of both sides the pixel on the line."""
    inside = ids > 0
    line = np.zeros(ids.shape, bool)
    for before, after in neighbours(ids.ndim):
        meet = (ids[before] != ids[after]) & inside[before] & inside[after]
        line[before] |= meet
        line[after] |= meet
    return (inside & ~line).astype(np.uint8)
