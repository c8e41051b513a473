"""Maps from gradients: of the score itself, averaged over noise or along a path, or with other rules for ReLUs.

Each takes `score`, a function (B, C, *S) -> (B,), and one image x (1, C, *S), and gives values (C, *S) with their sign.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from eyespot.errors import UserError

Score = Callable[[Tensor], Tensor]
SAMPLES = 25
NOISE = 0.15
"""SmoothGrad: images with noise, and its standard deviation as a share of the image's range (Smilkov et al. 2017)."""
TOLERANCE = 1e-3
"""Integrated gradients: by how much the sum may differ from the difference of the scores, as a share of it."""
FIRST_STEPS = 32
FINEST = 2.0**-14
"""The shortest step along the path."""
BATCH_VALUES = 2**21
"""Values of a batch of images, which bounds memory."""


def gradient(score: Score, x: Tensor) -> Tensor:
    """The slope of the score along each value of the image (Simonyan et al. 2013)."""
    return gradients(score, x)[0]


def gradients(score: Score, x: Tensor) -> Tensor:
    """(B, C, *S) -> (B, C, *S), of each image's own score"""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(score(x).sum(), x)[0].detach()


def batch_of(x: Tensor) -> int:
    """How many images like this one are computed at once."""
    return max(1, min(64, BATCH_VALUES // x[0].numel()))


def smooth_gradient(
    score: Score, x: Tensor, samples: int = SAMPLES, noise: float = NOISE, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """The mean gradient of images with noise (Smilkov et al. 2017), and the standard error of each mean."""
    generator = torch.Generator().manual_seed(seed)
    spread = noise * float(x.max() - x.min())
    total = torch.zeros_like(x[0])
    squares = torch.zeros_like(x[0])
    left = samples
    while left:
        n = min(left, batch_of(x))
        drawn = torch.randn((n, *x.shape[1:]), generator=generator, dtype=x.dtype).to(x.device)
        values = gradients(score, x + spread * drawn)
        total += values.sum(0)
        squares += values.square().sum(0)
        left -= n
    mean = total / samples
    variance = (squares / samples - mean.square()).clamp(min=0)
    return mean, (variance / max(1, samples - 1)).sqrt()


def integrated_gradients(
    score: Score, x: Tensor, baseline: Tensor, tolerance: float = TOLERANCE, most: int = 1024
) -> tuple[Tensor, float]:
    """The mean gradient on the way from a baseline to the image, times the way (Sundararajan et al. 2017).

    The values sum to the difference of the two scores. The path is cut where it bends: a step counts when the slope in
    its middle explains the difference between its ends, else it is halved; of a network of ReLUs, whose score is made of
    straight pieces, most steps are exact. Returns the values (C, *S), and how much the sum is off.

    most   gradients at most
    """
    path = _Path(score, baseline, x)
    difference = path.score_at(1.0) - path.score_at(0.0)
    scale = max(abs(difference), 1e-3 * max(abs(path.score_at(0.0)), abs(path.score_at(1.0))), 1e-12)
    accepted = torch.zeros_like(x[0])
    off_by = 0.0
    steps = [(k / FIRST_STEPS, (k + 1) / FIRST_STEPS) for k in range(FIRST_STEPS)]
    while steps:
        slope, missing = path.follow(steps)
        sums_up = abs(off_by + sum(missing)) <= tolerance * scale
        halved = (
            []
            if sums_up or path.used + 2 * len(steps) > most
            else [
                step
                for step, off in zip(steps, missing, strict=True)
                if abs(off) > tolerance * scale * (step[1] - step[0]) and step[1] - step[0] > FINEST
            ]
        )
        if not halved:
            accepted += slope
            break
        kept = [step for step in steps if step not in set(halved)]
        if kept:
            slope, missing = path.follow(kept)
            accepted += slope
            off_by += sum(missing)
        steps = [half for low, high in halved for half in ((low, (low + high) / 2), ((low + high) / 2, high))]
    values = accepted * path.way[0]
    return values, abs(float(values.sum()) - difference)


class _Path:
    """The straight way from a baseline to an image; `used` counts gradients."""

    def __init__(self, score: Score, baseline: Tensor, x: Tensor):
        self.score = score
        self.baseline = baseline
        self.way = x - baseline
        self.used = 0
        self.known: dict[float, float] = {}

    def at(self, places: list[float]) -> Tensor:
        shares = self.way.new_tensor(places).view(-1, *[1] * (self.way.dim() - 1))
        return self.baseline + shares * self.way

    def score_at(self, place: float) -> float:
        if place not in self.known:
            with torch.no_grad():
                self.known[place] = float(self.score(self.at([place])))
        return self.known[place]

    def follow(self, steps: list[tuple[float, float]]) -> tuple[Tensor, list[float]]:
        """The sum of the slopes in the middle of the steps, by their widths; and what each step's ends differ beyond it."""
        total = torch.zeros_like(self.way[0])
        missing: list[float] = []
        self._learn(sorted({end for step in steps for end in step} - self.known.keys()))
        size = batch_of(self.way)
        for k in range(0, len(steps), size):
            batch = steps[k : k + size]
            slopes = gradients(self.score, self.at([(low + high) / 2 for low, high in batch]))
            widths = self.way.new_tensor([high - low for low, high in batch])
            total += torch.tensordot(widths, slopes, 1)
            explained = ((slopes * self.way).flatten(1).sum(1) * widths).tolist()
            missing += [
                self.known[high] - self.known[low] - slope
                for (low, high), slope in zip(batch, explained, strict=True)
            ]
            self.used += len(batch)
        return total, missing

    def _learn(self, places: list[float]) -> None:
        """The scores at places of the path."""
        size = batch_of(self.way)
        for k in range(0, len(places), size):
            batch = places[k : k + size]
            with torch.no_grad():
                self.known.update(zip(batch, self.score(self.at(batch)).tolist(), strict=True))


RELUS = {"relu", "relu_"}


class _ChangedReLU(torch.autograd.Function):
    """ReLU whose backward pass keeps positive gradients only: everywhere (deconvnet), or where the input is positive too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, guided: bool) -> Tensor:
        ctx.guided = guided
        ctx.save_for_backward(x > 0)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (positive,) = ctx.saved_tensors
        kept = gradients[0].clamp(min=0)
        return (kept * positive if ctx.guided else kept), None


class _ReLURule(TorchFunctionMode):
    """Within it every ReLU, a module or a function, has another backward pass; `changed` counts them."""

    def __init__(self, guided: bool):
        super().__init__()
        self.guided = guided
        self.changed = 0

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name not in RELUS:
            return func(*args, **kwargs)
        self.changed += 1
        x = args[0] if args else kwargs["input"]
        y = _ChangedReLU.apply(x, self.guided)
        in_place = name.endswith("_") or kwargs.get("inplace") or args[1:2] == (True,)
        return x.copy_(y) if in_place else y


@contextmanager
def changed_relus(guided: bool, name: str) -> Iterator[None]:
    """ReLUs with the rule of a method. Raises UserError where the network has called none: the map would be the gradient."""
    rule = _ReLURule(guided)
    with rule:
        yield
    if not rule.changed:
        raise UserError(
            f"{name} changes the backward pass of ReLUs, and this network has none (GELU or others): use gradient or smoothgrad"
        )


def guided_backprop(score: Score, x: Tensor) -> Tensor:
    """The gradient with negative ones dropped at each ReLU (Springenberg et al. 2014). It is not about the class alone."""
    with changed_relus(True, "guided-backprop"):
        return gradient(score, x)


def deconvnet(score: Score, x: Tensor) -> Tensor:
    """The gradient with ReLU applied to it in place of the ReLU's own backward pass (Zeiler and Fergus 2013)."""
    with changed_relus(False, "deconvnet"):
        return gradient(score, x)
