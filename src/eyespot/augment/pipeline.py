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


class Pipeline:
    """Transforms in their order, applied as few operations as they compose to."""

    def __init__(self, transforms: Sequence[Transform]):
        self.transforms = tuple(transforms)

    def sample(self, generator: torch.Generator, shape: Shape) -> Parameters:
        """Parameters of every transform for images of this shape (B, C, *S); keep them to replay the change."""
        return tuple(transform.sample(generator, shape) for transform in self.transforms)

    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """Images (B, C, *S) -> the same shape"""
        return apply_steps(x, None, self._steps(parameters))[0]

    def apply_labels(self, labels: Tensor, parameters: Parameters) -> Tensor:
        """Label maps (B, *S) -> the same shape: pixels move as those of the images, each to the nearest label"""
        steps = [step for step in self._steps(parameters) if step[0].geometric]
        return apply_steps(labels[:, None].float(), labels, steps)[1]  # type: ignore[return-value]

    def undo(self, x: Tensor, parameters: Parameters) -> Tensor:
        """Images (B, C, *S) as they were before `apply`, but for what left the image and was interpolated.

        Raises UserError where a transform has no inverse.
        """
        steps = [inverted(*step) for step in reversed(self._steps(parameters))]
        for transform, inverse in steps:
            x = x if transform.geometric else transform.apply(x, inverse)
        return apply_steps(x, None, [step for step in steps if step[0].geometric])[0]

    def _steps(self, parameters: Parameters) -> list[Step]:
        return list(zip(self.transforms, parameters, strict=True))

    def __str__(self) -> str:
        return "|".join(map(str, self.transforms)) or "none"


def inverted(transform: Transform, parameters: Tensor) -> Step:
    inverse = transform.inverse(parameters)
    if inverse is None:
        raise UserError(f"{transform} has no inverse: undo a pipeline without it")
    return transform, inverse


def apply_steps(x: Tensor, labels: Tensor | None, steps: Sequence[Step]) -> tuple[Tensor, Tensor | None]:
    """Images (B, C, *S), and labels (B, *S) of their pixels: what is geometric first, both moved alike"""
    ordered = sorted(steps, key=lambda step: not step[0].geometric)  # stable: otherwise in their order
    for kind, run in groupby(ordered, lambda step: _kind(step[0])):
        if kind is Geometric:
            x, labels = composed(list(run), x.dim() - 2).apply(x, labels)  # type: ignore[arg-type]
        elif kind is Linear:
            x = apply_linear(x, list(run))  # type: ignore[arg-type]
        else:
            for transform, parameters in run:
                x = transform.apply(x, parameters)
                labels = None if labels is None else transform.apply_labels(labels, parameters)
    return x, labels


def _kind(transform: Transform) -> type[Transform]:
    return next((kind for kind in (Geometric, Linear) if isinstance(transform, kind)), Transform)


def parse(pipeline: str, dim: int = 3) -> list[Transform]:
    """The transforms that a string names, for images of `dim` axes; "none" or "" for no transform.

    Numbers may be given by place or by name: "rotate(15)" or "rotate(degrees=15)". Raises UserError for a name that is
    not registered, for numbers that its transform does not take, and for one that needs more axes.
    """
    if pipeline.strip() in ("", "none"):
        return []
    transforms = [_transform(text.strip(), pipeline) for text in pipeline.split("|")]
    for transform in transforms:
        if transform.least_axes > dim:
            name = str(transform).split("(")[0]
            raise UserError(f"augment {pipeline!r} has {name!r}, which needs two axes; a signal has one")
    return transforms


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
    x: Tensor, labels: Tensor | None, transforms: Sequence[Transform], generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Images (B, C, *S) and the labels (B, *S) of their pixels, moved alike"""
    pipeline = Pipeline(transforms)
    parameters = pipeline.sample(generator, x.shape)
    return apply_steps(x, labels, list(zip(transforms, parameters, strict=True)))
