"""The effective receptive field, Luo et al. 2016: how much of what a unit can see it does look at."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from eyespot.anatomy.axes import Seen
from eyespot.anatomy.follow import Follower
from eyespot.anatomy.state import mode, state
from eyespot.errors import UserError

IMAGES = 16
SHARE = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class Effective:
    """The side, in samples, of the centred cube that holds `share` of a middle unit's squared gradient.

    low, high   95% interval from `n` random images, by bootstrap

    The image cuts it: gradient beyond the border does not exist, and where the theoretical field is larger than the
    image, a larger image can give a larger value.
    """

    value: float
    low: float
    high: float
    n: int
    share: float = SHARE

    def as_dict(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "share": self.share}

    def __str__(self) -> str:
        return (
            f"{self.value:.0f} ({self.low:.0f} to {self.high:.0f}, n = {self.n} random images), "
            f"the side that holds {100 * self.share:.0f}% of a middle unit's squared gradient"
        )


def effective_field(
    model: nn.Module, shape: tuple[int, ...], *, images: int = IMAGES, share: float = SHARE, seed: int = 0
) -> Effective:
    """Measure it at the last layer with positions, for images (channels, *S) of normal noise.

    The gradient is that of the middle unit, its channels added with random signs, so that on average the square is
    the sum of the channels' squares.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [profile(*squared_gradient(model, shape, generator)) for _ in range(images)]
    sides = rows[0][0]
    shares = np.stack([row[1] for row in rows])
    picks = np.random.default_rng(seed).integers(0, images, (RESAMPLES, images))
    drawn = [side_of(shares[pick].sum(0), sides, share) for pick in picks]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Effective(side_of(shares.sum(0), sides, share), float(low), float(high), images, share)


def squared_gradient(
    model: nn.Module, shape: tuple[int, ...], generator: torch.Generator
) -> tuple[NDArray[np.float64], list[float]]:
    """(*S) squared gradient of the middle unit with respect to one random image, and where its field's middle is."""
    image = torch.randn(1, *shape, generator=generator)
    device = next((p.device for p in model.parameters()), image.device)
    image = image.to(device).requires_grad_()
    follower = Follower(image, keep=True)
    with torch.enable_grad(), mode(model, False), follower:
        functional_call(model, state(model, device), (image,))
    unit = follower.unit
    seen = follower.last
    at, middle = middle_of(unit, seen, shape)
    values = unit[(0, slice(None), *at)]
    signs = torch.randint(0, 2, values.shape, generator=generator) * 2.0 - 1
    (gradient,) = torch.autograd.grad((values * signs.to(device)).sum(), image)
    return gradient[0].double().square().sum(0).cpu().numpy(), middle


def middle_of(unit: Tensor, seen: Seen, shape: tuple[int, ...]) -> tuple[list[int], list[float]]:
    """Of a tensor (1, C, *S'): the middle position, and the middle of what it sees of each axis of the image."""
    if [a.dim for a in seen] != list(range(2, unit.dim())):
        raise UserError("the effective receptive field needs a layer that could be followed; see the notes")
    at = [n // 2 for n in unit.shape[2:]]
    ends = [a.fields.at(i) if a.fields else (0, n - 1) for a, i, n in zip(seen, at, shape[1:], strict=True)]
    return at, [(low + high) / 2 for low, high in ends]


def profile(
    energy: NDArray[np.float64], middle: list[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sides of growing cubes about the middle, and the share of the energy in each, from 0 to 1."""
    distance = np.zeros(energy.shape)
    for axis, (n, m) in enumerate(zip(energy.shape, middle, strict=True)):
        along = np.abs(np.arange(n) - m).reshape([-1 if k == axis else 1 for k in range(energy.ndim)])
        distance = np.maximum(distance, along)
    sides, ring = np.unique(2 * distance + 1, return_inverse=True)
    inside = np.cumsum(np.bincount(ring.ravel(), energy.ravel()))
    if not inside[-1] > 0:
        raise UserError("the middle unit has no gradient: its effective receptive field is not defined")
    return sides, inside / inside[-1]


def side_of(shares: NDArray[np.float64], sides: NDArray[np.float64], share: float) -> float:
    return float(sides[np.searchsorted(shares, share * shares[-1])])
