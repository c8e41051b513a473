"""Transforms that mix each image of a batch with another one of it, and their labels in the same shares."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from eyespot.augment.numbers import check_probability, check_up_to
from eyespot.augment.quality import boxes, inside
from eyespot.augment.transform import Shape, Transform, per_image, register, sometimes
from eyespot.kit import sent


class Mixing(Transform):
    """A transform whose parameters name another image of the batch, in the first column."""

    mixes = True

    def kept(self, parameters: Tensor, size: Shape) -> Tensor:
        """(B,) the share of each image (*S) that is its own; the rest is the other one's."""
        raise NotImplementedError

    def mix_targets(self, targets: Tensor, parameters: Tensor, size: Shape) -> Tensor:
        """Shares of classes (B, K), such as 0 and 1, for images (*S) -> those of the mixed images"""
        kept = sent(self.kept(parameters, size), targets.device).to(targets.dtype)[:, None]
        return kept * targets + (1 - kept) * targets[others(parameters, targets)]


def others(parameters: Tensor, x: Tensor) -> Tensor:
    """(B,) the other image of each"""
    return sent(parameters.flatten(1)[:, 0].long(), x.device)


def sampled_others(batch: int, generator: torch.Generator) -> Tensor:
    """(B,) for each image another of the batch, itself where it is alone"""
    steps = torch.randint(1, max(batch, 2), (1,), generator=generator)
    return (torch.arange(batch) + steps) % batch


def beta(alpha: float, batch: int, generator: torch.Generator) -> Tensor:
    """(B,) from the distribution Beta(alpha, alpha), the larger of the two shares"""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    shares = np.random.default_rng(seed).beta(alpha, alpha, batch)
    return torch.from_numpy(np.maximum(shares, 1 - shares)).float()


@dataclass(frozen=True)
class Mixup(Mixing):
    """Add up two images and their labels, with shares of the distribution Beta(alpha, alpha) (Zhang et al. 2018).

    The larger share is the image's own, so that with `p` below 1 labels stay near it.
    """

    alpha: float = 0.2
    p: float = 1.0

    def __post_init__(self):
        check_up_to("mixup", self.alpha, 100, "the alpha of a beta distribution")
        check_probability("mixup", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, 2) the other image, and the own share"""
        other = sampled_others(shape[0], generator)
        shares = sometimes(beta(self.alpha, shape[0], generator), 1, self.p, generator)
        return torch.stack([other.float(), shares], 1)

    def kept(self, parameters: Tensor, size: Shape) -> Tensor:
        return parameters[:, 1]

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        kept = per_image(sent(parameters[:, 1], x.device).to(x.dtype), x)
        return kept * x + (1 - kept) * x[others(parameters, x)]


@dataclass(frozen=True)
class Cutmix(Mixing):
    """Paste a box of another image, and its share of the label; of masks, that box of the other mask (Yun et al. 2019)."""

    alpha: float = 1.0
    p: float = 0.5
    geometric = True

    def __post_init__(self):
        check_up_to("cutmix", self.alpha, 100, "the alpha of a beta distribution")
        check_probability("cutmix", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, 1 + dim, 2) the other image, and where the box begins along each axis and its length"""
        other = sampled_others(shape[0], generator)
        share = 1 - beta(self.alpha, shape[0], generator)
        pasted = sometimes(boxes(share, shape, generator), 0, self.p, generator)
        return torch.cat([other.view(-1, 1, 1).expand(-1, 1, 2), pasted], 1)

    def kept(self, parameters: Tensor, size: Shape) -> Tensor:
        return 1 - parameters[:, 1:, 1].prod(1) / torch.Size(size).numel()

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, *S) -> the same shape"""
        pasted = inside(parameters[:, 1:], x.shape[2:], x.device)[:, None]
        return torch.where(pasted, x[others(parameters, x)], x)


for _name, _transform in {"mixup": Mixup, "cutmix": Cutmix}.items():
    register(_name, _transform)
