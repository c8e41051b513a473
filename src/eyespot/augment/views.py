"""More transforms that move pixels, as if the camera stood elsewhere: slanted, cropped, turned in space, in perspective."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from eyespot.augment.geometry import Geometric, identity, signs
from eyespot.augment.numbers import check_probability, check_range, check_up_to, pairs_of
from eyespot.augment.transform import Shape, register, sometimes


@dataclass(frozen=True)
class VFlip(Geometric):
    """Mirror the last axis but one, up and down in an image, of a share `p` of the images.

    swaps   pairs of classes that a mirrored image exchanges, such as "upper,lower"
    """

    p: float = 0.5
    swaps: str = ""
    least_axes = 2

    def __post_init__(self):
        check_probability("vflip", self.p)
        pairs_of("vflip", self.swaps)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) which images are mirrored"""
        return torch.rand(shape[0], generator=generator) < self.p

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        matrix = identity(len(parameters), dim)
        matrix[:, -3, -3] = signs(parameters)
        return matrix

    def inverse(self, parameters: Tensor) -> Tensor:
        return parameters

    def exchanges(self, parameters: Tensor) -> tuple[Tensor, tuple[tuple[str, str], ...]]:
        return parameters, pairs_of("vflip", self.swaps)


@dataclass(frozen=True)
class Shear(Geometric):
    """Slant the image: the last axis moves with the place along the others, by up to `degrees` either way."""

    degrees: float = 10.0
    p: float = 1.0
    least_axes = 2
    metric = True

    def __post_init__(self):
        check_up_to("shear", self.degrees, 60, "the most degrees")
        check_probability("shear", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, dim - 1) radians"""
        uniform = 2 * torch.rand(shape[0], len(shape) - 3, generator=generator) - 1
        return sometimes(torch.deg2rad(uniform * self.degrees), 0, self.p, generator)

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        matrix = identity(len(parameters), dim)
        matrix[:, -2, :-2] = parameters.tan()
        return matrix

    def inverse(self, parameters: Tensor) -> Tensor:
        return -parameters


@dataclass(frozen=True)
class Rotate3d(Geometric):
    """Rotate a volume about any axis in space, by up to `degrees`."""

    degrees: float = 15.0
    p: float = 1.0
    least_axes = 3
    metric = True

    def __post_init__(self):
        check_up_to("rotate3d", self.degrees, 180, "the most degrees")
        check_probability("rotate3d", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, 3) the axis, as long as the angle in radians"""
        axes = torch.randn(shape[0], 3, generator=generator)
        angles = torch.deg2rad(torch.rand(shape[0], 1, generator=generator) * self.degrees)
        return sometimes(angles * axes / axes.norm(dim=1, keepdim=True), 0, self.p, generator)

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        angles = parameters.double().norm(dim=1)[:, None, None]
        x, y, z = (parameters.double() / angles[:, 0].clamp_min(1e-12)).unbind(1)
        zero = torch.zeros_like(x)
        across = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
        matrix = identity(len(parameters), dim)
        matrix[:, :-1, :-1] += (angles.sin() * across + (1 - angles.cos()) * across @ across).float()
        return matrix

    def inverse(self, parameters: Tensor) -> Tensor:
        return -parameters


@dataclass(frozen=True)
class Crop(Geometric):
    """Cut out a window anywhere in the image, and enlarge it to the whole.

    low, high   the window's share of the image's area or volume
    ratio       how far the proportions of the window may be from the image's: 4/3 is as in Inception
    """

    low: float = 0.5
    high: float = 1.0
    ratio: float = 4 / 3
    p: float = 1.0

    def __post_init__(self):
        check_range("crop", (self.low, self.high), (0.01, 1), "share of the image")
        check_range("crop", (self.ratio, self.ratio), (1, 4), "ratio of proportions")
        check_probability("crop", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, dim, 2) of each axis the window's share, and how far its middle is from the image's in samples"""
        size = torch.tensor(shape[2:])
        batch = shape[0]
        dim = len(size)
        share = self.low + (self.high - self.low) * torch.rand(batch, 1, generator=generator)
        proportions = math.log(self.ratio) * (2 * torch.rand(batch, dim, generator=generator) - 1) / 2
        proportions = (proportions - proportions.mean(1, keepdim=True)).exp()
        window = (share ** (1 / dim) * proportions).clamp(max=1)
        margin = (1 - window) * (size - 1) / 2
        middle = margin * (2 * torch.rand(batch, dim, generator=generator) - 1)
        whole = torch.tensor([1.0, 0.0])
        return sometimes(torch.stack([window, middle], 2), whole, self.p, generator)

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        matrix = identity(len(parameters), dim)
        matrix.diagonal(dim1=1, dim2=2)[:, :-1] = parameters[:, :, 0]
        matrix[:, :-1, -1] = parameters[:, :, 1]
        return matrix

    def inverse(self, parameters: Tensor) -> Tensor:
        window, middle = parameters.unbind(2)
        return torch.stack([1 / window, -middle / window], 2)


@dataclass(frozen=True)
class Perspective(Geometric):
    """See the last two axes from the side: each corner comes from up to `share` of the size further inside."""

    share: float = 0.2
    p: float = 1.0
    least_axes = 2

    def __post_init__(self):
        check_up_to("perspective", self.share, 0.4, "a share of the size")
        check_probability("perspective", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, 3, 3) the homography of positions in the plane, in samples"""
        half = torch.tensor([(max(n, 2) - 1) / 2 for n in shape[-2:]])
        corners = half * torch.tensor([[-1, -1], [-1, 1], [1, -1], [1, 1]])
        inside = self.share * torch.rand(shape[0], 4, 2, generator=generator)
        return sometimes(homography(corners, corners * (1 - inside)), torch.eye(3), self.p, generator)

    def matrix(self, parameters: Tensor, dim: int) -> Tensor:
        matrix = identity(len(parameters), dim)
        matrix[:, -3:, -3:] = parameters.float()
        return matrix

    def inverse(self, parameters: Tensor) -> Tensor:
        inverse = torch.linalg.inv(parameters.double())
        return (inverse / inverse[:, -1:, -1:]).to(parameters.dtype)


def homography(corners: Tensor, sources: Tensor) -> Tensor:
    """(B, 3, 3) that takes four corners (4, 2) to their sources (B, 4, 2), with 1 as its last number"""
    ones = torch.ones(4, 1)
    known = torch.cat([corners, ones], 1).double()  # (4, 3)
    blank = torch.zeros_like(known)
    linear = torch.cat([torch.cat([known, blank], 1), torch.cat([blank, known], 1)])  # (8, 6)
    sums = sources.double().transpose(1, 2).reshape(len(sources), 8, 1)
    places = corners.double().repeat(2, 1)  # (8, 2)
    equations = torch.cat([linear.expand(len(sources), 8, 6), -sums * places], 2)
    solved = torch.linalg.solve(equations, sums)[:, :, 0]
    return torch.cat([solved, torch.ones(len(sources), 1)], 1).view(-1, 3, 3).float()


for _name, _transform in {
    "vflip": VFlip,
    "shear": Shear,
    "rotate3d": Rotate3d,
    "crop": Crop,
    "perspective": Perspective,
}.items():
    register(_name, _transform)
