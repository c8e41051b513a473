"""The operation on torch tensors: torch's own convolution up to three axes, or its Fourier transform, both with gradients."""

from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from eyespot.convolution.arrays import fits
from eyespot.convolution.cost import fft_cost, pairs, prefer
from eyespot.convolution.direct import sum_of_taps
from eyespot.convolution.edges import sources
from eyespot.convolution.fourier import fast_length
from eyespot.convolution.windows import Windows

TRANSFORMED = (torch.float32, torch.float64, torch.complex64, torch.complex128)
CONV = (F.conv1d, F.conv2d, F.conv3d)


def to_tensors(x, kernel) -> tuple[Tensor, Tensor]:
    """Both as tensors, on the device of the one that is a tensor (of x, if both are)."""
    device = x.device if isinstance(x, Tensor) else kernel.device
    return torch.as_tensor(x, device=device), torch.as_tensor(kernel, device=device)


def apply_tensor(x: Tensor, kernel: Tensor, w: Windows, method: str) -> Tensor:
    """The operation whose windows are w, in the type that torch gives the product of x and kernel (integers: int64)."""
    dtype = torch.result_type(x, kernel)
    x, kernel = x.reshape(w.x_shape), kernel.reshape(w.kernel_shape)
    if w.flip:
        kernel = kernel.flip(tuple(range(3, 3 + w.dim)))
    if not (dtype.is_floating_point or dtype.is_complex):
        return exact(x, kernel, w).reshape(w.y_shape)
    x, kernel = x.to(dtype), kernel.to(dtype)
    if dtype in TRANSFORMED and by_fft(w, method):
        y = fft(extend(x, w), kernel, w)
        if torch.isfinite(y.detach()).all():
            return y.reshape(w.y_shape)
    return direct(extend(x, w), kernel, w).reshape(w.y_shape)


def by_fft(w: Windows, method: str) -> bool:
    """Whether one transform of the whole image is expected to be faster than torch's loops at 20 operations per ns."""
    sums = pairs(w) * prod(w.out) * prod(w.taps)
    return prefer(method, 10000 + sums / 10, lambda: fft_cost(w, tuple((1, n) for n in lengths(w))))


def exact(x: Tensor, kernel: Tensor, w: Windows) -> Tensor:
    """int64, in float64 where every sum stays below 2^53; refused where a sum may leave int64."""
    bound = x.double().abs().max().item() * kernel.double().abs().flatten(2).sum(2).max().item()
    if not fits(bound, tuple(x.shape)):
        return sum_of_taps(extend(x.long(), w), kernel.long(), w)
    return direct(extend(x.double(), w), kernel.double(), w).round().long()


def extend(x: Tensor, w: Windows) -> Tensor:
    """(N, G, C, *S) -> (N, G, C, *(before + S + after)), as edges.extend."""
    ends = list(zip(w.before, w.after, strict=True))
    if w.boundary == "zero":
        return F.pad(x, [n for pair in reversed(ends) for n in pair])
    for axis, (before, after) in enumerate(ends, 3):
        if before or after:
            seen = torch.as_tensor(sources(x.shape[axis], before, after, w.boundary), device=x.device)
            x = x.index_select(axis, seen)
    return x


def direct(x: Tensor, kernel: Tensor, w: Windows) -> Tensor:
    """x (N, G, C, *padded), kernel (G, O, C, *K) -> (N, G O, *out)"""
    if w.dim > 3:
        return sum_of_taps(x, kernel, w)
    return CONV[w.dim - 1](
        x.flatten(1, 2), kernel.flatten(0, 1), None, w.stride, 0, w.dilation, w.kernel_shape[0]
    )


def lengths(w: Windows) -> list[int]:
    return [fast_length(m + r) for m, r in zip(w.dense, w.reach, strict=True)]


def fft(x: Tensor, kernel: Tensor, w: Windows) -> Tensor:
    """x (N, G, C, *padded), kernel (G, O, C, *K) -> (N, G, O, *out), through one transform of the whole."""
    axes, shape = tuple(range(3, 3 + w.dim)), lengths(w)
    wide = kernel.new_zeros((*kernel.shape[:3], *[r + 1 for r in w.reach]))
    wide[(..., *[slice(None, None, d) for d in w.dilation])] = kernel
    if x.is_complex():
        forward, inverse = torch.fft.fftn, torch.fft.ifftn
    else:
        forward, inverse = torch.fft.rfftn, torch.fft.irfftn
    x_hat, k_hat = forward(x, shape, axes), forward(wide.conj(), shape, axes).conj()
    y = inverse(torch.einsum("ngc...,goc...->ngo...", x_hat, k_hat), shape, axes)
    return y[(..., *[slice(0, m, s) for m, s in zip(w.dense, w.stride, strict=True)])]
