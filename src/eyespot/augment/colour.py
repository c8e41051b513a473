"""Transforms of values: linear ones, which compose to a scale and an offset per image and channel, and noise.

With one that mixes the channels, such as saturation, they compose to a matrix of the channels and an offset.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from eyespot.augment.numbers import check_probability
from eyespot.augment.transform import Shape, Transform, per_image, register, sometimes
from eyespot.errors import UserError
from eyespot.kit import sent


class Linear(Transform):
    """A transform that multiplies the values of each image and adds to them, or mixes its channels."""

    def channel_matrix(self, parameters: Tensor) -> Tensor | None:
        """(B, C, C) from the channels to those of the result, for a transform that mixes them; else `linear` holds."""
        return None

    def linear(self, parameters: Tensor, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and offset, (B, 1) or (B, C), for images of this mean and standard deviation (B, 1)."""
        raise NotImplementedError

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        return apply_linear(x, [(self, parameters)])


def apply_linear(x: Tensor, steps: Sequence[tuple[Linear, Tensor]]) -> Tensor:
    """Transforms with their parameters, the first applied first, as one scale and one offset per channel.

    What a transform would measure after those before it follows from the image's own mean and variance.
    """
    matrices = [transform.channel_matrix(sent(parameters, x.device)) for transform, parameters in steps]
    if any(matrix is not None for matrix in matrices):
        return _apply_matrices(x, steps, matrices)
    variance, mean = torch.var_mean(x.flatten(2), 2, correction=0)  # (B, C)
    scale = torch.ones_like(mean)
    offset = torch.zeros_like(mean)
    for transform, parameters in steps:
        image_mean = mean.mean(1, keepdim=True)
        image_variance = (variance + (mean - image_mean).square()).mean(1, keepdim=True)
        times, plus = transform.linear(
            sent(parameters, x.device).to(x.dtype), image_mean, image_variance.sqrt()
        )
        scale = scale * times
        offset = offset * times + plus
        mean = mean * times + plus
        variance = variance * times.square()
    channels = (*mean.shape, *[1] * (x.dim() - 2))
    return torch.addcmul(offset.view(channels), x, scale.view(channels))


def _apply_matrices(
    x: Tensor, steps: Sequence[tuple[Linear, Tensor]], matrices: Sequence[Tensor | None]
) -> Tensor:
    """The same, where some mix the channels: as one matrix and one offset of the channels."""
    pixels = x.flatten(2)
    mean = pixels.mean(2)  # (B, C)
    centred = pixels - mean[:, :, None]
    covariance = centred @ centred.mT / pixels.shape[2]
    total = torch.eye(x.shape[1], dtype=x.dtype, device=x.device).repeat(len(x), 1, 1)
    offset = torch.zeros_like(mean)
    for (transform, parameters), mixing in zip(steps, matrices, strict=True):
        if mixing is None:
            image_mean = mean.mean(1, keepdim=True)
            variance = covariance.diagonal(dim1=1, dim2=2)
            deviation = (variance + (mean - image_mean).square()).mean(1, keepdim=True).sqrt()
            times, plus = transform.linear(sent(parameters, x.device).to(x.dtype), image_mean, deviation)
            matrix = torch.diag_embed(times.expand_as(mean))
        else:
            matrix = mixing.to(x.dtype)
            plus = torch.zeros_like(mean)
        total = matrix @ total
        offset = (matrix @ offset[:, :, None])[:, :, 0] + plus
        mean = (matrix @ mean[:, :, None])[:, :, 0] + plus
        covariance = matrix @ covariance @ matrix.mT
    return torch.baddbmm(offset[:, :, None], total, pixels).view(x.shape)


def checked_share(name: str, share: object) -> None:
    if not isinstance(share, int | float) or not 0 < share <= 1:
        raise UserError(
            f"{name}({share!r}): give a share of the image's standard deviation above 0 and up to 1"
        )


def uniform(share: float, batch: int, generator: torch.Generator) -> Tensor:
    """(B,) from -share to share"""
    return (2 * torch.rand(batch, generator=generator) - 1) * share


@dataclass(frozen=True)
class Brightness(Linear):
    """Add up to `share` of the image's standard deviation, either way."""

    share: float = 0.2
    p: float = 1.0

    def __post_init__(self):
        checked_share("brightness", self.share)
        check_probability("brightness", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) standard deviations"""
        return sometimes(uniform(self.share, shape[0], generator), 0, self.p, generator)

    def linear(self, parameters: Tensor, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(mean), parameters[:, None] * deviation

    def inverse(self, parameters: Tensor) -> Tensor:
        return -parameters


@dataclass(frozen=True)
class Contrast(Linear):
    """Multiply the distance from the image's mean by a factor between 1 - share and 1 + share."""

    share: float = 0.2
    p: float = 1.0

    def __post_init__(self):
        checked_share("contrast", self.share)
        check_probability("contrast", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) what is added to a factor of 1"""
        return sometimes(uniform(self.share, shape[0], generator), 0, self.p, generator)

    def linear(self, parameters: Tensor, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        return 1 + parameters[:, None], -parameters[:, None] * mean

    def inverse(self, parameters: Tensor) -> Tensor:
        return -parameters / (1 + parameters)


@dataclass(frozen=True)
class Noise(Transform):
    """Add normal noise of `share` of the image's standard deviation to every value."""

    share: float = 0.05
    p: float = 1.0

    def __post_init__(self):
        checked_share("noise", self.share)
        check_probability("noise", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, C, *S) standard deviations"""
        return sometimes(self.share * torch.randn(shape, generator=generator), 0, self.p, generator)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        deviation = per_image(x.flatten(1).std(1, correction=0), x)
        return x + sent(parameters, x.device).to(x.dtype) * deviation


for _name, _transform in {"brightness": Brightness, "contrast": Contrast, "noise": Noise}.items():
    register(_name, _transform)
