"""How far a map can be trusted: does it order the places as the network needs them, better than what needs no network?

Insertion and deletion (Petsiuk et al. 2018): places are covered, or uncovered, in the order of the map, and the
probability of the target is followed. A map is compared with a random order, with the distance from the centre, and with
an edge filter, none of which know the network (Adebayo et al. 2018; Clark et al. 2024).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyespot.explanation.gradients import batch_of

STEPS = 16
ORDERS = 3
"""Random orders, of which the mean is taken."""
REPEATED = ("grad-cam", "grad-cam++", "gradient", "guided-backprop", "deconvnet")
"""Methods of one backward pass, which are repeated with random parameters and with noise."""
RADIUS = 0.02
"""Of the noise, in standard deviations of the training images."""
SAMPLES = 6
NAMES = {"random": "a random order", "centre": "distance from the centre", "edges": "an edge filter"}
Probability = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Curves:
    """The probability of the target while places are inserted and deleted, from none to all; and the means."""

    insertion: tuple[float, ...]
    deletion: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Area under insertion minus that under deletion: from -1 to 1, 0 for an order that says nothing."""
        return area(self.insertion) - area(self.deletion)


@dataclass(frozen=True)
class Trust:
    """Insertion and deletion of a map and of the baselines, for one image.

    randomised    rank correlation of the map with that of the same network with random parameters; None if not measured
    sensitivity   by how much the map changes at most under a little noise: see `sensitivity`; None if not measured
    """

    curves: Curves
    baselines: dict[str, Curves]
    randomised: float | None = None
    sensitivity: float | None = None

    @property
    def warnings(self) -> list[str]:
        return [*filter(None, [self._no_better(), self._no_matter_what_was_learned()])]

    def _no_better(self) -> str:
        worst = [
            k for k in ("edges", "centre", "random") if self.curves.gain <= self.baselines[k].gain + 1e-9
        ]
        names = [f"{NAMES[k]} ({signed(self.baselines[k].gain)})" for k in worst]
        listed = " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
        own = f"its insertion minus deletion is {signed(self.curves.gain)}"
        return f"this map does no better than {listed}: {own}" if worst else ""

    def _no_matter_what_was_learned(self) -> str:
        if self.randomised is None or abs(self.randomised) <= 0.5:
            return ""
        like = "nearly this map" if self.randomised > 0 else "nearly this map with the opposite sign"
        return (
            f"the same network with random parameters gives {like} (rank correlation {self.randomised:.2f}): "
            "it shows the image and not what was learned"
        )

    @property
    def stability(self) -> str:
        """What a little noise does to the map, in a sentence; empty where that was not measured."""
        if self.sensitivity is None:
            return ""
        return (
            f"noise of {RADIUS:.0%} of the training images' standard deviation changes this map by up to {self.sensitivity:.0%} "
            f"of its size ({SAMPLES} tries)"
        )

    def as_dict(self) -> dict[str, Any]:
        """Insertion minus deletion, of the map and of each baseline."""
        return {"map": self.curves.gain} | {name: c.gain for name, c in self.baselines.items()}

    def __str__(self) -> str:
        others = ", ".join(f"{NAMES[k]} {signed(c.gain)}" for k, c in self.baselines.items())
        return f"insertion minus deletion {signed(self.curves.gain)} ({others})"


def signed(value: float) -> str:
    """+0.12; no minus before zero"""
    return f"{round(value, 2) + 0.0:+.2f}"


def area(values: tuple[float, ...]) -> float:
    """The area under a curve over a unit interval (trapezoids)."""
    return float((sum(values) - (values[0] + values[-1]) / 2) / (len(values) - 1))


