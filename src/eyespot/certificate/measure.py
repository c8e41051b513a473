"""How far an engine's logits for the test inputs are from those in the certificate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.certificate.certificate import Certificate, Test

Logits = Callable[[NDArray[Any]], NDArray[Any]]
"""(B, *S, C) pixels -> logits (B, ...)"""
Prepare = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Difference:
    """The largest difference from the expected logits.

    share   of the logits' scale; not a number or infinite where a logit is
    test    of which test it is
    agree   tests in which the largest of the stored logits is the same
    holds   whether the share is within the tolerance
    """

    share: float
    test: Test
    agree: int
    holds: bool


def difference(logits: Logits, certificate: Certificate, prepare: Prepare | None = None) -> Difference:
    """Of all test inputs, one at a time.

    prepare   what is done to an input before the engine gets it; without it the file brings the input to size
    """
    tolerance = certificate.tolerance if prepare else certificate.resized_tolerance
    worst = 0.0
    at = certificate.tests[0]
    agree = 0
    for test in certificate.tests:
        image = certificate.input(test)
        actual = logits((prepare(image) if prepare else image)[None])[0].reshape(-1)[:: test.step]
        expected = np.array(test.logits)
        share = _largest(actual, expected) / certificate.scale if certificate.scale else np.inf
        agree += actual.shape == expected.shape and int(actual.argmax()) == int(expected.argmax())
        if not share <= worst:  # true of NaN
            worst = share
            at = test
        if np.isnan(worst):
            break
    return Difference(float(worst), at, agree, bool(worst <= tolerance))


def _largest(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    if actual.shape != expected.shape:
        return float("inf")
    return float(np.abs(actual.astype(np.float64) - expected).max())
