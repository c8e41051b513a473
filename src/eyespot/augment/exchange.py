"""Classes that an image exchanges when it is mirrored: what was left is right."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from eyespot.augment.transform import Transform
from eyespot.errors import UserError, nearest
from eyespot.kit import sent


def check_classes(transforms: Sequence[Transform], classes: Sequence[str]) -> None:
    """Raises UserError where classes to exchange are not among those of the data."""
    for transform in transforms:
        for name in (
            name for pair in transform.exchanges(torch.zeros(0, dtype=torch.bool))[1] for name in pair
        ):
            if name not in classes:
                raise UserError(
                    f"augment {str(transform)!r} swaps the class {name!r}, which the data do not have; "
                    f"{nearest(name, list(classes))}"
                )


def exchanged_labels(
    labels: Tensor, steps: Sequence[tuple[Transform, Tensor]], classes: Sequence[str]
) -> Tensor:
    """Positions of classes, (B,) or (B, *S), after transforms with these parameters; others, such as void, stay"""
    for applied, a, b in _exchanges(steps, classes):
        here = _of_image(applied, labels)
        first = here & (labels == a)
        second = here & (labels == b)
        labels = torch.where(first, b, torch.where(second, a, labels)).to(labels.dtype)
    return labels


def exchanged_channels(
    planes: Tensor, steps: Sequence[tuple[Transform, Tensor]], classes: Sequence[str]
) -> Tensor:
    """A plane for each class, (B, K, *S), after transforms with these parameters"""
    for applied, a, b in _exchanges(steps, classes):
        order = list(range(len(classes)))
        order[a], order[b] = b, a
        planes = torch.where(_of_image(applied, planes), planes[:, order], planes)
    return planes


def _exchanges(
    steps: Sequence[tuple[Transform, Tensor]], classes: Sequence[str]
) -> Iterator[tuple[Tensor, int, int]]:
    for transform, parameters in steps:
        applied, pairs = transform.exchanges(parameters)
        for a, b in pairs:
            yield applied, classes.index(a), classes.index(b)


def _of_image(applied: Tensor, x: Tensor) -> Tensor:
    return sent(applied, x.device).view(-1, *[1] * (x.dim() - 1))
