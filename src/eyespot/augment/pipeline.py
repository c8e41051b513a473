"""Pipelines of transforms, written as one string: "flip|rotate(degrees=15)|brightness(0.2)".

However a pipeline is written, pixels are moved first and values changed after: all that is geometric is one matrix per
image and one resampling, and linear changes of values that follow each other are one scale and one offset.
"""

import ast
import re
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from eyespot.augment.colour import Linear, apply_linear
from eyespot.augment.geometry import Geometric, composed
from eyespot.augment.transform import Shape, Transform, lookup
from eyespot.errors import UserError

Parameters = tuple[Tensor, ...]
"""What was sampled for a batch: one tensor per transform, in their order."""
Step = tuple[Transform, Tensor]
Spacing = Sequence[float] | Tensor | None
"""(dim,), or (B, dim), from sample to sample along each axis; None where it is equal."""


class Pipeline:
    """Transforms in their order, applied as few operations as they compose to.

    Images of whole numbers, such as uint8, are computed as float32, rounded and kept in the range of their type.
    spacing   (dim,) from sample to sample along each axis, in any unit; None where it is equal
    """

    def __init__(self, transforms: Sequence[Transform], spacing: Spacing = None):
        self.transforms = tuple(transforms)
        self.spacing = spacing

    def sample(self, generator: torch.Generator, shape: Shape) -> Parameters:
        """Parameters of every transform for images of this shape (B, C, *S); keep them to replay the change."""
        return tuple(transform.sample(generator, shape) for transform in self.transforms)

    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """Images (B, C, *S) -> the same shape"""
        steps = self._steps(parameters)
        if x.is_floating_point():
            return apply_steps(x, None, steps, self.spacing)[0]
        return apply_to_whole_numbers(x, steps, self.spacing)

    def apply_labels(self, labels: Tensor, parameters: Parameters) -> Tensor:
        """Label maps (B, *S) -> the same shape: pixels move as those of the images, each to the nearest label"""
        steps = [step for step in self._steps(parameters) if step[0].geometric]
        moved = apply_steps(labels[:, None].float(), labels, steps, self.spacing)[1]
        assert moved is not None
        return moved

    def apply_points(self, points: Tensor, parameters: Parameters, size: Shape) -> Tensor:
        """Points (B, N, dim) of images (*S), in samples from the first along each axis -> where they are after `apply`

        Raises UserError where a transform moves pixels otherwise than by a matrix.
        """
        steps = [step for step in self._steps(parameters) if step[0].geometric]
        bent = [
            t for t, values in steps if not isinstance(t, Geometric) or t.displacements(values) is not None
        ]
        if bent:
            raise UserError(f"{bent[0]} moves pixels by no matrix: points cannot follow it")
        if not steps:
            return points
        return composed(steps, len(size), self.spacing).points(points, size)  # type: ignore[arg-type]

    def undo(self, x: Tensor, parameters: Parameters) -> Tensor:
        """Images (B, C, *S) as they were before `apply`, but for what left the image and was interpolated.

        Raises UserError where a transform has no inverse.
        """
        steps = [inverted(*step) for step in reversed(self._steps(parameters))]
        for transform, inverse in steps:
            x = x if transform.geometric else transform.apply(x, inverse)
        return apply_steps(x, None, [step for step in steps if step[0].geometric], self.spacing)[0]

    def _steps(self, parameters: Parameters) -> list[Step]:
        return list(zip(self.transforms, parameters, strict=True))

    def __str__(self) -> str:
        return "|".join(map(str, self.transforms)) or "none"


def inverted(transform: Transform, parameters: Tensor) -> Step:
    inverse = transform.inverse(parameters)
    if inverse is None:
        raise UserError(f"{transform} has no inverse: undo a pipeline without it")
    return transform, inverse


def apply_steps(
    x: Tensor, labels: Tensor | None, steps: Sequence[Step], spacing: Spacing = None
) -> tuple[Tensor, Tensor | None]:
    """Images (B, C, *S), and labels (B, *S) of their pixels: what is geometric first, both moved alike"""
    ordered = sorted(steps, key=lambda step: not step[0].geometric)  # stable: otherwise in their order
    for kind, run in groupby(ordered, lambda step: _kind(step[0])):
        if kind is Geometric:
            x, labels = composed(list(run), x.dim() - 2, spacing).apply(x, labels)  # type: ignore[arg-type]
        elif kind is Linear:
            x = apply_linear(x, list(run))  # type: ignore[arg-type]
        else:
            for transform, parameters in run:
                x = transform.apply(x, parameters)
                labels = None if labels is None else transform.apply_labels(labels, parameters)
    return x, labels


CHUNK = 2**19
"""Values of whole numbers that are computed at once, as float32: as many as a processor's cache has."""


