"""The operation on NumPy arrays: types, exact integers, and the method's call."""

from math import isfinite, log2, prod

import numpy as np

from eyespot.convolution.blocks import blocks
from eyespot.convolution.cost import choose
from eyespot.convolution.direct import line, rows, spread, table, taps
from eyespot.convolution.fourier import tiles
from eyespot.convolution.windows import Windows
from eyespot.errors import UserError

METHODS = {"taps": taps, "table": table, "rows": rows, "blocks": blocks, "fft": tiles}
FAST = "fdFD"  # the types that BLAS and the Fourier transform know: float32, float64 and their complex pairs


def apply_array(x: np.ndarray, kernel: np.ndarray, w: Windows, method: str) -> np.ndarray:
    """The operation whose windows are w, in the type that NumPy gives the product of x and kernel (integers: int64)."""
    if x.dtype.kind in "biu" and kernel.dtype.kind in "biu":
        return exact(x, kernel, w, method)
    if x.dtype.kind not in "biufc" or kernel.dtype.kind not in "biufc":
        raise UserError(f"cannot convolve an image of type {x.dtype} with a kernel of type {kernel.dtype}")
    dtype = x.dtype if x.dtype is kernel.dtype else np.result_type(x, kernel)
    if dtype.char in FAST:
        return run(x, kernel, w, dtype, *choose(w, method)).reshape(w.y_shape)
    if dtype.char == "e":
        return run(x, kernel, w, np.dtype(np.float32), *choose(w, method)).reshape(w.y_shape).astype(dtype)
    return run(x, kernel, w, dtype, "taps", None).reshape(w.y_shape)


def run(x: np.ndarray, kernel: np.ndarray, w: Windows, dtype: np.dtype, name: str, setting) -> np.ndarray:
    """One method's answer, or the plain sum's where a value that is not finite has spread beyond its windows."""
    if name == "rows" and w.line:
        return line(x.astype(dtype, copy=False), kernel.astype(dtype, copy=False), w)
    x = x.astype(dtype, copy=False).reshape(w.x_shape)
    kernel = kernel.astype(dtype, copy=False).reshape(w.kernel_shape)[w.turned]
    if name in ("taps", "table"):
        return METHODS[name](x, kernel, w)
    if name == "rows":
        return rows(x, spread(kernel, w), w, setting)[w.kept]
    with np.errstate(all="ignore"):
        y = METHODS[name](x, spread(kernel, w), w, setting)
        finite = isfinite(abs(np.vdot(y, y) if y.flags.c_contiguous else y.sum()))  # vdot copies the others
    if not finite:
        return taps(x, kernel, w)
    return y[w.kept] if max(w.stride) == 1 else np.ascontiguousarray(y[w.kept])


def exact(x: np.ndarray, kernel: np.ndarray, w: Windows, method: str) -> np.ndarray:
    """int64: in float64 where every sum stays below 2^53, else tap by tap; refused where a sum may leave int64."""
    weights = np.abs(kernel.astype(np.float64)).reshape(*w.kernel_shape[:2], -1)
    bound = max(abs(int(x.max())), abs(int(x.min()))) * float(weights.sum(-1).max())
    if not fits(bound, x.shape):
        return run(x, kernel, w, np.dtype(np.int64), "taps", None).reshape(w.y_shape)
    name, setting = choose(w, method)
    if name == "fft" and fft_error(bound, w, setting) > 0.4:
        name, setting = choose(w, "direct")
    y = run(x, kernel, w, np.dtype(np.float64), name, setting)
    return (np.rint(y) if name == "fft" else y).astype(np.int64).reshape(w.y_shape)


def fits(bound: float, shape) -> bool:
    """Whether integers up to the bound are exact in float64; those that int64 does not hold are refused."""
    if bound >= 2.0**63 * 0.999:
        raise UserError(
            f"sums may reach {bound:.1e}, beyond 64-bit integers; convert the image {shape} to float64"
        )
    return bound < 2.0**53 * 0.999


def fft_error(bound: float, w: Windows, tiling) -> float:
    """Bounds the error of a tile's three transforms (Higham 2002, theorem 24.2, with 8 log2(T) u for each)."""
    points = prod(length for _, length in tiling)
    return 24 * log2(points + 1) * 2.0**-53 * bound * (points * w.kernel_shape[2]) ** 0.5
