"""Policies: what is applied is drawn for each image."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from eyespot.augment.pipeline import parse
from eyespot.augment.transform import Shape, Transform, register
from eyespot.kit import sent

TRIVIAL = {
    1: "shift(0.3)|scale(0.7,1.4)|brightness(0.9)|contrast(0.9)|noise(0.3)|blur(2.0)|time_mask(0.3)",
    2: "shift(0.3)|rotate(30)|shear(17)|scale(0.7,1.4)|brightness(0.9)|contrast(0.9)|gamma(0.5,2.0)|noise(0.3)|blur(1.5)|"
    "saturation(0.9)|hue(30)",
    3: "shift(0.3)|scale(0.7,1.4)|brightness(0.9)|contrast(0.9)|gamma(0.5,2.0)|noise(0.3)|blur(1.5)",
}
"""By the number of axes. Without what mirrors, which may change a class; of volumes without what depends on the spacing."""


@lru_cache
def choices(dim: int) -> tuple[Transform, ...]:
    """What is drawn from, for so many axes; those for colours are left out where an image has none."""
    return tuple(parse(TRIVIAL[dim], dim))


@dataclass(frozen=True)
class Trivial(Transform):
    """One transform of a random strength for each image, or none (TrivialAugment, Müller & Hutter 2021).

    The transforms are ours, with the strengths that RandAugment has, or near it.
    """

    geometric = True
    of_file_values = True

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, 2) which transform, 0 for none, and the seed of its strength"""
        possible = [0]
        for k, transform in enumerate(choices(len(shape) - 2), 1):
            possible += [k] * (not transform.channels or shape[1] in transform.channels)
        chosen = torch.randint(len(possible), (shape[0],), generator=generator)
        seeds = torch.randint(2**31, (shape[0],), generator=generator)
        return torch.stack([torch.tensor(possible)[chosen], seeds], 1)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        result = x.clone()
        for transform, rows, sampled in drawn(parameters, x.shape):
            here = sent(rows, x.device)
            result[here] = transform.apply(x[here], sampled)
        return result

    def apply_labels(self, labels: Tensor, parameters: Tensor) -> Tensor:
        """(B, *S) -> the same shape"""
        result = labels.clone()
        for transform, rows, sampled in drawn(parameters, (len(labels), 1, *labels.shape[1:])):
            if transform.geometric:  # these do not depend on the number of channels
                here = sent(rows, labels.device)
                result[here] = transform.apply_labels(labels[here], sampled)
        return result


def drawn(parameters: Tensor, shape: Shape) -> list[tuple[Transform, Tensor, Tensor]]:
    """Each transform that is applied, to which rows, with which parameters"""
    steps = []
    for k, transform in enumerate(choices(len(shape) - 2), 1):
        rows = (parameters[:, 0] == k).nonzero()[:, 0]
        seeds = parameters[rows, 1].tolist()
        if seeds:
            one = (1, *shape[1:])
            sampled = [transform.sample(torch.Generator().manual_seed(seed), one) for seed in seeds]
            steps.append((transform, rows, torch.cat(sampled)))
    return steps


register("trivial", Trivial)
