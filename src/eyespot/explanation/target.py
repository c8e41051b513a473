"""The number that a map explains: the logit of a class, or the difference of two, of an image or of a region of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from eyespot.errors import UserError, nearest
from eyespot.plurals import count


@dataclass(frozen=True)
class Target:
    """A number of the logits.

    position   of the class that is explained
    against    of the class that its logit is compared with, if any
    region     (*S) of a network for masks: the weight of each position, of sum 1; None for whole images
    name       for people
    where      what the region is, for people
    """

    position: int
    name: str
    against: int | None = None
    region: Any = None
    where: str = ""

    def of(self, logits: Tensor) -> Tensor:
        """(B, classes) or (B, classes, *S) logits -> (B,)"""
        value = logits[:, self.position]
        if self.against is not None:
            value = value - logits[:, self.against]
        if self.region is None:
            return value
        return (value * value.new_tensor(self.region)).flatten(1).sum(1)

    def probability(self, logits: Tensor, multilabel: bool = False, temperature: float = 1.0) -> Tensor:
        """(B, classes) or (B, classes, *S) logits -> (B,) from 0 to 1: of the class among all, or against the other"""
        logits = logits / temperature
        if self.against is not None:
            shares = (logits[:, self.position] - logits[:, self.against]).sigmoid()
        elif multilabel:
            shares = logits[:, self.position].sigmoid()
        else:
            shares = logits.softmax(1)[:, self.position]
        if self.region is None:
            return shares
        return (shares * shares.new_tensor(self.region)).flatten(1).sum(1)

    def within(self, window: tuple[slice, ...]) -> "Target":
        """The share of the positions in a window: of the logits there"""
        return replace(self, region=self.region[window])

    def __str__(self) -> str:
        return f"{self.name}, {self.where}" if self.where else self.name


def class_position(name: str | int, classes: Sequence[str]) -> int:
    """The position of a class. Raises UserError for one that does not exist, and offers the nearest."""
    text = str(name)
    if text not in classes and isinstance(name, int) and 0 <= name < len(classes):
        text = classes[name]
    if text not in classes:
        raise UserError(f"the model does not know the class {text!r}; {nearest(text, list(classes)[:50])}")
    return list(classes).index(text)


def whole_target(
    logits: NDArray[Any], classes: Sequence[str], target: str | int | None, against: str | int | None
) -> Target:
    """The target of an image whose class is predicted: logits (classes,); the predicted class if none is named."""
    predicted = int(np.argmax(logits))
    position = predicted if target is None else class_position(target, classes)
    other = None if against is None else class_position(against, classes)
    check_different(position, other, classes)
    return Target(position, difference_name(position, other, classes), other)


def region_target(
    predicted: NDArray[np.bool_],
    classes: Sequence[str],
    target: str | int | None,
    against: str | int | None,
    region: tuple[slice, ...] | None,
    multilabel: bool = False,
) -> Target:
    """The target of a mask: the mean over the pixels predicted as the class, (classes, *S), or over a region.

    Without a class, the one with the most predicted pixels other than the first, which is the background.
    """
    counts = predicted.reshape(len(classes), -1).sum(1)
    first = 0 if multilabel else 1  # else the background
    largest = int(counts[first:].argmax()) + first if counts[first:].any() else 0
    position = largest if target is None else class_position(target, classes)
    other = None if against is None else class_position(against, classes)
    check_different(position, other, classes)
    weights, where = region_weights(predicted[position], region)
    return Target(position, difference_name(position, other, classes), other, weights, where)


def predicted_positions(logits: NDArray[Any], multilabel: bool) -> NDArray[np.bool_]:
    """(classes, *S) logits -> where each class is predicted"""
    if multilabel:
        return logits > 0
    numbers = np.arange(len(logits)).reshape(-1, *[1] * (logits.ndim - 1))
    return logits.argmax(0) == numbers


def region_weights(
    predicted: NDArray[np.bool_], region: tuple[slice, ...] | None
) -> tuple[NDArray[np.float32], str]:
    """(*S) weights of sum 1, and what they are: a box, else the positions predicted as the class, else all."""
    chosen = np.zeros(predicted.shape, bool)
    if region is not None:
        if len(region) != predicted.ndim or any(
            s.stop > n for s, n in zip(region, predicted.shape, strict=True)
        ):
            shown = " x ".join(map(str, predicted.shape))
            raise UserError(
                f"the region has to be a range START:END for each of {count(predicted.ndim, 'axis', 'axes')}, inside {shown} samples"
            )
        chosen[region] = True
        where = "averaged over the region " + ", ".join(f"{s.start or 0}:{s.stop}" for s in region)
    elif predicted.any():
        chosen = predicted
        where = "averaged over the positions predicted as this class"
    else:
        chosen[:] = True
        where = "averaged over all positions, as none is predicted as this class"
    return (chosen / chosen.sum()).astype(np.float32), where


def check_different(position: int, other: int | None, classes: Sequence[str]) -> None:
    if position == other:
        raise UserError(
            f"{classes[position]!r} cannot be explained against itself: name another class with --against"
        )


def difference_name(position: int, other: int | None, classes: Sequence[str]) -> str:
    """What is explained, for people."""
    return classes[position] if other is None else f"{classes[position]} and not {classes[other]}"


def read_region(text: str | None) -> tuple[slice, ...] | None:
    """10:20,0:64 -> a range per axis. Raises UserError."""
    if text is None:
        return None
    try:
        ranges = [tuple(int(number) for number in axis.split(":")) for axis in text.split(",")]
        if any(len(ends) != 2 or not 0 <= ends[0] < ends[1] for ends in ranges):
            raise ValueError
    except ValueError:
        raise UserError(f"region is {text!r}; give START:END for each axis, such as 10:20,0:64") from None
    return tuple(slice(*ends) for ends in ranges)
