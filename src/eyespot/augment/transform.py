"""What a random transform of images is, and the registry of their names.

A transform samples parameters for a batch, one set per image, and applies them. The parameters are plain tensors, so
they can be kept and the same change can be replayed on the images, their label maps, or anything else of that shape.
"""

import re
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor

from eyespot.errors import UserError, nearest
from eyespot.renamed import report_renamed

Shape = tuple[int, ...] | torch.Size


class Transform:
    """Base of the transforms; a subclass is a frozen dataclass whose fields are its numbers.

    least_axes  spatial axes that an image needs at least
    geometric   whether pixels change place, so that their labels have to follow
    """

    least_axes = 1
    geometric = False

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

    def __str__(self) -> str:
        """As a pipeline names it, for example "rotate(degrees=15.0)"."""
        settings = fields(self) if is_dataclass(self) else ()
        inside = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in settings)
        return name_of(type(self)) + (f"({inside})" if inside else "")


TRANSFORMS: dict[str, type[Transform]] = {}
RENAMED = {"bright": "brightness", "flips": "flip_axes", "turn": "rotate90"}


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
    if name in RENAMED or not same_class:
        raise UserError(f"a transform called {name!r} exists already: choose another name")
    TRANSFORMS[name] = transform


def lookup(name: str) -> type[Transform]:
    """The transform of this name. An old name is accepted, and announced once. Raises UserError for an unknown one."""
    if name in RENAMED:
        report_renamed("transform", name, RENAMED[name])
    name = RENAMED.get(name, name)
    if name not in TRANSFORMS:
        raise UserError(f"{name!r}; {nearest(name, list(TRANSFORMS))}")
    return TRANSFORMS[name]


def name_of(transform: type[Transform]) -> str:
    """The name it is registered by, or else that of its class."""
    names = [name for name, registered in TRANSFORMS.items() if registered is transform]
    return names[0] if names else transform.__name__


def _origin(transform: type) -> tuple[str, str]:
    return transform.__module__, transform.__qualname__


def per_image(values: Tensor, x: Tensor) -> Tensor:
    """(B,) -> (B, 1, ..., 1), of as many axes as x"""
    return values.view(-1, *[1] * (x.dim() - 1))
