"""Consistency against a shift of the network's input by 1, 2, 3, ... samples: where it rises again at multiples of 2, 4 or 8,
the network's strides alias.

A network of total stride s gives the same for shifts by s, but for the border; between, what it samples differs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.console import track
from eyespot.data.header import Array
from eyespot.invariances.bands import Units, drops_of, shares, units_of
from eyespot.invariances.images import Images
from eyespot.invariances.of_classes import BATCH, classes_of
from eyespot.invariances.original import prepare, read_original
from eyespot.metrics.intervals import Score

PERIODS = (2, 4, 8)
MOST = 500
"""Images that are shifted."""
LIKE = 0.8
"""The share of the largest teeth that those of a shorter period have at least, where it is the true one."""
LONGEST = 2
"""Shifts go up to the input's side, divided by this."""


@dataclass(frozen=True)
class Sawtooth:
    """consistency by shift in samples of the network's input, from 1 on; `period` of the teeth, 0 where there are none; `gain` in
    consistency of shifts by multiples of the period over those by one sample less"""

    consistency: list[Score]
    period: int = 0
    gain: Score | None = None

    def as_dict(self) -> dict[str, Any]:
        return {"consistency": self.consistency, "period": self.period or None, "gain": self.gain}


def sawtooth_of(images: Images) -> Sawtooth | None:
    """Of classes of images; None where the input is too small to say."""
    side = images.predictor.preprocessing.size
    longest = min(2 * max(PERIODS), side // LONGEST)
    if longest < 2 * PERIODS[0]:
        return None
    n = min(MOST, len(images.paths))
    same = np.zeros((longest, n))
    starts = range(0, n, BATCH)
    for start in track(starts, len(starts), "shifting by samples, batches"):
        rows = range(start, min(n, start + BATCH))
        inputs = [_input(images, i) for i in rows]
        base = classes_of(images.predictor.logits, inputs)
        for k in range(longest):
            moved = [shifted(array, k + 1) for array in inputs]
            same[k, start : start + len(moved)] = classes_of(images.predictor.logits, moved) == base
    return teeth(same, units_of(n, images.groups[:n] if images.groups else None))


def _input(images: Images, i: int) -> Array:
    original = read_original(images.paths[i], i, images.predictor.preprocessing)
    return prepare(original, original.array, images.predictor.preprocessing)


def shifted(array: Array, pixels: int) -> Array:
    """(*S, C) moved along all axes, circularly, so that no value is invented"""
    axes = tuple(range(array.ndim - 1))
    return np.roll(array, (pixels,) * len(axes), axes)


def teeth(same: NDArray[np.float64], units: Units) -> Sawtooth:
    """From (shifts, N) whether predictions stayed the same. Of periods whose teeth chance does
    not explain, the shortest is named whose teeth are about as large as any: those of 4 are also seen at multiples of 8."""
    scores = shares(same, units)
    longest = len(same)
    tried = [(p, _rise(same, p)) for p in PERIODS if 2 * p <= longest]
    if not tried or units.n < 2:
        return Sawtooth(scores)
    gains = drops_of(np.stack([rise for _, rise in tried]), units).scores()
    seen = [(p, gain) for (p, _), gain in zip(tried, gains, strict=True) if gain["low"] > 0]
    if not seen:
        return Sawtooth(scores)
    most = max(gain["value"] for _, gain in seen)
    period, gain = next(item for item in seen if item[1]["value"] >= LIKE * most)
    return Sawtooth(scores, period, gain)


def _rise(same: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """(N,) consistency at multiples of the period less that of shifts by one sample less, which are smaller"""
    multiples = np.arange(period, len(same) + 1, period)
    return (same[multiples - 1] - same[multiples - 2]).mean(0)
