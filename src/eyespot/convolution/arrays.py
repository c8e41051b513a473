"""The operation on NumPy arrays: the result's type, exact integers, and which function of SciPy computes it."""

from functools import lru_cache
from math import log2, prod
from typing import Any

import numpy as np
from scipy import fft, ndimage, signal

from eyespot.convolution.geometry import Geometry
from eyespot.convolution.method import check_method, fft_lengths, overlaps, uses_fft
from eyespot.convolution.padding import pad
from eyespot.convolution.taps import sum_over_taps
from eyespot.errors import UserError

SCIPY_TYPES = "fdFD"  # float32, float64 and their complex pairs
NDIMAGE_MODES = {"zero": "constant", "replicate": "nearest", "reflect": "mirror", "circular": "wrap"}
NDIMAGE_LEAST = np.finfo(np.float64).eps  # scipy.ndimage drops weights up to here
LONG_ROW = 10_000  # products per row from which numpy.convolve, row by row, is faster than scipy.ndimage


def apply_array(x: np.ndarray, kernel: np.ndarray, g: Geometry, method: str) -> np.ndarray:
    """The operation with geometry g, in the type that NumPy gives the product of x and kernel (integers: int64)."""
    check_method(method)
    x_kind = x.dtype.kind
    kernel_kind = kernel.dtype.kind
    if x_kind not in "biufc" or kernel_kind not in "biufc":
        raise UserError(f"cannot convolve an image of type {x.dtype} with a kernel of type {kernel.dtype}")
    if x_kind in "biu" and kernel_kind in "biu":
        return exact(x, kernel, g, method)
    dtype = x.dtype if x.dtype is kernel.dtype else np.result_type(x, kernel)
    computed = np.dtype(np.float32) if dtype.char == "e" else dtype
    if computed.char in SCIPY_TYPES and uses_fft(g, method):
        y = by_fft(x, kernel, g, computed)
        if np.isfinite(y.sum()):
            return y.astype(dtype, copy=False)
    return direct(x, kernel, g, computed).astype(dtype, copy=False)


def exact(x: np.ndarray, kernel: np.ndarray, g: Geometry, method: str) -> np.ndarray:
    """int64: through float64 where every sum stays below 2^53; refused where a sum may leave int64."""
    weights = np.abs(kernel.astype(np.float64)).reshape(*g.kernel_shape[:2], -1)
    bound = max(abs(int(x.max())), abs(int(x.min()))) * float(weights.sum(-1).max())
    if not fits_float64(bound, x.shape):
        return direct(x, kernel, g, np.dtype(np.int64))
    if uses_fft(g, method) and fft_error(bound, g) < 0.4:
        return np.rint(by_fft(x, kernel, g, np.dtype(np.float64))).astype(np.int64)
    return direct(x, kernel, g, np.dtype(np.float64)).astype(np.int64)


def fits_float64(bound: float, shape: tuple[int, ...]) -> bool:
    """Whether integers up to the bound are exact in float64; UserError where int64 does not hold them."""
    if bound >= 2.0**63 * 0.999:
        raise UserError(
            f"sums may reach {bound:.1e}, beyond 64-bit integers; convert the image {shape} to float64"
        )
    return bound < 2.0**53 * 0.999


def fft_error(bound: float, g: Geometry) -> float:
    """A bound on the error of three transforms (Higham 2002, theorem 24.2, with 8 log2(T) u for each)."""
    points = prod(fft_lengths(g))
    if overlaps(g):
        bound *= 2  # two blocks are added where they overlap
    return 24 * log2(points + 1) * 2.0**-53 * bound * (points * g.kernel_shape[2]) ** 0.5


def by_fft(x: np.ndarray, kernel: np.ndarray, g: Geometry, dtype: np.dtype) -> np.ndarray:
    """The result by scipy.fft or, for a long series, by scipy.signal.oaconvolve, and cropped to the mode."""
    x = padded_unless_zero(x.astype(dtype, copy=False).reshape(g.x_shape), g)
    kernel = dilated(kernel.astype(dtype, copy=False).reshape(g.kernel_shape), g)
    if not g.flip:
        kernel = kernel[(..., *[slice(None, None, -1)] * g.dim)]
    with np.errstate(all="ignore"):
        if overlaps(g):
            y = signal.oaconvolve(x[:, 0, 0], kernel[0, 0], axes=1)
        else:
            y = product_of_transforms(x, kernel, g)
    return np.ascontiguousarray(y[full_crop(g)]).reshape(g.y_shape)


def product_of_transforms(x: np.ndarray, kernel: np.ndarray, g: Geometry) -> np.ndarray:
    """x (N, G, C, *S) and kernel (G, O, C, *K) -> their full convolution (N, G, O, ...), right where it is not cropped."""
    lengths = fft_lengths(g)
    axes = range(-g.dim, 0)
    forward, inverse = (fft.fftn, fft.ifftn) if x.dtype.kind == "c" else (fft.rfftn, fft.irfftn)
    x_spectrum: Any = forward(x, lengths, axes)
    kernel_spectrum: Any = forward(kernel, lengths, axes)
    if g.x_shape[2] == 1:
        spectrum = x_spectrum * kernel_spectrum[:, :, 0]
    else:
        spectrum = np.einsum("ngc...,goc...->ngo...", x_spectrum, kernel_spectrum)
    y: Any = inverse(spectrum, lengths, axes, overwrite_x=True)
    return y


