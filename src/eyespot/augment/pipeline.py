"""Changes of an image that must not change its class, for a whole batch at once, in one to three dimensions.

A pipeline is one string, "flip|shift(0.06)". Each operation first samples its parameters, then applies them, so that
the labels of pixels can be changed alike.
"""

import ast
import re
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from eyespot.augment.geometry import Elastic, Rotate, Scale, Warp, grid, resample, resample_labels
from eyespot.errors import UserError, nearest
from eyespot.kit import sent


@dataclass(frozen=True)
class Flip:
    """Mirror the last axis of every second image or so."""

    least_axes = 1

    def sample(self, generator: torch.Generator, x: Tensor) -> Tensor:
        """(B,) which images are mirrored"""
        return torch.rand(len(x), generator=generator) < 0.5

    def apply(self, x: Tensor, mirrored: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        mask = sent(mirrored, x.device).view(-1, *[1] * (x.dim() - 1))
        return torch.where(mask, x.flip(-1), x)


@dataclass(frozen=True)
class Shift:
    """Move each image along each axis by up to `share` of its size; the edge is mirrored into the gap."""

    share: float = 0.06
    least_axes = 1

    def __post_init__(self):
        if not isinstance(self.share, int | float) or not 0 < self.share < 0.5:
            raise UserError(f"shift({self.share!r}): give a share of the size between 0 and 0.5")

    def sample(self, generator: torch.Generator, x: Tensor) -> Tensor:
        """(B, dim) whole pixels"""
        most = torch.tensor([max(1, round(self.share * n)) for n in x.shape[2:]])
        return torch.floor(torch.rand(len(x), len(most), generator=generator) * (2 * most + 1)).long() - most

    def apply(self, x: Tensor, pixels: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        y = x.movedim(1, -1)  # (B, *S, C)
        pixels = sent(pixels, x.device)
        for axis, n in enumerate(x.shape[2:], start=1):
            index = torch.arange(n, device=x.device) + pixels[:, axis - 1, None]  # (B, n)
            index = (n - 1) - ((n - 1) - index.abs()).abs()  # mirrored at both ends
            lines = y.shape[:axis].numel()
            first = n * torch.arange(lines, device=x.device).view(len(x), -1, 1)
            chosen = (first + index[:, None]).flatten()
            y = y.reshape(lines * n, -1).index_select(0, chosen).view(y.shape)
        return y.movedim(-1, 1)


@dataclass(frozen=True)
class Flips:
    """Mirror each axis of every second image or so."""

    least_axes = 1

    def sample(self, generator: torch.Generator, x: Tensor) -> Tensor:
        """(B, dim) which axes of which images are mirrored"""
        return torch.rand(len(x), x.dim() - 2, generator=generator) < 0.5

    def apply(self, x: Tensor, mirrored: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        masks = sent(mirrored, x.device).view(len(x), -1, *[1] * (x.dim() - 1))
        for axis in range(2, x.dim()):
            x = torch.where(masks[:, axis - 2], x.flip(axis), x)
        return x


@dataclass(frozen=True)
class Turn:
    """Turn by a multiple of 90 degrees in the plane of the last two axes; of 180 where they differ in length."""

    least_axes = 2

    def sample(self, generator: torch.Generator, x: Tensor) -> Tensor:
        """(B,) quarter turns"""
        quarters = torch.randint(4, (len(x),), generator=generator)
        return quarters if x.shape[-1] == x.shape[-2] else 2 * (quarters // 2)

    def apply(self, x: Tensor, quarters: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        return torch.stack(
            [torch.rot90(image, k, (-2, -1)) for image, k in zip(x, quarters.tolist(), strict=True)]
        )


@dataclass(frozen=True)
class Light:
    """What changes values and not places: of the image alone. `share` is of the image's own standard deviation."""

    share: float
    least_axes = 1

    def __post_init__(self):
        if not isinstance(self.share, int | float) or not 0 < self.share <= 1:
            raise UserError(
                f"{type(self).__name__.lower()}({self.share!r}): give a share of the image's standard deviation "
                "above 0 and up to 1"
            )

    def sample(self, generator: torch.Generator, x: Tensor) -> Tensor:
        """(B,) from -share to share"""
        return (2 * torch.rand(len(x), generator=generator) - 1) * self.share


@dataclass(frozen=True)
class Bright(Light):
    """Add up to `share` either way."""

    share: float = 0.2

    def apply(self, x: Tensor, amounts: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        return x + _per_image(amounts, x) * _deviation(x)


@dataclass(frozen=True)
class Contrast(Light):
    """Multiply the distance from the image's mean by up to 1 + share, and down to 1 - share."""

    share: float = 0.2

    def apply(self, x: Tensor, amounts: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        return x + _per_image(amounts, x) * (x - _per_image(x.flatten(1).mean(1), x))


@dataclass(frozen=True)
class Noise(Light):
    """Add normal noise of `share` to every value."""

    share: float = 0.05

    def sample(self, generator: torch.Generator, x: Tensor) -> Tensor:
        """(B, C, *S)"""
        return self.share * torch.randn(x.shape, generator=generator)

    def apply(self, x: Tensor, amounts: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        return x + sent(amounts, x.device) * _deviation(x)


def _per_image(values: Tensor, x: Tensor) -> Tensor:
    return sent(values, x.device).view(-1, *[1] * (x.dim() - 1))


def _deviation(x: Tensor) -> Tensor:
    """(B, 1, ..., 1)"""
    return _per_image(x.flatten(1).std(1, correction=0), x)


OPERATIONS = {
    "flip": Flip,
    "flips": Flips,
    "turn": Turn,
    "shift": Shift,
    "rotate": Rotate,
    "scale": Scale,
    "elastic": Elastic,
    "bright": Bright,
    "contrast": Contrast,
    "noise": Noise,
}
Move = Flip | Flips | Turn | Shift
Operation = Move | Warp | Bright | Contrast | Noise


def parse(pipeline: str, dim: int = 3) -> list[Operation]:
    """The operations that a string names, e.g. "flip|shift(0.1)", for `dim` axes; "none" or "" for no operation."""
    if pipeline.strip() in ("", "none"):
        return []
    operations = [_operation(part.strip(), pipeline) for part in pipeline.split("|")]
    for operation in operations:
        if operation.least_axes > dim:
            name = type(operation).__name__.lower()
            raise UserError(f"augment {pipeline!r} has {name!r}, which needs two axes; a signal has one")
    return operations


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
    return augment_pair(x, None, operations, generator)[0]


def augment_pair(
    x: Tensor, labels: Tensor | None, operations: list[Operation], generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Images (B, C, *S) and the labels (B, *S) of their pixels, changed alike; warps that follow each other as one."""
    for warps, run in groupby(operations, lambda operation: isinstance(operation, Warp)):
        if warps:
            offsets = grid(x, list(run), generator)  # type: ignore[arg-type]
            x = resample(x, offsets)
            labels = None if labels is None else resample_labels(labels, offsets)
        else:
            for operation in run:
                parameters = operation.sample(generator, x)
                x = operation.apply(x, parameters)  # type: ignore[union-attr]
                if labels is not None and isinstance(operation, Move):
                    labels = operation.apply(labels[:, None], parameters)[:, 0]
    return x, labels
