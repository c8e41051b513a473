"""Changes of an image that must not change its class, for a whole batch at once, in one to three dimensions.

A pipeline is one string, "flip|shift(0.06)". Each operation first samples its parameters, then applies them, so that
they can be kept and used again.
"""

import ast
import re
from dataclasses import dataclass

import torch
from torch import Tensor

from eyespot.errors import UserError, nearest


@dataclass(frozen=True)
class Flip:
    """Mirror the last axis of every second image or so."""

    def sample(self, generator: torch.Generator, x: Tensor) -> Tensor:
        """(B,) which images are mirrored"""
        return torch.rand(len(x), generator=generator) < 0.5

    def apply(self, x: Tensor, mirrored: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        mask = mirrored.to(x.device).view(-1, *[1] * (x.dim() - 1))
        return torch.where(mask, x.flip(-1), x)


@dataclass(frozen=True)
class Shift:
    """Move each image along each axis by up to `share` of its size; the edge is mirrored into the gap."""

    share: float = 0.06

    def __post_init__(self):
        if not isinstance(self.share, int | float) or not 0 < self.share < 0.5:
            raise UserError(f"shift({self.share!r}): give a share of the size between 0 and 0.5")

    def sample(self, generator: torch.Generator, x: Tensor) -> Tensor:
        """(B, dim) whole pixels"""
        most = torch.tensor([max(1, round(self.share * n)) for n in x.shape[2:]])
        return torch.floor(torch.rand(len(x), len(most), generator=generator) * (2 * most + 1)).long() - most

    def apply(self, x: Tensor, pixels: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        pixels = pixels.to(x.device)
        for axis, n in enumerate(x.shape[2:]):
            index = torch.arange(n, device=x.device) + pixels[:, axis, None]  # (B, n)
            index = (n - 1) - ((n - 1) - index.abs()).abs()  # mirrored at both ends
            shape = [len(x), 1, *[1] * (x.dim() - 2)]
            shape[axis + 2] = n
            x = x.gather(axis + 2, index.view(shape).expand(*x.shape[: axis + 2], n, *x.shape[axis + 3 :]))
        return x


OPERATIONS = {"flip": Flip, "shift": Shift}
Operation = Flip | Shift


def parse(pipeline: str) -> list[Operation]:
    """The operations that a string names, e.g. "flip|shift(0.1)"; "none" or "" for no operation."""
    if pipeline.strip() in ("", "none"):
        return []
    return [_operation(part.strip(), pipeline) for part in pipeline.split("|")]


def _operation(part: str, pipeline: str) -> Operation:
    match = re.fullmatch(r"(\w+)(\(.*\))?", part)
    name = match[1] if match else part
    if not match or name not in OPERATIONS:
        raise UserError(f"augment {pipeline!r} has {name!r}; {nearest(name, list(OPERATIONS))}")
    try:
        inside = (match[2] or "()").strip("()").strip(", ")
        arguments = ast.literal_eval(f"({inside},)") if inside else ()
        return OPERATIONS[name](*arguments)
    except (SyntaxError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"augment {pipeline!r}: {part!r} is not an operation with its numbers, like shift(0.06)"
        ) from error


def augment(x: Tensor, operations: list[Operation], generator: torch.Generator) -> Tensor:
    """(B, C, *S) -> the same shape, each image changed in its own way"""
    for operation in operations:
        x = operation.apply(x, operation.sample(generator, x))  # type: ignore[arg-type]
    return x
