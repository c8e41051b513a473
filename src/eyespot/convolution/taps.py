"""The definition of the operation as code: a sum over the taps of the kernel, for any type, stride and channels."""

from itertools import product
from typing import Any

from eyespot.convolution.geometry import Geometry


def sum_over_taps(x: Any, kernel: Any, g: Geometry) -> Any:
    """Padded x (N, G, C, *padded) and kernel (G, O, C, *K) in the image's order -> (N, G, O, *out); NumPy or torch."""
    total: Any = None
    for tap in product(*map(range, g.taps)):
        axes = zip(tap, g.dilation, g.stride, g.out, strict=True)
        shifted = x[(..., *[slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, s, n in axes])]
        weights = kernel[(..., *tap)]
        if g.kernel_shape[2] == 1:
            term = weights.reshape(*g.kernel_shape[:2], *(1,) * g.dim) * shifted
        else:
            term = (weights @ shifted.reshape(*g.x_shape[:3], -1)).reshape(*g.x_shape[:2], -1, *g.out)
        if total is None:
            total = term
        else:
            total += term
    return total
