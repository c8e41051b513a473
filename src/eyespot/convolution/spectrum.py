"""Singular values of a circular convolution, one small matrix per frequency (Sedghi, Gupta & Long 2019)."""

from math import prod
from typing import Any

import numpy as np
import scipy.fft

from eyespot.convolution.geometry import per_axis, to_hashable
from eyespot.convolution.matrix import to_numpy
from eyespot.errors import UserError


def singular_values(kernel, shape, *, stride=1, dilation=1, groups=1) -> np.ndarray:
    """All singular values, in descending order, of the layer on a circular image with spatial axes `shape`.

    kernel  (out, in / groups, *K), or (*K) for one channel. A kernel longer than the circle wraps around it.
    stride  must divide the shape
    """
    matrices, multiplicity = transfer_matrices(kernel, shape, stride, dilation, groups)
    values = np.linalg.svd(matrices, compute_uv=False)
    repeated = np.repeat(values, multiplicity, axis=-2).ravel()
    return np.sort(repeated)[::-1]


def spectral_norm(kernel, shape, *, stride=1, dilation=1, groups=1) -> float:
    """The largest singular value: the most by which the layer can stretch a circular image."""
    matrices, _ = transfer_matrices(kernel, shape, stride, dilation, groups)
    if matrices.shape[-2] > matrices.shape[-1]:
        matrices = matrices.swapaxes(-1, -2)
    gram = matrices @ matrices.conj().swapaxes(-1, -2)
    return float(np.sqrt(np.linalg.eigvalsh(gram)[..., -1].max()))


def transfer_matrices(kernel, shape, stride, dilation, groups) -> tuple[np.ndarray, np.ndarray]:
    """(groups, ..., frequencies, out, in * stride^d) matrices, and the multiplicity of each of the last frequencies.

    With a stride s the frequencies f + m n / s fall together, which puts their matrices side by side over sqrt(s^d).
    """
    shape = tuple(shape)
    dim = len(shape)
    stride = per_axis(to_hashable(stride), dim, "stride")
    circle = kernel_on_circle(to_numpy(kernel), shape, stride, dilation, groups)
    axes = tuple(range(3, 3 + dim))
    if max(stride) == 1 and circle.dtype.kind != "c":
        half = np.asarray(scipy.fft.rfftn(circle, axes=axes))
        multiplicity = np.full(half.shape[-1], 2)  # a real kernel: the spectrum's other half is the conjugate
        multiplicity[0] = 1
        if shape[-1] % 2 == 0:
            multiplicity[-1] = 1
        return np.moveaxis(half, (1, 2), (-2, -1)), multiplicity
    spectrum = np.asarray(scipy.fft.fftn(circle, axes=axes))
    split = [n for size, s in zip(shape, stride, strict=True) for n in (s, size // s)]
    spectrum = spectrum.reshape(*spectrum.shape[:3], *split)
    order = (0, *range(4, 4 + 2 * dim, 2), 1, 2, *range(3, 3 + 2 * dim, 2))
    matrices = spectrum.transpose(order) / np.sqrt(prod(stride))
    matrices = matrices.reshape(*matrices.shape[: dim + 2], -1)
    return matrices, np.ones(matrices.shape[-3], int)


def kernel_on_circle(kernel: np.ndarray, shape, stride, dilation, groups) -> np.ndarray:
    """(groups, out / groups, in / groups, *shape) The checked kernel, laid around the circle and added where it overlaps."""
    dim = len(shape)
    if kernel.ndim not in (dim, dim + 2) or not kernel.size or min(shape, default=0) < 1:
        raise UserError(
            f"a kernel {kernel.shape} does not fit spatial axes {shape}: it is (*K) or (out, in, *K)"
        )
    dilation = per_axis(to_hashable(dilation), dim, "dilation")
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
    axes = zip(kernel.shape[3:], dilation, shape, strict=True)
    places: Any = (..., *np.ix_(*[np.arange(k) * d % n for k, d, n in axes]))
    np.add.at(circle, places, kernel)
    return circle
