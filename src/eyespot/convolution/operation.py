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

import numpy as np

from eyespot.convolution.arrays import apply_array
from eyespot.convolution.edges import fold
from eyespot.convolution.windows import windows
from eyespot.errors import UserError, nearest

OPERATIONS = ("correlate", "convolve")


def convolve(
    x, kernel, *, mode="full", boundary="zero", stride=1, dilation=1, groups=1, dim=None, method="auto"
):
    """(x * kernel)[i] = sum_j kernel[j] x[i - j]: the convolution of mathematics, with the kernel flipped.

    >>> convolve([1, 2, 3], [1, -1])
    array([ 1,  1,  1, -3])
    """
    return _apply(x, kernel, mode, boundary, stride, dilation, groups, dim, True, method)


def correlate(
    x, kernel, *, mode="full", boundary="zero", stride=1, dilation=1, groups=1, dim=None, method="auto"
):
    """y[i] = sum_j kernel[j] x[i + j]: what networks call convolution. A complex kernel is not conjugated.

    >>> correlate([1, 2, 3], [1, -1], mode="valid")
    array([-1, -1])
    """
    return _apply(x, kernel, mode, boundary, stride, dilation, groups, dim, False, method)


def _apply(x, kernel, mode, boundary, stride, dilation, groups, dim, flip, method):
    if is_tensor(x) or is_tensor(kernel):
        from eyespot.convolution.tensors import apply_tensor, to_tensors

        apply, (x, kernel) = apply_tensor, to_tensors(x, kernel)
    else:
        apply, x, kernel = apply_array, np.asarray(x), np.asarray(kernel)
    numbers = hashable(stride), hashable(dilation)
    w = windows(tuple(x.shape), tuple(kernel.shape), mode, boundary, *numbers, groups, dim, flip)
    return apply(x, kernel, w, method)


def adjoint(
    y,
    kernel,
    shape,
    *,
    operation="correlate",
    mode="full",
    boundary="zero",
    stride=1,
    dilation=1,
    groups=1,
    dim=None,
):
    """The transpose (conjugate, if complex) of the operation on images of `shape`: <A x, y> = <x, adjoint(y)>.

    y has the shape of the operation's result; the answer has `shape`. It is also the gradient with respect to x.
    """
    if operation not in OPERATIONS:
        raise UserError(f"operation is {operation!r}; {nearest(str(operation), OPERATIONS)}")
    if is_tensor(y) or is_tensor(kernel):
        from eyespot.convolution.tensors import to_tensors

        y, kernel = to_tensors(y, kernel)
    else:
        y, kernel = np.asarray(y), np.asarray(kernel)
    flip = operation == "convolve"
    numbers = hashable(stride), hashable(dilation)
    w = windows(tuple(shape), tuple(kernel.shape), mode, boundary, *numbers, groups, dim, flip)
    if tuple(y.shape) != w.y_shape:
        raise UserError(
            f"the operation makes {w.y_shape} of an image {tuple(shape)}, but y is {tuple(y.shape)}"
        )
    n, g, c, *_ = w.x_shape
    apart = np.zeros((n, g * w.kernel_shape[1], *w.dense), y.dtype) if isinstance(y, np.ndarray) else None
    if apart is None:
        apart = y.new_zeros((n, g * w.kernel_shape[1], *w.dense))
    apart[(..., *[slice(None, None, s) for s in w.stride])] = y.reshape(n, -1, *w.out)
    kernel = kernel.reshape(w.kernel_shape).swapaxes(1, 2).conj()
    back = _apply(
        apart, kernel.reshape(g * c, -1, *w.taps), "full", "zero", 1, w.dilation, g, w.dim, not flip, "auto"
    )
    return fold(back, w.before, w.after, w.boundary).reshape(shape)


def is_tensor(x) -> bool:
    """Whether x is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def hashable(value):
    return tuple(value) if isinstance(value, list) else value
