"""Transforms that move pixels: each is a matrix per image, so that any number of them resample an image once.

Where the samples of an image are further apart along one axis than along another, as the slices of a scan are,
rotations and shears are those of the body: their matrix is brought from millimetres to samples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from eyespot.augment.numbers import check_flag, check_probability, pairs_of
from eyespot.augment.transform import Shape, Transform, register, sometimes
from eyespot.augment.warp import Warp
from eyespot.errors import UserError


class Geometric(Transform):
    """A transform that says where each pixel comes from, by a matrix or a displacement.

    metric   whether its matrix is of lengths, and not of samples, so that it depends on their spacing
    """

    geometric = True
    metric = False

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


def composed(
    steps: Sequence[tuple[Geometric, Tensor]], dim: int, spacing: Sequence[float] | Tensor | None = None
) -> Warp:
    """Transforms with their parameters, the first applied first, as one warp.

    A displacement is that of the output's pixels wherever it is in the list; the transforms before it turn and scale it.
    spacing   (dim,) or (B, dim) from sample to sample along each axis, in any unit; None where it is equal
    """
    matrix = identity(len(steps[0][1]), dim)
    total: Tensor | None = None
    ratios = None if spacing is None else ratios_of(spacing, dim)
    for transform, parameters in steps:
        more = transform.displacements(parameters)
        if more is not None:
            if ratios is not None:
                more = more / coarseness(ratios).view(len(ratios), dim, *[1] * dim)
            turned = torch.einsum("bij,bj...->bi...", matrix[:, :-1, :-1], more)
            total = turned if total is None else total + turned
        here = transform.matrix(parameters, dim)
        if ratios is not None and transform.metric:
            here = here.clone()
            here[:, :-1, :-1] *= ratios
        matrix = matrix @ here
    return Warp(matrix, total)


def ratios_of(spacing: Sequence[float] | Tensor, dim: int) -> Tensor:
    """(1 or B, dim, dim) how many samples along axis i are as long as one along axis j; raises UserError for 0."""
    lengths = torch.as_tensor(spacing, dtype=torch.float32).view(-1, dim)
    if not bool((lengths > 0).all()):
        raise UserError(f"the spacing {spacing} has a length that is not above 0")
    return lengths[:, None, :] / lengths[:, :, None]


def coarseness(ratios: Tensor) -> Tensor:
    """(1 or B, dim) how many times further apart samples are along each axis than along the finest"""
    return 1 / ratios.amin(2)


@dataclass(frozen=True)
class Flip(Geometric):
    """Mirror the last axis, of a share `p` of the images.

    swaps   pairs of classes that a mirrored image exchanges, such as "left,right"
    """

    p: float = 0.5
    swaps: str = ""

    def __post_init__(self):
        check_probability("flip", self.p)
        pairs_of("flip", self.swaps)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) which images are mirrored"""
        return torch.rand(shape[0], generator=generator) < self.p

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        matrix = identity(len(parameters), dim)
        matrix[:, -2, -2] = signs(parameters)
        return matrix

    def inverse(self, parameters: Tensor) -> Tensor:
        return parameters

    def exchanges(self, parameters: Tensor) -> tuple[Tensor, tuple[tuple[str, str], ...]]:
        return parameters, pairs_of("flip", self.swaps)


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
    p: float = 1.0

    def __post_init__(self):
        if not isinstance(self.share, int | float) or not 0 < self.share < 0.5:
            raise UserError(f"shift({self.share!r}): give a share of the size between 0 and 0.5")
        check_probability("shift", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, dim) whole pixels"""
        most = torch.tensor([max(1, round(self.share * n)) for n in shape[2:]])
        uniform = torch.rand(shape[0], len(most), generator=generator)
        return sometimes(torch.floor(uniform * (2 * most + 1)).long() - most, 0, self.p, generator)

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
    metric = True

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
    p: float = 1.0
    least_axes = 2
    metric = True

    def __post_init__(self):
        if not isinstance(self.degrees, int | float) or not 0 < self.degrees <= 180:
            raise UserError(f"rotate({self.degrees!r}): give the most degrees, above 0 and up to 180")
        check_probability("rotate", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) radians"""
        angles = torch.deg2rad((2 * torch.rand(shape[0], generator=generator) - 1) * self.degrees)
        return sometimes(angles, 0, self.p, generator)

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        return rotation(parameters.cos(), parameters.sin(), dim)

    def inverse(self, parameters: Tensor) -> Tensor:
        return -parameters


@dataclass(frozen=True)
class Scale(Geometric):
    """Enlarge by a factor between `low` and `high`; below 1 is smaller.

    anisotropic   a factor for each axis, and not the same along all
    """

    low: float = 0.9
    high: float = 1.1
    anisotropic: bool = False
    p: float = 1.0

    def __post_init__(self):
        numbers = all(isinstance(v, int | float) for v in (self.low, self.high))
        if not numbers or not 0.1 <= self.low <= self.high <= 10:
            raise UserError(
                f"scale({self.low!r}, {self.high!r}): give a low and a high factor from 0.1 to 10"
            )
        check_flag("scale", "anisotropic", self.anisotropic)
        check_probability("scale", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) factors, or (B, dim), uniform on a logarithmic scale"""
        low = math.log(self.low)
        high = math.log(self.high)
        size = (shape[0], len(shape) - 2) if self.anisotropic else (shape[0],)
        factors = torch.exp(low + (high - low) * torch.rand(size, generator=generator))
        return sometimes(factors, 1, self.p, generator)

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        matrix = identity(len(parameters), dim)
        matrix[:, :-1, :-1] /= parameters.float().view(len(parameters), -1, 1)
        return matrix

    def inverse(self, parameters: Tensor) -> Tensor:
        return 1 / parameters


@dataclass(frozen=True)
class Elastic(Geometric):
    """Move 3 points along each axis by about `sigma` pixels, and what is between smoothly (Ronneberger et al. 2015).

    Where an axis is shorter than 12 sigma, by a twelfth of it: more would fold the image.
    """

    sigma: float = 10.0
    p: float = 1.0

    def __post_init__(self):
        if not isinstance(self.sigma, int | float) or not self.sigma > 0:
            raise UserError(f"elastic({self.sigma!r}): give a standard deviation in pixels, above 0")
        check_probability("elastic", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, dim, 3, ..., 3) pixels"""
        size = shape[2:]
        sigmas = torch.tensor([min(self.sigma, n / 12) for n in size])
        normal = torch.randn(shape[0], len(size), *[3] * len(size), generator=generator)
        return sometimes(normal * sigmas.view(-1, *[1] * len(size)), 0, self.p, generator)

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
