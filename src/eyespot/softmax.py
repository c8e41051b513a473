"""Probabilities from logits, in NumPy alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[Any], axis: int) -> NDArray[Any]:
    """The probability of each place along an axis, in the precision of the logits."""
    exponentials = np.exp(logits - logits.max(axis, keepdims=True))
    return exponentials / exponentials.sum(axis, keepdims=True)


def sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    """The probability that each logit stands for on its own, in its precision."""
    with np.errstate(over="ignore"):  # exp(-x) of a very small x is infinite, and its probability 0
        return 1 / (1 + np.exp(-logits))
