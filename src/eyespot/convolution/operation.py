"""Convolution and correlation of arrays of any rank, and their adjoint, on NumPy arrays and torch tensors.

The image is x (..., *S), or x (..., channels, *S) for a kernel (out, in / groups, *K) with `dim` spatial axes.

mode      "full": every window that touches the image; "same": as many outputs as samples, the window centred on tap
          (K - 1) // 2 of the kernel, also where K is even; "valid": only windows inside the image
boundary  what a window sees outside: "zero", "replicate", "reflect" (without repeating the edge) or "circular"
stride    keep every stride-th output, from the first on; dilation: the distance of neighbouring taps
dim       number of spatial axes; must be given where x has batch or channel axes
method    "auto" (see cost.py), "direct" or "fft". A transform's error is relative to the largest output around,
          about 1e-15 of it; a direct sum's is relative to the output itself

Integers give int64 and are exact. Values that are not finite reach only the outputs whose windows hold them.
"""

import sys
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from eyespot.convolution.arrays import apply_array
from eyespot.convolution.edges import fold
from eyespot.convolution.windows import How, hashable, windows, windows_of
from eyespot.errors import UserError

Number = int | Sequence[int]  # one for every spatial axis, or one for each


def convolve(
    x: Any,
    kernel: Any,
    *,
    mode: str = "full",
    boundary: str = "zero",
    stride: Number = 1,
    dilation: Number = 1,
    groups: int = 1,
    dim: int | None = None,
    method: str = "auto",
) -> Any:
    """(x * kernel)[i] = sum_j kernel[j] x[i - j]: the convolution of mathematics, with the kernel flipped.

    >>> convolve([1, 2, 3], [1, -1])
    array([ 1,  1,  1, -3])
    """
    return _apply(x, kernel, mode, boundary, stride, dilation, groups, dim, True, method)


def correlate(
    x: Any,
    kernel: Any,
    *,
    mode: str = "full",
    boundary: str = "zero",
    stride: Number = 1,
    dilation: Number = 1,
    groups: int = 1,
    dim: int | None = None,
    method: str = "auto",
) -> Any:
    """y[i] = sum_j kernel[j] x[i + j]: what networks call convolution. A complex kernel is not conjugated.

    >>> correlate([1, 2, 3], [1, -1], mode="valid")
    array([-1, -1])
    """
    return _apply(x, kernel, mode, boundary, stride, dilation, groups, dim, False, method)


def _apply(x, kernel, mode, boundary, stride, dilation, groups, dim, flip, method):
    apply, x, kernel = engine(x, kernel)
    numbers = hashable(stride), hashable(dilation)
    w = windows(tuple(x.shape), tuple(kernel.shape), flip, mode, boundary, *numbers, groups, dim)
    return apply(x, kernel, w, method)


def engine(x, kernel) -> tuple[Any, Any, Any]:
    """What applies windows, and both arguments as tensors if one of them is, else as arrays."""
    torch = sys.modules.get("torch")
    if torch is not None and (isinstance(x, torch.Tensor) or isinstance(kernel, torch.Tensor)):
        from eyespot.convolution.tensors import apply_tensor, to_tensors

        return apply_tensor, *to_tensors(x, kernel)
    return apply_array, np.asarray(x), np.asarray(kernel)


def adjoint(
    y: Any, kernel: Any, shape: Sequence[int], *, operation: str = "correlate", **how: Unpack[How]
) -> Any:
    """The transpose (conjugate, if complex) of an operation on images of `shape`: <A x, y> = <x, adjoint(y)>.

    y has the shape of the operation's result; the answer has `shape`. It is also the gradient with respect to x.
    """
    _, y, kernel = engine(y, kernel)
    w = windows_of(shape, kernel.shape, operation, how)
    if tuple(y.shape) != w.y_shape:
        raise UserError(
            f"the operation makes {w.y_shape} of an image {tuple(shape)}, but y is {tuple(y.shape)}"
        )
    n, g, c, *_ = w.x_shape
    between = (n, g * w.kernel_shape[1], *w.dense)
    apart: Any = np.zeros(between, y.dtype) if isinstance(y, np.ndarray) else y.new_zeros(between)
    apart[(..., *[slice(None, None, s) for s in w.stride])] = y.reshape(n, -1, *w.out)
    kernel = kernel.reshape(w.kernel_shape).swapaxes(1, 2).conj()
    back = _apply(
        apart, kernel.reshape(g * c, -1, *w.taps), "full", "zero", 1, w.dilation, g, w.dim, not w.flip, "auto"
    )
    return fold(back, w.before, w.after, w.boundary).reshape(tuple(shape))
