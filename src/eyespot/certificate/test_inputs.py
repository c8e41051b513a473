"""Images that anyone can make again: whole numbers from a seed, in squares of 1, 2, 4 or 8 samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMULA = (
    "cell = (1, 2, 4, 8)[seed % 4]; h = seed + 1; for each axis k of the shape and then for the channels, with index i along it "
    "(i / cell without its fraction for an axis of the shape, i for the channels): h = (1664525 h + 2654435761 i + 1013904223) mod 2^32, "
    "then h = h xor (h >> 15); value = low + (high - low) (h >> 24) / 255 in float64, for a whole-number type without its fraction"
)
"""What a certificate says of it."""


def pixels(
    seed: int, shape: Sequence[int], low: Sequence[float], high: Sequence[float], depth: str
) -> NDArray[Any]:
    """(*shape, C) values of a type

    low, high   the range of each channel
    """
    cell = (1, 2, 4, 8)[seed % 4]
    h = np.full((*shape, len(low)), seed + 1, np.uint64)
    for axis, i in enumerate(np.indices(h.shape, np.uint64)):
        steps = i // np.uint64(cell) if axis < len(shape) else i
        h = (h * np.uint64(1664525) + steps * np.uint64(2654435761) + np.uint64(1013904223)) % np.uint64(
            2**32
        )
        h ^= h >> np.uint64(15)
    values = np.array(low) + (np.array(high) - np.array(low)) * (h >> np.uint64(24)).astype(np.float64) / 255
    return values.astype(depth)
