"""Transforms of an image's quality: gamma, blur, JPEG, and a box that is erased."""

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from eyespot.augment.numbers import check_probability, check_range, check_up_to
from eyespot.augment.transform import Shape, Transform, per_image, register, sometimes
from eyespot.kit import sent


@dataclass(frozen=True)
class Gamma(Transform):
    """Raise the values to a power between `low` and `high`, on a scale from the image's least value 0 to its largest 1."""

    low: float = 0.7
    high: float = 1.5
    p: float = 1.0
    of_file_values = True

    def __post_init__(self):
        check_range("gamma", (self.low, self.high), (0.1, 10), "power")
        check_probability("gamma", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) powers, uniform on a logarithmic scale"""
        low = math.log(self.low)
        high = math.log(self.high)
        powers = torch.exp(low + (high - low) * torch.rand(shape[0], generator=generator))
        return sometimes(powers, 1, self.p, generator)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        low, high = (per_image(values, x) for values in x.flatten(1).aminmax(dim=1))
        span = torch.where(high > low, high - low, 1)
        powers = per_image(sent(parameters, x.device).to(x.dtype), x)
        return torch.where(powers == 1, x, low + span * ((x - low) / span).pow(powers))

    def inverse(self, parameters: Tensor) -> Tensor:
        return 1 / parameters


@dataclass(frozen=True)
class Blur(Transform):
    """Blur by a Gaussian of a standard deviation up to `sigma` samples along each axis."""

    sigma: float = 1.0
    p: float = 1.0

    def __post_init__(self):
        check_up_to("blur", self.sigma, 50, "the largest standard deviation in samples")
        check_probability("blur", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) samples"""
        return sometimes(self.sigma * torch.rand(shape[0], generator=generator), 0, self.p, generator)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        sigmas = sent(parameters, x.device).to(x.dtype)
        blurred = x
        for axis in range(2, x.dim()):
            blurred = _blurred_along(blurred, axis, sigmas, math.ceil(4 * self.sigma))
        return torch.where(per_image(sigmas > 0, x), blurred, x)


def _blurred_along(x: Tensor, axis: int, sigmas: Tensor, radius: int) -> Tensor:
    n = x.shape[axis]
    radius = min(radius, n - 1)
    offsets = torch.arange(-radius, radius + 1, device=x.device)
    weights = torch.exp(-((offsets / sigmas[:, None].clamp_min(1e-3)) ** 2) / 2)  # (B, 2 radius + 1)
    weights = weights / weights.sum(1, keepdim=True)
    lines = x.movedim(axis, -1)
    padded = (
        functional.pad(lines.flatten(1, -2), (radius, radius), "reflect") if radius else lines.flatten(1, -2)
    )
    total = sum(padded.narrow(-1, k, n) * weights[:, k].view(-1, 1, 1) for k in range(2 * radius + 1))
    assert isinstance(total, Tensor)
    return total.view(lines.shape).movedim(-1, axis)


@dataclass(frozen=True)
class Jpeg(Transform):
    """Save an image as JPEG of a quality between `low` and `high` and read it again; for values of 8 bits."""

    low: int = 30
    high: int = 90
    p: float = 1.0
    least_axes = 2
    most_axes = 2
    of_file_values = True
    channels = (1, 3)
    depths = ("uint8",)

    def __post_init__(self):
        check_range("jpeg", (self.low, self.high), (1, 100), "quality")
        check_probability("jpeg", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) qualities; 0 where the image stays as it is"""
        qualities = torch.randint(int(self.low), int(self.high) + 1, (shape[0],), generator=generator)
        return sometimes(qualities, 0, self.p, generator)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, H, W) of values from 0 to 255 -> the same shape"""
        images = x.detach().round().clamp(0, 255).to(torch.uint8).movedim(1, -1).cpu().numpy()
        result = x.clone()
        for row, quality in enumerate(parameters.tolist()):
            if quality:
                saved = torch.from_numpy(_as_jpeg(images[row], int(quality)))
                result[row] = saved.movedim(-1, 0).to(x)
        return result


def _as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """(H, W, C) -> the same shape"""
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer)).reshape(image.shape)


@dataclass(frozen=True)
class Erase(Transform):
    """Fill a box with the mean of each channel; it has a share of the image between `low` and `high` (Zhong et al. 2020)."""

    low: float = 0.02
    high: float = 0.2
    p: float = 0.5

    def __post_init__(self):
        check_range("erase", (self.low, self.high), (0.001, 0.9), "share of the image")
        check_probability("erase", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, dim, 2) where the box begins along each axis, and its length"""
        share = self.low + (self.high - self.low) * torch.rand(shape[0], generator=generator)
        return sometimes(boxes(share, shape, generator), 0, self.p, generator)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        mean = x.flatten(2).mean(2).view(*x.shape[:2], *[1] * (x.dim() - 2))
        return torch.where(inside(parameters, x.shape[2:], x.device)[:, None], mean, x)


def boxes(share: Tensor, shape: Shape, generator: torch.Generator) -> Tensor:
    """(B, dim, 2) beginnings and lengths of boxes anywhere inside, which have these shares (B,) of images (B, C, *S)

    They are up to twice as long along one axis as along another, relative to the image.
    """
    size = torch.tensor(shape[2:])
    proportions = torch.exp2(torch.rand(shape[0], len(size), generator=generator) - 0.5)
    proportions = proportions / proportions.log().mean(1, keepdim=True).exp()
    lengths = (size * share[:, None] ** (1 / len(size)) * proportions).round().long().clamp_min(1)
    lengths = torch.minimum(lengths, size)
    starts = (torch.rand(shape[0], len(size), generator=generator) * (size - lengths + 1)).long()
    return torch.stack([starts, lengths], 2)


def inside(boxes: Tensor, size: Shape, device: torch.device) -> Tensor:
    """(B, *S) whether each sample is in the box of its image"""
    within = torch.ones((len(boxes), *size), dtype=torch.bool, device=device)
    for axis, n in enumerate(size):
        start, length = boxes[:, axis, :, None].to(device).unbind(1)  # (B, 1)
        places = torch.arange(n, device=device)
        along = (places >= start) & (places < start + length)
        within &= along.view(len(boxes), *[n if k == axis else 1 for k in range(len(size))])
    return within


for _name, _transform in {"gamma": Gamma, "blur": Blur, "jpeg": Jpeg, "erase": Erase}.items():
    register(_name, _transform)
