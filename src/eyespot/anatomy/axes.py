"""The axes of the image as a tensor knows them, and what becomes of them where tensors meet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from eyespot.anatomy.field import ReceptiveFields


@dataclass(frozen=True)
class Axis:
    """One axis of the image as a tensor knows it.

    dim     the tensor's dimension that runs along it; None if it was summed over
    fields  what each position sees; None for the whole axis
    merged  whether other dimensions run along `dim` as well, after a flatten
    """

    dim: int | None
    fields: ReceptiveFields | None
    merged: bool = False


Seen = tuple[Axis, ...]
"""A tensor's axes; empty where it could not be followed."""
LOST: Seen = ()


class Unknown(Exception):
    """A function or a use of one that has no rule."""


def has_positions(seen: Seen) -> bool:
    return all(a.dim is not None for a in seen) and not any(a.merged for a in seen)


def joined(known: list, before: list, out: Tensor) -> Seen:
    """Value by value, with broadcasting: the union of what the operands see."""
    result: list[Axis] = []
    for k in range(len(known[0][1])):
        axes = [aligned(seen[k], shape, out) for (_, seen), shape in zip(known, before, strict=True)]
        result.append(union(axes))
    return tuple(result)


def aligned(axis: Axis, shape: torch.Size, out: Tensor) -> Axis:
    if axis.dim is None:
        return axis
    dim = axis.dim + out.dim() - len(shape)
    stretched = shape[axis.dim] != out.shape[dim]  # one value for every position
    return Axis(dim, None if stretched else axis.fields, axis.merged)


def union(axes: Sequence[Axis]) -> Axis:
    placed = [a for a in axes if a.dim is not None]
    if not placed:
        return axes[0]
    first = placed[0]
    fields = placed[0].fields
    if any((a.dim, a.merged) != (first.dim, first.merged) for a in placed):
        raise Unknown
    if len(placed) < len(axes) or any(a.fields is None for a in placed):
        return replace(first, fields=None)
    for a in placed[1:]:
        assert fields is not None and a.fields is not None
        fields = fields.union(a.fields)
        if fields is None:
            raise Unknown
    return replace(first, fields=fields)


def per_axis(seen: Seen, change: Callable[[Axis, int], Axis]) -> Seen:
    """Change each axis that still has a dimension of its own."""
    if any(a.merged for a in seen):
        raise Unknown
    return tuple(a if a.dim is None else change(a, a.dim) for a in seen)


def with_fields(axis: Axis, change: Callable[[ReceptiveFields], ReceptiveFields]) -> Axis:
    return axis if axis.fields is None else replace(axis, fields=change(axis.fields))
