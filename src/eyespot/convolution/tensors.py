"""The operation on torch tensors: torch's convolution up to three axes, or its Fourier transform, both with gradients."""

from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from eyespot.convolution.arrays import fits_float64
from eyespot.convolution.geometry import Geometry
from eyespot.convolution.method import channel_pairs, check_method, fft_cost, next_fast_len
from eyespot.convolution.padding import source_indices
from eyespot.convolution.taps import sum_over_taps

FFT_TYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)


def to_tensors(x, kernel) -> tuple[Tensor, Tensor]:
    """Both as tensors, on the device of x if it is a tensor, else on that of the kernel."""
    device = x.device if isinstance(x, Tensor) else kernel.device
    return torch.as_tensor(x, device=device), torch.as_tensor(kernel, device=device)


def apply_tensor(x: Tensor, kernel: Tensor, g: Geometry, method: str) -> Tensor:
    """The operation with geometry g, in the type that torch gives the product of x and kernel (integers: int64)."""
    check_method(method)
    dtype = torch.result_type(x, kernel)
    x = x.reshape(g.x_shape)
    kernel = kernel.reshape(g.kernel_shape)
    if g.flip:
        kernel = kernel.flip(tuple(range(3, 3 + g.dim)))
    if not (dtype.is_floating_point or dtype.is_complex):
        return exact(x, kernel, g).reshape(g.y_shape)
    x = pad(x.to(dtype), g)
    kernel = kernel.to(dtype)
    if dtype in FFT_TYPES and uses_fft(g, method):
        y = by_fft(x, kernel, g)
        if torch.isfinite(y.detach()).all():
            return y.reshape(g.y_shape)
    return direct(x, kernel, g).reshape(g.y_shape)


def uses_fft(g: Geometry, method: str) -> bool:
    """Whether the Fourier transform computes it; torch's direct sum is estimated at 10 multiply-adds per ns."""
    direct_cost = 10000 + channel_pairs(g) * prod(g.out) * prod(g.taps) / 10
    return method == "fft" or (method == "auto" and direct_cost > 60000 and fft_cost(g) < direct_cost)


def exact(x: Tensor, kernel: Tensor, g: Geometry) -> Tensor:
    """int64: through float64 where every sum stays below 2^53; refused where a sum may leave int64."""
    bound = x.double().abs().max().item() * kernel.double().abs().flatten(2).sum(2).max().item()
    if not fits_float64(bound, tuple(x.shape)):
        return sum_over_taps(pad(x.long(), g), kernel.long(), g)
    return direct(pad(x.double(), g), kernel.double(), g).round().long()


def pad(x: Tensor, g: Geometry) -> Tensor:
    """(N, G, C, *S) -> (N, G, C, *(before + S + after))"""
    ends = list(zip(g.before, g.after, strict=True))
    if g.boundary == "zero":
        return F.pad(x, [n for pair in reversed(ends) for n in pair])
    for axis, (before, after) in enumerate(ends, 3):
        if before or after:
            source = source_indices(x.shape[axis], before, after, g.boundary)
            x = x.index_select(axis, torch.as_tensor(source, device=x.device))
    return x


def direct(x: Tensor, kernel: Tensor, g: Geometry) -> Tensor:
    """x (N, G, C, *padded), kernel (G, O, C, *K) -> the result, with its axes flattened or not."""
    if g.dim > 3:
        return sum_over_taps(x, kernel, g)
    convolution = CONVOLUTIONS[g.dim - 1]
    groups = g.kernel_shape[0]
    return convolution(x.flatten(1, 2), kernel.flatten(0, 1), None, g.stride, 0, g.dilation, groups)


def by_fft(x: Tensor, kernel: Tensor, g: Geometry) -> Tensor:
    """x (N, G, C, *padded), kernel (G, O, C, *K) -> (N, G, O, *out), through one transform of the padded image."""
    axes = tuple(range(3, 3 + g.dim))
    lengths = [next_fast_len(n) for n in x.shape[3:]]
    dilated = kernel.new_zeros((*kernel.shape[:3], *[r + 1 for r in g.reach]))
    dilated[(..., *[slice(None, None, d) for d in g.dilation])] = kernel
    forward, inverse = (
        (torch.fft.fftn, torch.fft.ifftn) if x.is_complex() else (torch.fft.rfftn, torch.fft.irfftn)
    )
    x_spectrum = forward(x, lengths, axes)
    kernel_spectrum = forward(dilated.conj(), lengths, axes).conj()
    y = inverse(torch.einsum("ngc...,goc...->ngo...", x_spectrum, kernel_spectrum), lengths, axes)
    return y[(..., *[slice(0, n, s) for n, s in zip(g.dense, g.stride, strict=True)])]
