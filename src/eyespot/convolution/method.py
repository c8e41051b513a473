"""The choice between a direct sum and the Fourier transform: the smaller of two estimates.

The constants are nanoseconds, fitted to 330 random shapes in float64 on one core (AMD EPYC, NumPy 2.4, SciPy 1.17).
"""

from functools import lru_cache
from math import prod
from operator import add
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
    images = g.x_shape[0]
    if g.strided or not g.one_channel:
        per_product = 0.5 if g.kernel_shape[2] == 1 else 0.1  # several input channels make a matrix product
        return taps * (3000 + per_product * channel_pairs(g) * prod(g.out))
    if g.dim == 1:  # NumPy unrolls loops of up to 11 taps
        return 4000 + images * min(g.size + g.dense) * (taps / 6 if taps <= 11 else 5.5 + taps / 10)
    padding = 25000 if g.dense > g.size else 0
    return 17000 + padding + images * prod(map(max, g.size, g.dense)) * (1 + 0.42 * taps)


def fft_cost(g: Geometry) -> float:
    """Expected nanoseconds of the Fourier transform."""
    if overlaps(g):
        return 65000 + 6 * g.x_shape[0] * prod(g.size)
    images, groups, cin = g.x_shape[:3]
    cout = g.kernel_shape[1]
    transforms = groups * (images * cin + cout * cin + images * cout)
    per_point = 3 if g.dim == 2 else 3.7
    products = 0 if cin == 1 else channel_pairs(g)
    return 26000 + prod(fft_lengths(g)) * (per_point * transforms + products)


def overlaps(g: Geometry) -> bool:
    """Whether a series is long enough for blocks of Fourier transforms (overlap-add) to be faster than a single one."""
    return g.dim == 1 and g.one_channel and g.size[0] >= 1 << 14


def channel_pairs(g: Geometry) -> int:
    """Images times pairs of input and output channels."""
    return g.x_shape[0] * prod(g.kernel_shape[:3])


def fft_lengths(g: Geometry) -> list[int]:
    """The length of the transform along each axis. A transform is circular: what wraps around must not be an output."""
    margin = max if g.boundary == "zero" else add
    return [next_fast_len(n + margin(b, a)) for n, b, a in zip(g.size, g.before, g.after, strict=True)]


def next_fast_len(n: int) -> int:
    """The shortest length of at least n that is fast to transform."""
    return cast(Any, scipy.fft.next_fast_len)(n, real=True)