@lru_cache(maxsize=512)
def full_crop(g: Geometry) -> tuple:
    """The index of the outputs in a full convolution of an image padded unless with zeros."""
    before = g.before if g.boundary == "zero" else (0,) * g.dim
    axes = zip(g.reach, before, g.dense, g.stride, strict=True)
    return (..., *[slice(r - b, r - b + n, s) for r, b, n, s in axes])


def padded_unless_zero(x: np.ndarray, g: Geometry) -> np.ndarray:
    """x (..., *S), padded if not with zeros: those are what SciPy assumes outside."""
    return x if g.boundary == "zero" else pad(x, g.before, g.after, g.boundary)


def direct(x: np.ndarray, kernel: np.ndarray, g: Geometry, dtype: np.dtype) -> np.ndarray:
    """The result as a sum, by numpy.convolve, scipy.ndimage or, with channels or a stride, over the taps."""
    x = x.astype(dtype, copy=False)
    kernel = kernel.astype(dtype, copy=False).reshape(g.kernel_shape)[g.flipped]
    if dtype.char in SCIPY_TYPES and g.one_channel and not g.strided:
        if g.dim == 1 and by_rows(g):
            return convolve_rows(x.reshape(-1, *g.size), kernel, g)
        if ndimage_keeps(kernel):
            return correlate_ndimage(x.reshape(-1, *g.size), kernel[0, 0], g)
    return sum_over_taps(pad(x.reshape(g.x_shape), g.before, g.after, g.boundary), kernel, g).reshape(
        g.y_shape
    )


def dilated(kernel: np.ndarray, g: Geometry) -> np.ndarray:
    """(..., *taps) -> (..., *(reach + 1)), with zeros between the taps."""
    if max(g.dilation) == 1:
        return kernel
    y = np.zeros((*kernel.shape[: -g.dim], *[r + 1 for r in g.reach]), kernel.dtype)
    y[(..., *[slice(None, None, d) for d in g.dilation])] = kernel
    return y


def by_rows(g: Geometry) -> bool:
    """Whether numpy.convolve, once per row of a one-dimensional image, is the fastest."""
    one_row = g.x_shape[0] == 1 and g.boundary == "zero"
    return one_row or g.size[0] * g.taps[0] >= LONG_ROW


def convolve_rows(x: np.ndarray, kernel: np.ndarray, g: Geometry) -> np.ndarray:
    """x (N, S) -> the result by numpy.convolve, which scipy.signal.convolve calls along one axis too."""
    x = padded_unless_zero(x, g)
    weights = dilated(kernel, g)[0, 0, 0, ::-1]
    if g.boundary != "zero" or not any(g.before + g.after):
        rows = [np.convolve(row, weights, "valid") for row in x]
    else:
        rows = [np.convolve(row, weights)[full_crop(g)] for row in x]
    return (rows[0] if len(rows) == 1 else np.stack(rows)).reshape(g.y_shape)


def ndimage_keeps(kernel: np.ndarray) -> bool:
    """Whether scipy.ndimage drops no weight of a kernel except zeros."""
    # The real and imaginary parts of complex weights are used one by one.
    size = np.abs(kernel) if kernel.dtype.kind == "f" else np.abs([np.real(kernel), np.imag(kernel)])
    return size.min() > NDIMAGE_LEAST or not ((size > 0) & (size <= NDIMAGE_LEAST)).any()


def correlate_ndimage(x: np.ndarray, kernel: np.ndarray, g: Geometry) -> np.ndarray:
    """x (N, *S), kernel (1, *taps) in the image's order -> the result by scipy.ndimage.correlate.

    It gives as many outputs as samples, so an image is padded first where there are more, and its result cropped where
    there are fewer.
    """
    before = g.before
    boundary = g.boundary
    if g.dense != g.size:
        x = padded_unless_zero(x, g)
        before = g.before if boundary == "zero" else (0,) * g.dim
        boundary = "zero"
        x = pad(x, (0,) * g.dim, [max(m - n, 0) for m, n in zip(g.dense, x.shape[1:], strict=True)], boundary)
    weights = dilated(kernel, g).conj()  # scipy.ndimage.correlate conjugates them again
    origin = [0, *[b - (r + 1) // 2 for b, r in zip(before, g.reach, strict=True)]]
    correlate: Any = ndimage.correlate
    y = correlate(x, weights, mode=NDIMAGE_MODES[boundary], cval=0.0, origin=origin)
    if g.dense != g.size:
        y = np.ascontiguousarray(y[(..., *map(slice, g.dense))])
    return y.reshape(g.y_shape)
