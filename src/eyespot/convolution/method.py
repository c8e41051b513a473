"""The choice between a direct sum and the Fourier transform: the smaller of two estimates.

The constants are nanoseconds, fitted to 240 random shapes in float64 on one core (AMD EPYC, NumPy 2, SciPy 1.17).
"""

from functools import lru_cache
from math import prod
from typing import Any, cast

import scipy.fft

from eyespot.convolution.geometry import Geometry
from eyespot.errors import UserError, nearest

METHODS = ("auto", "direct", "fft")


@lru_cache(maxsize=512)
def uses_fft(g: Geometry, method: str) -> bool:
    """Whether the Fourier transform computes it: method "fft", or "auto" where it is expected to be faster."""
    check_method(method)
    return method == "fft" or (method == "auto" and fft_cost(g) < direct_cost(g))


def check_method(method: str) -> None:
    """Refuse an unknown method."""
    if method not in METHODS:
        raise UserError(f"method is {method!r}; {nearest(str(method), METHODS)}")


def direct_cost(g: Geometry) -> float:
    """Expected nanoseconds of the direct sum on NumPy arrays."""
    taps = prod(g.taps)
    if g.strided or not g.one_channel:
        return taps * (3000 + 0.5 * channel_pairs(g) * prod(g.out))
    samples = g.x_shape[0] * prod(g.size)
    if g.dim > 1:
        return 5000 + samples * (2 + 0.45 * taps)
    return 3000 + samples * (taps / 6 if taps <= 11 else 5.5 + taps / 10)  # NumPy unrolls loops up to 11 taps


def fft_cost(g: Geometry) -> float:
    """Expected nanoseconds of the Fourier transform."""
    if overlaps(g):
        return 65000 + 7 * g.x_shape[0] * prod(g.size)
    n, groups, cin = g.x_shape[:3]
    cout = g.kernel_shape[1]
    transforms = groups * (n * cin + cout * cin + n * cout * cin)
    points = prod(fft_lengths(g))
    per_point = 12 if points < 1 << 17 else 20  # more points leave the cache
    return 30000 + per_point * points * transforms / 3


def overlaps(g: Geometry) -> bool:
    """Whether a series is long enough for blocks of Fourier transforms (overlap-add) to be faster than a single one."""
    return g.dim == 1 and g.one_channel and g.size[0] >= 1 << 14


def channel_pairs(g: Geometry) -> int:
    """Images times pairs of input and output channels."""
    return g.x_shape[0] * prod(g.kernel_shape[:3])


def fft_lengths(g: Geometry) -> list[int]:
    """The length along each axis to which SciPy pads before the transform."""
    padded = [0] * g.dim if g.boundary == "zero" else [b + a for b, a in zip(g.before, g.after, strict=True)]
    return [next_fast_len(n + p + r) for n, p, r in zip(g.size, padded, g.reach, strict=True)]


def next_fast_len(n: int) -> int:
    """The shortest length of at least n that is fast to transform."""
    return cast(Any, scipy.fft.next_fast_len)(n, real=True)
