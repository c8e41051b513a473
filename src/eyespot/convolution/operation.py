"""Convolution and correlation of arrays of any rank, and their adjoint, on NumPy arrays and torch tensors.

The image is x (..., *S), or x (..., channels, *S) for a kernel (out, in / groups, *K) with `dim` spatial axes.

mode      "full": every window that overlaps the image; "same": as many outputs as samples, the window centred on
          tap (K - 1) // 2 of the kernel, also where K is even; "valid": only windows inside the image
boundary  what lies outside the image: "zero", "replicate", "reflect" (without repeating the edge) or "circular"
stride    keep every stride-th output, from the first on
dilation  the distance between neighbouring taps
dim       number of spatial axes; required where x has batch or channel axes
method    "direct", "fft" or the faster of the two ("auto"). The error of the Fourier transform is relative to the
          largest output, about 1e-15 of it; that of a direct sum is relative to the output itself

Integers give exact int64. Values that are not finite reach only the outputs whose windows contain them.
"""

import sys
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from eyespot.convolution.arrays import apply_array
from eyespot.convolution.geometry import Options, geometry, named_geometry, to_hashable
from eyespot.convolution.padding import unpad
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
    apply, x, kernel = implementation(x, kernel)
    shapes = tuple(x.shape), tuple(kernel.shape)
    g = geometry(*shapes, flip, mode, boundary, to_hashable(stride), to_hashable(dilation), groups, dim)
    return apply(x, kernel, g, method)


def implementation(x: Any, kernel: Any) -> tuple[Any, Any, Any]:
    """The function that applies a geometry, and both arguments as tensors if one of them is, else as arrays."""
    torch = sys.modules.get("torch")
    if torch is not None and (isinstance(x, torch.Tensor) or isinstance(kernel, torch.Tensor)):
        from eyespot.convolution.tensors import apply_tensor, to_tensors

        return apply_tensor, *to_tensors(x, kernel)
    return apply_array, np.asarray(x), np.asarray(kernel)


def adjoint(
    y: Any, kernel: Any, shape: Sequence[int], *, operation: str = "convolve", **options: Unpack[Options]
) -> Any:
    """The transpose (conjugate, if complex) of an operation on images of `shape`: <A x, y> = <x, adjoint(y)>.

    y has the shape of the operation's result, the returned array has `shape`. It is also the gradient with respect
    to x. The operation is `convolve` unless operation="correlate", as in `as_matrix`.
    """
    _, y, kernel = implementation(y, kernel)
    g = named_geometry(shape, kernel.shape, operation, options)
    if tuple(y.shape) != g.y_shape:
        raise UserError(
            f"the operation makes {g.y_shape} of an image {tuple(shape)}, but y is {tuple(y.shape)}"
        )
    batch, groups, channels = g.x_shape[:3]
    dense_shape = (batch, groups * g.kernel_shape[1], *g.dense)
    dense: Any = np.zeros(dense_shape, y.dtype) if isinstance(y, np.ndarray) else y.new_zeros(dense_shape)
    dense[(..., *[slice(None, None, s) for s in g.stride])] = y.reshape(batch, -1, *g.out)
    transposed = kernel.reshape(g.kernel_shape).swapaxes(1, 2).conj().reshape(groups * channels, -1, *g.taps)
    padded = _apply(dense, transposed, "full", "zero", 1, g.dilation, groups, g.dim, not g.flip, "auto")
    return unpad(padded, g.before, g.after, g.boundary).reshape(tuple(shape))
