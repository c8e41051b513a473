"""Transforms of the colours of photographs: matrices of the channels red, green and blue, which compose to one."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from eyespot.augment.colour import Linear, uniform
from eyespot.augment.numbers import check_probability, check_up_to
from eyespot.augment.transform import Shape, register, sometimes

LUMA = (0.299, 0.587, 0.114)
"""The share of red, green and blue in the grey value of a pixel (ITU-R 601-2, as in Pillow)."""


def to_grey() -> Tensor:
    """(3, 3) from colours to their grey value, three times"""
    return torch.tensor(LUMA).expand(3, 3)


@dataclass(frozen=True)
class Saturation(Linear):
    """Multiply the distance of each colour from its grey value by a factor between 1 - share and 1 + share."""

    share: float = 0.2
    p: float = 1.0
    channels = (3,)
    of_file_values = True

    def __post_init__(self):
        check_up_to("saturation", self.share, 1, "a share")
        check_probability("saturation", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) what is added to a factor of 1"""
        return sometimes(uniform(self.share, shape[0], generator), 0, self.p, generator)

    def channel_matrix(self, parameters: Tensor) -> Tensor:
        factor = 1 + parameters.float().view(-1, 1, 1)
        return factor * torch.eye(3, device=factor.device) + (1 - factor) * to_grey().to(factor.device)

    def inverse(self, parameters: Tensor) -> Tensor:
        return -parameters / (1 + parameters)


@dataclass(frozen=True)
class Hue(Linear):
    """Rotate the colours about the grey axis, by up to `degrees` either way.

    It is a rotation in red, green and blue, which keeps grey and the sum of the three; not the hue of HSV, which is
    not linear.
    """

    degrees: float = 18.0
    p: float = 1.0
    channels = (3,)
    of_file_values = True

    def __post_init__(self):
        check_up_to("hue", self.degrees, 180, "the most degrees")
        check_probability("hue", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) radians"""
        angles = torch.deg2rad(uniform(self.degrees, shape[0], generator))
        return sometimes(angles, 0, self.p, generator)

    def channel_matrix(self, parameters: Tensor) -> Tensor:
        angles = parameters.float().view(-1, 1, 1)
        grey = torch.full((3, 3), 1 / 3, device=angles.device)
        across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=angles.device) / math.sqrt(3)
        return grey + angles.cos() * (torch.eye(3, device=angles.device) - grey) + angles.sin() * across

    def inverse(self, parameters: Tensor) -> Tensor:
        return -parameters


@dataclass(frozen=True)
class Grayscale(Linear):
    """Replace the colours by their grey value, of a share `p` of the images."""

    p: float = 0.1
    channels = (3,)
    of_file_values = True

    def __post_init__(self):
        check_probability("grayscale", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) which images become grey"""
        return torch.rand(shape[0], generator=generator) < self.p

    def channel_matrix(self, parameters: Tensor) -> Tensor:
        grey = to_grey().to(parameters.device)
        colours = torch.eye(3, device=parameters.device)
        return torch.where(parameters.view(-1, 1, 1), grey, colours)


for _name, _transform in {"saturation": Saturation, "hue": Hue, "grayscale": Grayscale}.items():
    register(_name, _transform)
