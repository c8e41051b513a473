"""Maps that are the same everywhere."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

CONSTANT = "this map is the same everywhere, so it says nothing about places"
ROUNDING = 1e-6
"""Of the largest absolute value of a map: differences below are of rounding."""


def is_constant(values: NDArray[Any]) -> bool:
    """Whether a map has one value everywhere, up to rounding."""
    return float(np.ptp(values)) <= ROUNDING * float(np.abs(values).max())
