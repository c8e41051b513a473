"""Seconds of maps for one image of 224 x 224 pixels, compared with captum where it is installed.

    python benchmarks/explanation.py --networks resnet50 vgg16 --rounds 3

- Grad-CAM (last stage) over one forward and backward pass with the gradient of the image, the two in turn.
- Occlusion with patches of 16 pixels, 8 apart (729 of them): captum's as its documentation has it (one patch a time) and
  with 16 patches a time, eyespot's with whole images, and eyespot's as it chooses. The first round is not counted; of
  the others the median of the ratios. The maps are compared with each other; differences are shares of the largest value.

Weights are random, float32, channels last, as many threads as cores.
"""

import argparse
import os
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from eyespot.explanation import cam, occlusion
from eyespot.explanation.incremental import Incremental
from eyespot.models import create

PATCH, STRIDE, SIDE, CLASS = 16, 8, 224, 5
LAYERS = {
    "resnet50": "layer4",
    "resnet18": "layer4",
    "vgg16": "features.29",
    "densenet121": "features.denseblock4",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=["resnet50", "vgg16"], choices=LAYERS)
    parser.add_argument("--rounds", type=int, default=3)
    o = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    for name in o.networks:
        network: Any = create(name).eval().requires_grad_(False)
        network.to(memory_format=torch.channels_last)
        x = torch.randn(1, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
        time_grad_cam(name, network, x, o.rounds)
        time_occlusion(name, network, x, o.rounds)


def time_grad_cam(name: str, network: Any, x: Tensor, rounds: int) -> None:
    def score(batch: Tensor) -> Tensor:
        return network(batch)[:, CLASS]

    def whole() -> None:
        changing = x.detach().requires_grad_()
        torch.autograd.grad(score(changing).sum(), changing)

    def grad_cam() -> None:
        for pair in cam.activations_and_gradients(score, x, network, LAYERS[name]):
            cam.grad_cam(*pair)

    ratios = []
    for _ in range(5 * rounds + 1):
        ratios.append(seconds(grad_cam) / seconds(whole))
    print(f"{name}: Grad-CAM takes {spread(ratios[1:])} of a forward and backward pass", flush=True)


@torch.no_grad()
def time_occlusion(name: str, network: Any, x: Tensor, rounds: int) -> None:
    zero = torch.zeros_like(x)
    maps: dict[str, Tensor] = {}

    def ours(incremental: bool) -> Callable[[], None]:
        def compute() -> None:
            fast = Incremental(network) if incremental else None
            score = None if fast is None else lambda batch: fast(batch)[:, CLASS]
            maps["eyespot" if incremental else "whole images"] = occlusion.occlusion(
                lambda batch: network(batch)[:, CLASS], x, zero, PATCH, STRIDE, incremental=score
            )

        return compute

    ways = {"eyespot": ours(True), "whole images": ours(False), **captum_ways(network, x, maps)}
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds + 1):
        for way, compute in ways.items():
            taken[way].append(seconds(compute))
    print(f"{name}: occlusion in {median(taken['eyespot'][1:]):.1f} s", flush=True)
    for way in list(ways)[1:]:
        ratios = [other / own for other, own in zip(taken[way][1:], taken["eyespot"][1:], strict=True)]
        off = (maps[way] - maps["eyespot"]).abs().max() / maps["eyespot"].abs().max()
        print(f"  {way} takes {spread(ratios)} times as long; the maps differ by {off:.1g}", flush=True)


def captum_ways(network: Any, x: Tensor, maps: dict[str, Tensor]) -> dict[str, Callable[[], None]]:
    try:
        from captum.attr import Occlusion  # type: ignore[import-not-found]
    except ImportError:
        print("captum is not installed: eyespot alone")
        return {}

    def way(at_once: int) -> Callable[[], None]:
        def compute() -> None:
            values = Occlusion(network).attribute(
                x,
                target=CLASS,
                sliding_window_shapes=(3, PATCH, PATCH),
                strides=(3, STRIDE, STRIDE),
                perturbations_per_eval=at_once,
            )
            maps[f"captum, {at_once} at once"] = values[0, 0]

        return compute

    return {f"captum, {n} at once": way(n) for n in (1, 16)}


def seconds(compute: Callable[[], None]) -> float:
    start = perf_counter()
    compute()
    return perf_counter() - start


def spread(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


if __name__ == "__main__":
    main()
