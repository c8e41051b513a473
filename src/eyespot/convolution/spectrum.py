"""Singular values of a circular convolution, one small matrix per frequency (Sedghi, Gupta & Long 2019)."""

from math import prod
from typing import Any

import numpy as np
import scipy.fft

from eyespot.convolution.matrix import to_numpy
from eyespot.convolution.pieces import threads
from eyespot.convolution.windows import per_axis
from eyespot.errors import UserError


def singular_values(kernel, shape, *, stride=1, dilation=1, groups=1) -> np.ndarray:
    """All singular values, the largest first, of the layer on a circular image with spatial axes `shape`.

    kernel  (out, in / groups, *K), or (*K) for one channel. A kernel longer than the circle wraps around it.
    stride  must divide the shape
    """
    matrices, twins = transfer(kernel, shape, stride, dilation, groups)
    flat = matrices.reshape(-1, *matrices.shape[-2:])
    values = np.concatenate(in_threads(lambda part: np.linalg.svd(part, compute_uv=False), flat))
    values = values.reshape(*matrices.shape[:-2], -1)
    again = np.repeat(values, twins, axis=-2).ravel()
    return np.sort(again)[::-1]


def spectral_norm(kernel, shape, *, stride=1, dilation=1, groups=1) -> float:
    """The largest singular value: the most by which the layer can stretch a circular image."""
    matrices, _ = transfer(kernel, shape, stride, dilation, groups)
    if matrices.shape[-2] > matrices.shape[-1]:
        matrices = matrices.swapaxes(-1, -2)
    flat = matrices.reshape(-1, *matrices.shape[-2:])
    gram = in_threads(lambda part: np.linalg.eigvalsh(part @ part.conj().swapaxes(-1, -2))[:, -1], flat)
    return float(np.sqrt(max(part.max() for part in gram)))


def transfer(kernel, shape, stride, dilation, groups) -> tuple[np.ndarray, np.ndarray]:
    """(groups, ..., frequencies, out, in * stride^d) matrices, and how often each of the last frequencies counts.

    With a stride s the frequencies f + m n / s fall together, which puts their matrices side by side over sqrt(s^d).
    """
    kernel, shape = to_numpy(kernel), tuple(shape)
    dim = len(shape)
    if kernel.ndim not in (dim, dim + 2) or not kernel.size or min(shape, default=0) < 1:
        raise UserError(
            f"a kernel {kernel.shape} does not fit spatial axes {shape}: it is (*K) or (out, in, *K)"
        )
    stride, dilation = per_axis(stride, dim, "stride"), per_axis(dilation, dim, "dilation")
    if any(n % s for n, s in zip(shape, stride, strict=True)):
        raise UserError(f"stride {stride} does not divide the circle {shape}")
    if kernel.ndim == dim:
        kernel = kernel[None, None]
    if groups < 1 or kernel.shape[0] % groups:
        raise UserError(
            f"groups={groups} does not divide the {kernel.shape[0]} outputs of kernel {kernel.shape}"
        )
    kernel = kernel.reshape(groups, -1, *kernel.shape[1:])
    circle = np.zeros((*kernel.shape[:3], *shape), np.result_type(kernel.dtype, np.float64))
    steps = zip(kernel.shape[3:], dilation, shape, strict=True)
    places: Any = (..., *np.ix_(*[np.arange(k) * d % n for k, d, n in steps]))
    np.add.at(circle, places, kernel)
    axes = tuple(range(3, 3 + dim))
    if max(stride) == 1 and circle.dtype.kind != "c":
        half = np.asarray(scipy.fft.rfftn(circle, axes=axes))
        twins = np.full(half.shape[-1], 2)
        twins[0] = 1
        if shape[-1] % 2 == 0:
            twins[-1] = 1
        return np.moveaxis(half, (1, 2), (-2, -1)), twins
    whole = np.asarray(scipy.fft.fftn(circle, axes=axes))
    split = [n for pair in zip(stride, shape, strict=True) for n in (pair[0], pair[1] // pair[0])]
    whole = whole.reshape(*whole.shape[:3], *split)
    order = (0, *range(4, 4 + 2 * dim, 2), 1, 2, *range(3, 3 + 2 * dim, 2))
    whole = whole.transpose(order) / np.sqrt(prod(stride))
    whole = whole.reshape(*whole.shape[: dim + 2], -1)
    return whole, np.ones(whole.shape[-3], int)


def in_threads(work, matrices: np.ndarray) -> list[np.ndarray]:
    """The work on shares of the matrices, each in a thread where they are worth one."""
    from concurrent.futures import ThreadPoolExecutor

    if threads() == 1 or matrices.size < 1 << 16:
        return [work(matrices)]
    with ThreadPoolExecutor(threads()) as pool:
        return list(pool.map(work, np.array_split(matrices, 4 * threads())))
