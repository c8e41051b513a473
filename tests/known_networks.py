"""Tiny networks with weights set by hand, whose maps are closed formulas: the oracle of everything that explains.

Each `Known` has a network, an image, a score, and what is true of it: the gradient, integrated gradients from zero, the
fall of the score when a window becomes zero, and the support, the places that can change the score at all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyespot.models import create

SIDE = 8
"""Of the squares."""


@dataclass
class Known:
    """network (1, C, *S) -> logits; score of logits; the truths, all (C, *S)."""

    network: nn.Module
    x: Tensor
    gradient: Tensor
    integrated: Tensor
    support: Tensor
    target: Callable[[Tensor], Tensor] = lambda logits: logits[:, 0]
    field: int | None = None

    def score(self, x: Tensor) -> Tensor:
        return self.target(self.network(x))


class Weighted(nn.Module):
    """logit = w . x"""

    def __init__(self, weights: Tensor):
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weights).flatten(1).sum(1, keepdim=True)


class Counter(nn.Module):
    """Logits (templates,): of how many places the mean of a template exceeds a half, each as 2 relu(mean - 1/2)

    templates   (N, C, *window), of sum 1 where they match values of 1; they lie side by side or at every sample
    """

    def __init__(self, templates: Tensor, step: int):
        super().__init__()
        n, channels, *window = templates.shape
        self.conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(window) - 1](
            channels, n, tuple(window), step
        ).double()
        self.conv.weight.data = templates.double()
        self.conv.bias.data.fill_(-0.5)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.relu(self.conv(x)).flatten(2).sum(2)


def linear() -> Known:
    rng = torch.Generator().manual_seed(1)
    weights = torch.randn(2, 5, 6, generator=rng, dtype=torch.float64)
    x = torch.randn(1, 2, 5, 6, generator=rng, dtype=torch.float64)
    return Known(Weighted(weights), x, weights, weights * x[0], weights != 0)


def red_minus_blue() -> Known:
    """Two red squares, a blue one and a green one, counted red minus blue: a difference of two classes."""
    red = torch.zeros(3, SIDE, SIDE)
    red[0] = 1 / SIDE**2
    blue = red.flip(0)
    network = Counter(torch.stack([red, blue]), SIDE)
    x = torch.zeros(1, 3, 32, 40, dtype=torch.float64)
    x[0, 0, 0:8, 8:16] = 1
    x[0, 0, 16:24, 32:40] = 1
    x[0, 2, 24:32, 0:8] = 1
    x[0, 1, 8:16, 16:24] = 1
    slope = torch.zeros_like(x[0])
    slope[0] = 2 / SIDE**2 * x[0, 0]
    slope[2] = -2 / SIDE**2 * x[0, 2]
    # A square of brightness t counts from t = 1/2 on: half of the way, at twice the slope.
    support = torch.ones_like(x[0], dtype=torch.bool)
    support[1] = False
    return Known(
        network, x, slope, slope * 0.5, support, lambda logits: logits[:, 0] - logits[:, 1], field=SIDE
    )


def chirp() -> Known:
    """A signal with a chirp at sample 40, found by correlation."""
    t = torch.arange(32, dtype=torch.float64)
    wave = torch.sin(0.02 * t**2 + 0.2 * t)
    template = (wave / wave.square().sum())[None, None]
    x = torch.zeros(1, 1, 100, dtype=torch.float64)
    x[0, 0, 40:72] = wave
    network = Counter(template, 1)
    matches = F.conv1d(x, template)[0, 0]
    slope = torch.zeros(1, 100, dtype=torch.float64)
    integrated = torch.zeros(1, 100, dtype=torch.float64)
    for place in torch.nonzero(matches > 0.5).flatten().tolist():
        slope[0, place : place + 32] += 2 * template[0, 0]
        share = 1 - 0.5 / float(matches[place])  # of the way on which this place counts
        integrated[0, place : place + 32] += 2 * share * template[0, 0]
    return Known(network, x, slope, integrated * x[0], torch.ones(1, 100, dtype=torch.bool), field=32)


def ball() -> Known:
    """A volume with a ball of radius 2 about (4, 5, 6)."""
    z, y, w = torch.meshgrid(*[torch.arange(5) - 2] * 3, indexing="ij")
    inside = (z**2 + y**2 + w**2 <= 4).double()
    template = (inside / inside.sum())[None, None]
    x = torch.zeros(1, 1, 10, 11, 12, dtype=torch.float64)
    x[0, 0, 2:7, 3:8, 4:9] = inside
    network = Counter(template, 1)
    matches = F.conv3d(x, template)[0, 0]
    slope = torch.zeros_like(x[0])
    integrated = torch.zeros_like(x[0])
    for a, b, c in torch.nonzero(matches > 0.5).tolist():
        slope[0, a : a + 5, b : b + 5, c : c + 5] += 2 * template[0, 0]
        share = 1 - 0.5 / float(matches[a, b, c])
        integrated[0, a : a + 5, b : b + 5, c : c + 5] += 2 * share * template[0, 0]
    return Known(network, x, slope, integrated * x[0], torch.ones_like(x[0], dtype=torch.bool), field=5)


def blurred_threshold(at: tuple[int, int] = (9, 12)) -> Known:
    """A U-Net whose logit of class 1 is a 3 x 3 mean of relu(channel 0 - 1/2), seen at one place of the mask."""
    network = create("unet", classes=2, channels=2, width=2, levels=2, dropout=0.0).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        first = network.down[0]
        first.conv1.weight[0, 0, 1, 1] = 1
        first.conv1.bias[0] = -0.5
        first.conv2.weight[0, 0] = 1 / 9
        merged = network.merge[0]
        merged.conv1.weight[0, 0, 1, 1] = 1
        merged.conv2.weight[0, 0, 1, 1] = 1
        network.head.weight[1, 0] = 1
    rng = torch.Generator().manual_seed(2)
    x = torch.rand(1, 2, 16, 24, generator=rng, dtype=torch.float64)
    near = torch.zeros(2, 16, 24, dtype=torch.float64)
    near[0, at[0] - 1 : at[0] + 2, at[1] - 1 : at[1] + 2] = 1 / 9
    above = (x[0] > 0.5).double()
    share = (1 - 0.5 / x[0].clamp(min=0.5)) * above
    return Known(
        network,
        x,
        near * above,
        near * share * x[0],
        near > 0,
        lambda logits: logits[:, 1, at[0], at[1]],
    )


class Functional(nn.Module):
    """logit = sum relu(a x) - relu(b x), with ReLU as a function, which hooks on modules do not see"""

    def __init__(self, in_place: bool = False):
        super().__init__()
        self.in_place = in_place

    def forward(self, x: Tensor) -> Tensor:
        up = F.relu(2 * x, inplace=self.in_place)
        down = torch.relu(-3 * x)
        return (up - down).flatten(1).sum(1, keepdim=True)


def functional() -> Known:
    x = torch.tensor([[[1.0, -1.0, 2.0, -0.5]]], dtype=torch.float64)
    slope = torch.where(x[0] > 0, 2.0, 3.0).double()
    return Known(Functional(), x, slope, slope * x[0], torch.ones(1, 4, dtype=torch.bool))


class Constant(nn.Module):
    """A logit that no image changes"""

    def forward(self, x: Tensor) -> Tensor:
        return 0 * x.flatten(1).sum(1, keepdim=True) + 1


def constant() -> Known:
    x = torch.ones(1, 3, 6, 6, dtype=torch.float64)
    zero = torch.zeros_like(x[0])
    return Known(Constant(), x, zero, zero, zero > 0)


class Skip(nn.Module):
    """logit at the middle of x + box(box(x)): two paths of different fields"""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv1d(1, 1, 3, padding=1, bias=False).double()
        self.b = nn.Conv1d(1, 1, 5, padding=2, bias=False).double()
        for conv in (self.a, self.b):
            nn.init.ones_(conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.b(self.a(x)))[:, :, x.shape[-1] // 2]


def skip() -> Known:
    x = torch.linspace(-1, 1, 15, dtype=torch.float64)[None, None]
    slope = torch.zeros(1, 15, dtype=torch.float64)
    slope[0, 4:11] = torch.tensor([1, 2, 3, 3, 3, 2, 1], dtype=torch.float64)
    slope[0, 7] += 1
    return Known(Skip(), x, slope, slope * x[0], slope > 0, field=7)


class Largest(nn.Module):
    """logit = the largest of each pair, summed: the gradient goes to one place of two"""

    def __init__(self):
        super().__init__()
        self.pool = nn.MaxPool1d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x).sum(2)


def largest_of_pairs() -> Known:
    x = torch.tensor([[[1.0, 3.0, 5.0, 2.0, -1.0, -4.0]]], dtype=torch.float64)
    slope = torch.tensor([[0, 1, 1, 0, 1, 0]], dtype=torch.float64)
    return Known(Largest(), x, slope, slope * x[0], torch.ones(1, 6, dtype=torch.bool))


class Reused(nn.Module):
    """One ReLU module called twice: relu(relu(x - 1) - 1), so that a brightness counts from 2 on"""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.relu(x - 1) - 1).flatten(1).sum(1, keepdim=True)


def reused() -> Known:
    x = torch.tensor([[[0.5, 1.5, 2.5, 4.0]]], dtype=torch.float64)
    slope = (x[0] > 2).double()
    share = (1 - 2 / x[0]).clamp(min=0)
    return Known(Reused(), x, slope, slope * share * x[0], torch.ones(1, 4, dtype=torch.bool))


class Doubled(nn.Module):
    """logit = 2 times every second sample, by an inside layer that is a strided convolution"""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, stride=2, bias=False).double()
        nn.init.constant_(self.conv.weight, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).flatten(1).sum(1, keepdim=True)


def every_second() -> Known:
    x = torch.arange(30, dtype=torch.float64).view(1, 1, 5, 6)
    slope = torch.zeros(1, 5, 6, dtype=torch.float64)
    slope[0, ::2, ::2] = 2
    return Known(Doubled(), x, slope, slope * x[0], slope > 0, field=1)


class Smooth(nn.Module):
    """logit = the sum of cubes: a gradient that changes all along the path"""

    def forward(self, x: Tensor) -> Tensor:
        return x.pow(3).flatten(1).sum(1, keepdim=True)


def cubes() -> Known:
    x = torch.tensor([[[1.0, -2.0, 0.5]]], dtype=torch.float64)
    return Known(Smooth(), x, 3 * x[0] ** 2, x[0] ** 3, torch.ones(1, 3, dtype=torch.bool))


KNOWN = {
    make.__name__: make
    for make in (
        linear,
        red_minus_blue,
        chirp,
        ball,
        blurred_threshold,
        functional,
        constant,
        skip,
        largest_of_pairs,
        reused,
        every_second,
        cubes,
    )
}


def fall(known: Known, patch: int, stride: int) -> np.ndarray:
    """(*S) occlusion by its definition, one window at a time, from zero: of the networks above every value is exact."""
    x = known.x
    size = x.shape[2:]
    total = np.zeros(size)
    times = np.zeros(size)
    before = known.score(x).item()
    starts = [range(0, -(-max(0, n - patch) // stride) * stride + 1, stride) for n in size]
    for corner in np.ndindex(*[len(s) for s in starts]):
        window = tuple(slice(s[i], s[i] + patch) for s, i in zip(starts, corner, strict=True))
        covered = x.clone()
        covered[(slice(None), slice(None), *window)] = 0
        total[window] += before - known.score(covered).item()
        times[window] += 1
    return total / times