def measure(
    probability: Probability, x: Tensor, covered: Tensor, blurred: Tensor, values: NDArray[Any], seed: int = 0
) -> Trust:
    """Compare a map (*S) of an image x (1, C, *S) with the baselines.

    covered   what deleted places become; blurred   what places are before they are inserted
    """
    rng = np.random.default_rng(seed)
    by_name = {"centre": centredness(values.shape), "edges": edges(x)}

    def of(scores: NDArray[Any]) -> Curves:
        order = np.lexsort((rng.random(scores.size), -scores.ravel()))  # equal ones in a random order
        return Curves(
            follow(probability, blurred, x, order),
            follow(probability, x, covered, order),
        )

    random = [of(rng.random(values.shape)) for _ in range(ORDERS)]
    mean = Curves(
        tuple(np.mean([c.insertion for c in random], 0).tolist()),
        tuple(np.mean([c.deletion for c in random], 0).tolist()),
    )
    return Trust(of(values), {"random": mean, **{name: of(scores) for name, scores in by_name.items()}})


@torch.no_grad()
def follow(probability: Probability, start: Tensor, end: Tensor, order: NDArray[Any]) -> tuple[float, ...]:
    """The probability while places of the start become those of the end, in an order"""
    counts = np.linspace(0, len(order), min(STEPS, len(order)) + 1).round().astype(int)
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    ranks = torch.from_numpy(rank).view(1, *start.shape[2:]).to(start.device)
    results: list[float] = []
    for k in range(0, len(counts), batch_of(start)):
        chosen = torch.from_numpy(counts[k : k + batch_of(start)]).to(start.device)
        changed = ranks[None] < chosen.view(-1, *[1] * (start.dim() - 1))
        results += probability(torch.where(changed, end, start)).tolist()
    return tuple(results)


def centredness(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(*S) the largest in the middle"""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    return -np.sqrt(sum(a**2 for a in axes))


def edges(x: Tensor) -> NDArray[np.float64]:
    """(*S) how sharp the image (1, C, *S) is: the absolute Laplacian of a Gaussian, summed over channels"""
    from scipy.ndimage import gaussian_laplace

    values = x[0].detach().cpu().double().numpy()
    return np.sum([np.abs(gaussian_laplace(c, 1.0, mode="nearest")) for c in values], 0)


def rank_correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Spearman's correlation of two maps; 0 where one is constant."""
    from scipy.stats import spearmanr

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a.ravel(), b.ravel())[0])  # type: ignore[arg-type]


def relevance_mass(values: NDArray[Any], truth: NDArray[np.bool_]) -> float:
    """The share of the positive values that lies where the truth is (Arras et al. 2022); NaN where none is positive."""
    positive = np.clip(values, 0, None)
    total = positive.sum()
    return float(positive[truth].sum() / total) if total > 0 else float("nan")


def relevance_rank(values: NDArray[Any], truth: NDArray[np.bool_]) -> float:
    """Of as many places as the truth has, those with the largest values, the share that lies in it."""
    n = int(truth.sum())
    top = np.argsort(-values.ravel(), kind="stable")[:n]
    return float(truth.ravel()[top].mean())


def randomised(network: Any, seed: int = 0) -> Any:
    """A copy of a network whose parameters are normal noise of the same mean and deviation, tensor by tensor."""
    from copy import deepcopy

    copied = deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in copied.parameters():
            spread = parameter.std() if parameter.numel() > 1 else parameter.abs().mean()
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            parameter.copy_(parameter.mean() + spread * noise)
    return copied


def sensitivity(
    explain: Callable[[Tensor], NDArray[Any]],
    x: Tensor,
    radius: float = RADIUS,
    samples: int = SAMPLES,
    seed: int = 0,
) -> float:
    """By how much of its norm a map changes at most under noise of a standard deviation of `radius` (Yeh et al. 2019)."""
    generator = torch.Generator().manual_seed(seed)
    before = explain(x)
    norm = float(np.linalg.norm(before)) or 1.0
    noisy = (x + radius * torch.randn(x.shape, generator=generator).to(x) for _ in range(samples))
    return max(float(np.linalg.norm(explain(image) - before)) / norm for image in noisy)
