"""One copy of a sample: changed by a pipeline whose parameters derive from a seed, so that it can be made again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from eyespot.augment.exchange import exchanged_labels
from eyespot.augment.pipeline import Step, apply_steps, sampled_steps
from eyespot.augment.transform import Transform
from eyespot.data.header import Array, stored_as
from eyespot.enlargement.originals import Original

SHOWN = 24
"""Numbers of a transform that are written; more, such as noise, follow from the seed."""
TRIES = 16
"""Seeds that are tried for a copy until it differs from its original."""


@dataclass(frozen=True)
class Classes:
    """The names of the classes, and the values that masks have for them; none where each has a plane of its own."""

    names: tuple[str, ...]
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """What is done to each original of the training set: so many copies, changed by transforms, from a seed."""

    transforms: Sequence[Transform]
    copies: int
    seed: int


@dataclass(frozen=True)
class Copy:
    """A changed sample.

    label        the position of its class, which a mirror may exchange; 0 where samples have masks
    parameters   of each transform, as JSON
    """

    image: Array
    mask: Array | None
    label: int
    parameters: str


def copy_seed(seed: int, row: int, number: int, attempt: int = 0) -> int:
    """The seed of one copy of a row: of the seed of all, the row, which copy it is, from 1, and which attempt at it, from 0."""
    parts = [seed, row, number, attempt] if attempt else [seed, row, number]
    state = np.random.SeedSequence(parts).generate_state(1, np.uint64)
    return int(state[0] >> 33)


def copies_of(
    original: Original, label: int, recipe: Recipe, row: int, classes: Classes
) -> Iterator[tuple[Copy, int]]:
    """The copies of a row, each with its seed: the first of some seeds by which it differs from its original."""
    for number in range(1, recipe.copies + 1):
        for attempt in range(TRIES):
            seed = copy_seed(recipe.seed, row, number, attempt)
            copy = changed(original, label, recipe.transforms, seed, classes)
            if not is_equal(copy, original):
                break
        yield copy, seed


def is_equal(copy: Copy, original: Original) -> bool:
    """Whether the image and the mask have the values of the original."""
    if copy.mask is not None and original.mask is not None and not np.array_equal(copy.mask, original.mask):
        return False
    return np.array_equal(copy.image, original.image, equal_nan=True)


def changed(
    original: Original, label: int, transforms: Sequence[Transform], seed: int, classes: Classes
) -> Copy:
    """A sample changed by transforms, whose parameters this seed gives."""
    x = torch.from_numpy(original.image.astype(np.float32)).movedim(-1, 0)[None]
    steps = sampled_steps(transforms, x.shape, torch.Generator().manual_seed(seed))
    dim = x.dim() - 2
    spacing = original.spacing if dim == 3 and len(original.spacing) == dim else None
    image = apply_steps(x, None, steps, spacing)[0][0].movedim(0, -1).numpy()
    if original.mask is None:
        mask = None
        label = int(exchanged_labels(torch.tensor([label]), steps, classes.names))
    else:
        mask = _exchanged(_moved(original.mask, steps, dim, spacing), steps, classes)
    return Copy(stored_as(image, original.image.dtype), mask, label, as_json(steps))


def _moved(mask: Array, steps: Sequence[Step], dim: int, spacing: Sequence[float] | None) -> Array:
    """(*S) values or (K, *S) planes, moved; numbered first, since values such as colours are no floats"""
    values, numbers = np.unique(mask, return_inverse=True)
    planes = torch.from_numpy(numbers.reshape(mask.shape if mask.ndim > dim else (1, *mask.shape)))
    geometric = [step for step in steps if step[0].geometric]
    moved = [apply_steps(plane[None, None].float(), plane[None], geometric, spacing)[1] for plane in planes]
    stacked = torch.cat([plane for plane in moved if plane is not None])
    return values[stacked.numpy()].reshape(mask.shape)


def _exchanged(mask: Array, steps: Sequence[Step], classes: Classes) -> Array:
    """A mask whose classes are exchanged where the image was mirrored"""
    for transform, parameters in steps:
        applied, pairs = transform.exchanges(parameters)
        for first, second in pairs if bool(applied) else ():
            a = classes.names.index(first)
            b = classes.names.index(second)
            if classes.values:
                a = classes.values[a]
                b = classes.values[b]
                mask = np.where(mask == a, b, np.where(mask == b, a, mask))
            else:
                order = list(range(len(mask)))
                order[a], order[b] = b, a
                mask = mask[order]
    return mask


def as_json(steps: Sequence[Step]) -> str:
    """What was sampled for one image, a list for each transform."""
    return json.dumps([_numbers(parameters) for _, parameters in steps])


def _numbers(parameters: Tensor) -> object:
    own = parameters[0]
    return own.tolist() if own.numel() <= SHOWN else f"{own.numel()} numbers, by the seed"
