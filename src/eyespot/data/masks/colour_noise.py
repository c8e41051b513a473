"""Colours of masks saved as JPEG, which spreads each colour over many that are near."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from eyespot.data.masks.mapping import COLOUR, shown
from eyespot.errors import UserError
from eyespot.plurals import count

NEAR = 48
"""The sum of the differences in red, green and blue up to which two colours are one with noise."""
FAR = 96
"""The same, from which JPEG has not made one of the other within an area."""
MOST_CHANGED = 0.2
"""More pixels than this far from all values are not only edges."""
PEAK = 0.005
"""So large a share of all pixels, far from all values and in colours near one, may be another class."""


def without_noise(kept: set[int], total: Counter[int]) -> set[int]:
    """The colours but those near a more frequent one. Raises UserError where classes would be lost, or invented.

    kept    the colours that fill areas
    total   how often each colour occurs in all masks
    """
    classes: list[int] = []
    for value in sorted(kept, key=lambda v: -total[v]):
        if not classes or _distances([value], classes).min() > NEAR:
            classes.append(value)
    if classes:
        _refuse_lost(classes, total)
    return set(classes)


def _refuse_lost(classes: list[int], total: Counter[int]) -> None:
    far = [value for value, d in zip(total, _distances(list(total), classes).min(1), strict=True) if d > FAR]
    if not far:
        return
    lost = max(far, key=lambda v: total[v])
    close = _distances(far, [lost])[:, 0] <= NEAR
    share = sum(total[v] for v in far) / sum(total.values())
    around = sum(total[v] for v, is_close in zip(far, close, strict=True) if is_close)
    if share > MOST_CHANGED or around > PEAK * sum(total.values()):
        raise UserError(
            f"JPEG has spread the colours of the masks so far that their values cannot be known: {count(around, 'pixel is', 'pixels are')} near "
            f"{shown(lost)}, which may be a class, beside {', '.join(map(shown, sorted(classes)))}: save masks as PNG with one "
            "value per class"
        )


def _distances(a: list[int], b: list[int]) -> NDArray[np.int64]:
    """(len(a), len(b)) the sums of the differences in red, green and blue"""
    first, second = (np.array(values, np.int64) - COLOUR for values in (a, b))
    shifts = np.array([16, 8, 0])
    first = first[:, None] >> shifts & 255
    second = second[:, None] >> shifts & 255
    return np.abs(first[:, None] - second[None]).sum(-1)