def apply_to_whole_numbers(x: Tensor, steps: Sequence[Step], spacing: Spacing = None) -> Tensor:
    """Images (B, C, *S) of whole numbers -> the same shape and type, rounded and kept in its range; a few at a time"""
    limits = torch.iinfo(x.dtype)
    several = len(x) if any(step[0].mixes for step in steps) else max(1, CHUNK // max(1, x[:1].numel()))
    geometric = [step for step in steps if isinstance(step[0], Geometric)]
    others = [step for step in steps if not isinstance(step[0], Geometric)]
    warp = composed(geometric, x.dim() - 2, spacing) if geometric else None  # type: ignore[arg-type]
    if any(step[0].geometric for step in others):  # whose order among those with a matrix counts
        others = list(steps)
        warp = None
    result = torch.empty_like(x)
    for start in range(0, len(x), several):
        rows = slice(start, start + several)
        chunk = x[rows].to(torch.float32, memory_format=torch.contiguous_format)
        if warp is not None:
            chunk = warp.of(rows).apply(chunk)[0]
        own = [(transform, parameters[rows]) for transform, parameters in others]
        changed = apply_steps(chunk, None, own, _of_rows(spacing, rows))[0]
        result[rows] = changed.round().clamp_(limits.min, limits.max)
    return result


def _of_rows(spacing: Spacing, rows: slice) -> Spacing:
    """The spacing of some images, where each has its own"""
    return (
        spacing[rows] if isinstance(spacing, Tensor) and spacing.dim() == 2 and len(spacing) > 1 else spacing
    )


def _kind(transform: Transform) -> type[Transform]:
    return next((kind for kind in (Geometric, Linear) if isinstance(transform, kind)), Transform)


def parse(pipeline: str, dim: int | None = None) -> list[Transform]:
    """The transforms that a string names, for images of `dim` axes or any; "none" or "" for no transform.

    Numbers may be given by place or by name: "rotate(15)" or "rotate(degrees=15)". Raises UserError for a name that is
    not registered, for numbers that its transform does not take, and for one that is not for so many axes.
    """
    if pipeline.strip() in ("", "none"):
        return []
    transforms = [_transform(text.strip(), pipeline) for text in pipeline.split("|")]
    if dim is not None:
        for transform in transforms:
            _check_axes(transform, pipeline, dim)
    return transforms


AXES = {1: "one", 2: "two", 3: "three"}
WORDS = {1: "a signal", 2: "an image", 3: "a volume"}


def _check_axes(transform: Transform, pipeline: str, dim: int) -> None:
    name = str(transform).split("(")[0]
    if transform.least_axes > dim:
        raise UserError(
            f"augment {pipeline!r} has {name!r}, which needs {AXES[transform.least_axes]} axes; {WORDS[dim]} has {AXES[dim]}"
        )
    if transform.most_axes < dim:
        kind = WORDS[transform.most_axes].split()[1]
        raise UserError(f"augment {pipeline!r} has {name!r}, which is for {kind}s, and not for {WORDS[dim]}")


def check_fit(transforms: Sequence[Transform], channels: int, depth: str, view: str = "samples") -> None:
    """Raises UserError for a transform that these data do not have.

    depth   of the values: uint8, uint16 or float32
    view    "samples", or "spectrum" of sounds
    """
    views = {"samples": "samples and not for a spectrum", "spectrum": "a spectrum and not for samples"}
    for transform in transforms:
        name = str(transform).split("(")[0]
        if transform.channels and channels not in transform.channels:
            wanted = " or ".join(map(str, transform.channels))
            raise UserError(
                f"augment {name!r} is for {wanted} channels, and these data have {channels}: leave it out"
            )
        if transform.depths and depth not in transform.depths:
            raise UserError(f"augment {name!r} is for values of 8 bits, and these are {depth}: leave it out")
        if transform.view and view != transform.view:
            raise UserError(f"augment {name!r} is for {views[transform.view]}: leave it out")


def _transform(text: str, pipeline: str) -> Transform:
    match = re.fullmatch(r"(\w+)(\(.*\))?", text)
    try:
        transform = lookup(match[1] if match else text)
    except UserError as error:
        raise UserError(f"augment {pipeline!r} has {error}") from error
    try:
        call = ast.parse(f"f{match[2] or '()' if match else ''}", mode="eval").body
        assert isinstance(call, ast.Call)
        by_name = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        return transform(*map(ast.literal_eval, call.args), **by_name)
    except (SyntaxError, TypeError, ValueError, AssertionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"augment {pipeline!r}: {text!r} is not a transform with its numbers, like shift(0.06) or "
            "rotate(degrees=15)"
        ) from error


def augment(x: Tensor, transforms: Sequence[Transform], generator: torch.Generator) -> Tensor:
    """(B, C, *S) -> the same shape, each image changed in its own way"""
    return augment_pair(x, None, transforms, generator)[0]


def augment_pair(
    x: Tensor,
    labels: Tensor | None,
    transforms: Sequence[Transform],
    generator: torch.Generator,
    spacing: Spacing = None,
) -> tuple[Tensor, Tensor | None]:
    """Images (B, C, *S) and the labels (B, *S) of their pixels, moved alike"""
    return apply_steps(x, labels, sampled_steps(transforms, x.shape, generator), spacing)


def sampled_steps(transforms: Sequence[Transform], shape: Shape, generator: torch.Generator) -> list[Step]:
    """Transforms, each with parameters for images of this shape (B, C, *S)"""
    return [(transform, transform.sample(generator, shape)) for transform in transforms]
