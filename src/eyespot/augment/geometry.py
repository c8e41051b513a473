"""Transforms that move pixels: each is a matrix per image, so that any number of them resample an image once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from eyespot.augment.transform import Shape, Transform, register
from eyespot.augment.warp import Warp
from eyespot.errors import UserError


class Geometric(Transform):
    """A transform that says where each pixel comes from, by a matrix or a displacement."""

    geometric = True

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        """(B, dim + 1, dim + 1): times a pixel's position, the position that its value comes from.

        Positions are offsets from the middle of the image, in pixels along its axes, and a 1.
        """
        return identity(len(parameters), dim)

    def displacements(self, parameters: Tensor) -> Tensor | None:
        """(B, dim, 3, ..., 3) pixels from each output pixel to where it comes from, besides the matrix."""
        return None

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        return composed([(self, parameters)], x.dim() - 2).apply(x)[0]

    def apply_labels(self, labels: Tensor, parameters: Tensor) -> Tensor:
        """(B, *S) -> the same shape, each pixel with the nearest label"""
        moved = composed([(self, parameters)], labels.dim() - 1).apply(labels[:, None].float(), labels)[1]
        assert moved is not None
        return moved


def identity(batch: int, dim: int) -> Tensor:
    """(B, dim + 1, dim + 1)"""
    return torch.eye(dim + 1).repeat(batch, 1, 1)


def composed(steps: Sequence[tuple[Geometric, Tensor]], dim: int) -> Warp:
    """Transforms with their parameters, the first applied first, as one warp.

    A displacement is that of the output's pixels wherever it is in the list; the transforms before it turn and scale it.
    """
    matrix = identity(len(steps[0][1]), dim)
    total: Tensor | None = None
    for transform, parameters in steps:
        more = transform.displacements(parameters)
        if more is not None:
            turned = torch.einsum("bij,bj...->bi...", matrix[:, :-1, :-1], more)
            total = turned if total is None else total + turned
        matrix = matrix @ transform.matrix(parameters, dim)
    return Warp(matrix, total)


@dataclass(frozen=True)
class Flip(Geometric):
    """Mirror the last axis, with a probability of 0.5."""

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) which images are mirrored"""
        return torch.rand(shape[0], generator=generator) < 0.5

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        matrix = identity(len(parameters), dim)
        matrix[:, -2, -2] = signs(parameters)
        return matrix

    def inverse(self, parameters: Tensor) -> Tensor:
        return parameters


@dataclass(frozen=True)
class FlipAxes(Geometric):
    """Mirror each axis, with a probability of 0.5."""

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, dim) which axes of which images are mirrored"""
        return torch.rand(shape[0], len(shape) - 2, generator=generator) < 0.5

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        matrix = identity(len(parameters), dim)
        matrix.diagonal(dim1=1, dim2=2)[:, :-1] = signs(parameters)
        return matrix

    def inverse(self, parameters: Tensor) -> Tensor:
        return parameters


def signs(mirrored: Tensor) -> Tensor:
    return 1 - 2 * mirrored.float()


@dataclass(frozen=True)
class Shift(Geometric):
    """Move along each axis by up to `share` of its size, by whole pixels; the edge is reflected into the gap."""

    share: float = 0.06

    def __post_init__(self):
        if not isinstance(self.share, int | float) or not 0 < self.share < 0.5:
            raise UserError(f"shift({self.share!r}): give a share of the size between 0 and 0.5")

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, dim) whole pixels"""
        most = torch.tensor([max(1, round(self.share * n)) for n in shape[2:]])
        return (
            torch.floor(torch.rand(shape[0], len(most), generator=generator) * (2 * most + 1)).long() - most
        )

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        matrix = identity(len(parameters), dim)
        matrix[:, :-1, -1] = parameters.float()
        return matrix

    def inverse(self, parameters: Tensor) -> Tensor:
        return -parameters


@dataclass(frozen=True)
class Rotate90(Geometric):
    """Turn by a multiple of 90 degrees in the plane of the last two axes; of 180 where they differ in length."""

    least_axes = 2

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) quarter turns"""
        quarters = torch.randint(4, (shape[0],), generator=generator)
        return quarters if shape[-1] == shape[-2] else 2 * (quarters // 2)

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        angles = parameters * (math.pi / 2)
        return rotation(angles.cos().round(), angles.sin().round(), dim)

    def inverse(self, parameters: Tensor) -> Tensor:
        return -parameters


def rotation(cos: Tensor, sin: Tensor, dim: int) -> Tensor:
    """(B, dim + 1, dim + 1) in the plane of the last two axes, as torch.rot90 turns"""
    matrix = identity(len(cos), dim)
    matrix[:, -3:-1, -3:-1] = torch.stack([cos, sin, -sin, cos], 1).view(-1, 2, 2).float()
    return matrix


@dataclass(frozen=True)
class Rotate(Geometric):
    """Rotate in the plane of the last two axes, by up to `degrees` either way."""

    degrees: float = 15.0
    least_axes = 2

    def __post_init__(self):
        if not isinstance(self.degrees, int | float) or not 0 < self.degrees <= 180:
            raise UserError(f"rotate({self.degrees!r}): give the most degrees, above 0 and up to 180")

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) radians"""
        return torch.deg2rad((2 * torch.rand(shape[0], generator=generator) - 1) * self.degrees)

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        return rotation(parameters.cos(), parameters.sin(), dim)

    def inverse(self, parameters: Tensor) -> Tensor:
        return -parameters


@dataclass(frozen=True)
class Scale(Geometric):
    """Enlarge by a factor between `low` and `high`, the same along every axis; below 1 is smaller."""

    low: float = 0.9
    high: float = 1.1

    def __post_init__(self):
        numbers = all(isinstance(v, int | float) for v in (self.low, self.high))
        if not numbers or not 0.1 <= self.low <= self.high <= 10:
            raise UserError(
                f"scale({self.low!r}, {self.high!r}): give a low and a high factor from 0.1 to 10"
            )

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) factors, uniform on a logarithmic scale"""
        low = math.log(self.low)
        high = math.log(self.high)
        return torch.exp(low + (high - low) * torch.rand(shape[0], generator=generator))

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        matrix = identity(len(parameters), dim)
        matrix[:, :-1, :-1] /= parameters.float().view(-1, 1, 1)
        return matrix

    def inverse(self, parameters: Tensor) -> Tensor:
        return 1 / parameters


@dataclass(frozen=True)
class Elastic(Geometric):
    """Move 3 points along each axis by about `sigma` pixels, and what is between smoothly (Ronneberger et al. 2015).

    Where an axis is shorter than 12 sigma, by a twelfth of it: more would fold the image.
    """

    sigma: float = 10.0

    def __post_init__(self):
        if not isinstance(self.sigma, int | float) or not self.sigma > 0:
            raise UserError(f"elastic({self.sigma!r}): give a standard deviation in pixels, above 0")

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, dim, 3, ..., 3) pixels"""
        size = shape[2:]
        sigmas = torch.tensor([min(self.sigma, n / 12) for n in size])
        normal = torch.randn(shape[0], len(size), *[3] * len(size), generator=generator)
        return normal * sigmas.view(-1, *[1] * len(size))

    def displacements(self, parameters: Tensor) -> Tensor:
        return parameters


for _name, _transform in {
    "flip": Flip,
    "flip_axes": FlipAxes,
    "rotate90": Rotate90,
    "shift": Shift,
    "rotate": Rotate,
    "scale": Scale,
    "elastic": Elastic,
}.items():
    register(_name, _transform)
