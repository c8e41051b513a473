"""Changes of where pixels are, as one sampling grid: rotation, scale and elastic deformation, in one to three dimensions.

A warp says where each pixel of its output comes from: it maps offsets from the middle (B, *S, dim), in pixels along
the axes of the array, to offsets in its input. So several warps are one grid, and an image is interpolated only once.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from eyespot.errors import UserError
from eyespot.kit import sent


@dataclass(frozen=True)
class Rotate:
    """Rotate in the plane of the last two axes, by up to `degrees` either way."""

    degrees: float = 15.0
    least_axes = 2

    def __post_init__(self):
        if not isinstance(self.degrees, int | float) or not 0 < self.degrees <= 180:
            raise UserError(f"rotate({self.degrees!r}): give the most degrees, above 0 and up to 180")

    def sample(self, generator: torch.Generator, x: Tensor) -> Tensor:
        """(B,) radians"""
        return torch.deg2rad((2 * torch.rand(len(x), generator=generator) - 1) * self.degrees)

    def pull(self, offsets: Tensor, angles: Tensor) -> Tensor:
        """(B, *S, dim) -> the same shape"""
        angles = _per_image(angles, offsets.dim() - 1)
        *rest, y, x = offsets.unbind(-1)
        cos, sin = angles.cos(), angles.sin()
        return torch.stack([*rest, cos * y + sin * x, cos * x - sin * y], -1)


@dataclass(frozen=True)
class Scale:
    """Enlarge by a factor between `low` and `high`, the same along every axis; below 1 is smaller."""

    low: float = 0.9
    high: float = 1.1
    least_axes = 1

    def __post_init__(self):
        numbers = all(isinstance(v, int | float) for v in (self.low, self.high))
        if not numbers or not 0.1 <= self.low <= self.high <= 10:
            raise UserError(
                f"scale({self.low!r}, {self.high!r}): give a low and a high factor from 0.1 to 10"
            )

    def sample(self, generator: torch.Generator, x: Tensor) -> Tensor:
        """(B,) factors, as often below as above the middle of the two on a logarithmic scale"""
        low, high = math.log(self.low), math.log(self.high)
        return torch.exp(low + (high - low) * torch.rand(len(x), generator=generator))

    def pull(self, offsets: Tensor, factors: Tensor) -> Tensor:
        """(B, *S, dim) -> the same shape"""
        return offsets / _per_image(factors, offsets.dim())


@dataclass(frozen=True)
class Elastic:
    """Move 3 points along each axis by about `sigma` pixels, and what is between smoothly (Ronneberger et al. 2015).

    Where an axis is shorter than 12 sigma, by a twelfth of it: more would fold the image.
    """

    sigma: float = 10.0
    least_axes = 1

    def __post_init__(self):
        if not isinstance(self.sigma, int | float) or not self.sigma > 0:
            raise UserError(f"elastic({self.sigma!r}): give a standard deviation in pixels, above 0")

    def sample(self, generator: torch.Generator, x: Tensor) -> Tensor:
        """(B, dim, 3, ..., 3) pixels"""
        shape = x.shape[2:]
        sigmas = torch.tensor([min(self.sigma, n / 12) for n in shape])
        moves = torch.randn(len(x), len(shape), *[3] * len(shape), generator=generator)
        return moves * sigmas.view(-1, *[1] * len(shape))

    def pull(self, offsets: Tensor, moves: Tensor) -> Tensor:
        """(B, *S, dim) -> the same shape"""
        for axis, n in enumerate(offsets.shape[1:-1], start=2):
            moves = (moves.movedim(axis, -1) @ _cubic(n, moves).T).movedim(-1, axis)
        return offsets + moves.movedim(1, -1)


Warp = Rotate | Scale | Elastic


def grid(x: Tensor, warps: list[Warp], generator: torch.Generator) -> Tensor:
    """Where each pixel of (B, C, *S) comes from after the warps, one after the other: (B, *S, dim) offsets.

    The moves of an elastic one are those of the output's pixels, wherever in the list it is.
    """
    axes = [torch.arange(n, device=x.device) - (n - 1) / 2 for n in x.shape[2:]]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).expand(len(x), *x.shape[2:], len(axes))
    sampled = [(warp, sent(warp.sample(generator, x), x.device)) for warp in warps]
    for warp, parameters in reversed(sampled):  # the last one made the output
        offsets = warp.pull(offsets, parameters)
    return offsets


def resample(x: Tensor, offsets: Tensor) -> Tensor:
    """(B, C, *S) with linear interpolation; what lies outside is the mirrored image"""
    return _look_up(x, offsets, "bilinear")


def resample_labels(labels: Tensor, offsets: Tensor) -> Tensor:
    """(B, *S): of each pixel the nearest label, never one in between; mirrored as the image is"""
    return _look_up(labels[:, None].to(offsets.dtype), offsets, "nearest")[:, 0].to(labels.dtype)


def _look_up(x: Tensor, offsets: Tensor, mode: str) -> Tensor:
    sizes = sent(torch.tensor(x.shape[2:]), x.device)
    places = (2 * offsets / sizes).flip(-1)  # -1 and 1 are the outer edges, and the last axis comes first
    if x.dim() == 3:  # a signal is an image of one row
        places = functional.pad(places, (0, 1))[:, None]
        return functional.grid_sample(x[:, :, None], places, mode, "reflection", align_corners=False)[:, :, 0]
    return functional.grid_sample(x, places, mode, "reflection", align_corners=False)


def _per_image(values: Tensor, dim: int) -> Tensor:
    return values.view(-1, *[1] * (dim - 1))


def _cubic(n: int, like: Tensor) -> Tensor:
    """(n, 3) weights of the values at both ends and in the middle, by cubic interpolation"""
    points = torch.eye(3, device=like.device, dtype=like.dtype)[None, None]
    return functional.interpolate(points, (n, 3), mode="bicubic", align_corners=True)[0, 0]
