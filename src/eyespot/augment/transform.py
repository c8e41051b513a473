"""What a random transform of images is, and the registry of their names.

A transform samples parameters for a batch, one set per image, and applies them. The parameters are plain tensors, so
they can be kept and the same change can be replayed on the images, their label maps, or anything else of that shape.
"""

import re
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from eyespot.errors import UserError, nearest
from eyespot.renamed import report_renamed

Shape = tuple[int, ...] | torch.Size


class Transform:
    """Base of the transforms; a subclass is a frozen dataclass whose fields are its numbers.

    least_axes, most_axes  spatial axes that an image needs at least, and may have at most
    geometric              whether pixels change place, so that their labels have to follow
    of_file_values         whether it means values as files have them, and not normalised ones
    mixes                  whether it mixes each image of a batch with another, and their labels: see `Mixing`
    channels, depths, view numbers of channels, types of values, and the view that it is for; empty for any
    """

    least_axes = 1
    most_axes = 3
    geometric = False
    of_file_values = False
    mixes = False
    channels: tuple[int, ...] = ()
    depths: tuple[str, ...] = ()
    view = ""

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """Parameters (B, ...) for images of this shape (B, C, *S), on the CPU."""
        raise NotImplementedError

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """Images (B, C, *S) -> the same shape and dtype; the same parameters always give the same result."""
        raise NotImplementedError

    def apply_labels(self, labels: Tensor, parameters: Tensor) -> Tensor:
        """Label maps (B, *S) -> the same shape and dtype; override it where `apply` interpolates."""
        return self.apply(labels[:, None], parameters)[:, 0] if self.geometric else labels

    def inverse(self, parameters: Tensor) -> Tensor | None:
        """The parameters that undo these; None where nothing does."""
        return None

    def exchanges(self, parameters: Tensor) -> tuple[Tensor, tuple[tuple[str, str], ...]]:
        """(B,) which images exchange labels, and the pairs of classes that they exchange."""
        return torch.zeros(len(parameters), dtype=torch.bool), ()

    def __str__(self) -> str:
        """As a pipeline names it, for example "rotate(degrees=15.0)"; without p=1 and other settings that do nothing."""
        settings = {f.name: getattr(self, f.name) for f in fields(self)} if is_dataclass(self) else {}
        shown = {k: v for k, v in settings.items() if v != "" and v is not False and (k, v) != ("p", 1)}
        inside = ", ".join(f"{k}={v!r}" for k, v in shown.items())
        return name_of(type(self)) + (f"({inside})" if inside else "")


TRANSFORMS: dict[str, type[Transform]] = {}
RENAMED = {"bright": "brightness", "flips": "flip_axes", "turn": "rotate90"}
OTHER_NAMES = {"hflip": "flip", "time_shift": "shift", "stretch": "scale"}
"""What a transform is also called: of images, and of signals."""


def register(name: str, transform: type[Transform]) -> None:
    """Make a transform known by name, for `parse`, `--augment` and `eyespot.train(augment=...)`.

    name       letters, digits and underscores
    transform  a subclass of `eyespot.augment.Transform`; its arguments may stand in brackets after the name

    A class that is defined again, as in a notebook, replaces its predecessor. Raises UserError for any other name
    that is taken, and for what is not a subclass of Transform.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise UserError(f"{name!r} cannot name a transform: use letters, digits and underscores")
    if not (isinstance(transform, type) and issubclass(transform, Transform)):
        raise UserError(
            f"transform {name!r} is {transform!r}: register a subclass of eyespot.augment.Transform"
        )
    taken = TRANSFORMS.get(name)
    same_class = taken is None or _origin(taken) == _origin(transform)
    if name in RENAMED or name in OTHER_NAMES or not same_class:
        raise UserError(f"a transform called {name!r} exists already: choose another name")
    TRANSFORMS[name] = transform


def lookup(name: str) -> type[Transform]:
    """The transform of this name. An old name is accepted, and announced once. Raises UserError for an unknown one."""
    if name in RENAMED:
        report_renamed("transform", name, RENAMED[name])
    name = RENAMED.get(name, OTHER_NAMES.get(name, name))
    if name not in TRANSFORMS:
        raise UserError(f"{name!r}; {nearest(name, [*TRANSFORMS, *OTHER_NAMES])}")
    return TRANSFORMS[name]


def name_of(transform: type[Transform]) -> str:
    """The name it is registered by, or else that of its class."""
    names = [name for name, registered in TRANSFORMS.items() if registered is transform]
    return names[0] if names else transform.__name__


def _origin(transform: type) -> tuple[str, str]:
    return transform.__module__, transform.__qualname__


def sometimes(parameters: Tensor, neutral: Any, p: float, generator: torch.Generator) -> Tensor:
    """Parameters (B, ...) of about a share p of the images, and neutral ones of the others; with p = 1 nothing is drawn."""
    if p == 1:
        return parameters
    applied = torch.rand(len(parameters), generator=generator) < p
    still = torch.as_tensor(neutral, dtype=parameters.dtype)
    return torch.where(per_image(applied, parameters), parameters, still)


def per_image(values: Tensor, x: Tensor) -> Tensor:
    """(B,) -> (B, 1, ..., 1), of as many axes as x"""
    return values.view(-1, *[1] * (x.dim() - 1))
