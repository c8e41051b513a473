"""Do maps mark the object, where it is known that the network follows the object and nothing else?

Networks are trained in seconds on images with a planted object (tests/planted.py) and kept only if another object changes the
label in 99% of images, and another background in under 1%. Counted is how often the largest value of a map lies on the
object. The second table has a suppressor: a frame that says nothing of the label, but without which a network cannot read
the plus that does.

    OMP_NUM_THREADS=1 python benchmarks/planted_objects.py

The results are in docs/explanation.md.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from eyespot.explanation.explain import Explainer, Request
from eyespot.explanation.trust import centredness, edges
from eyespot.metrics.intervals import wilson
from planted import CLASSES, certified, highest, labels_of, planted, suppressed, train

METHODS = ("grad-cam", "occlusion", "gradient", "integrated-gradients")
MARGIN = 2
"""Pixels: half of occlusion's patch at this size, and half of a step of the layer that Grad-CAM looks at."""


def maps_of(predictor, images, method: str) -> list[np.ndarray]:
    explainer = Explainer(predictor, Request(method, check=False))
    return [explainer.of_image(image).map for image in images]


def baselines(images) -> dict[str, list[np.ndarray]]:
    """Maps that know nothing of a network"""
    rng = np.random.default_rng(0)
    tensors = torch.from_numpy(np.moveaxis(images, -1, 1)).float()
    return {
        "a random place": [rng.random(image.shape[:2]) for image in images],
        "the centre": [centredness(image.shape[:2]) for image in images],
        "an edge filter": [edges(x[None]) for x in tensors],
    }


def percent(hits: list[bool]) -> str:
    low, high = wilson(float(np.mean(hits)), len(hits))
    return f"{np.mean(hits):.1%} ({low:.1%} to {high:.1%})"


def objects(kinds: int, seeds: int, n: int) -> None:
    """How often the maximum lies in the object's square, over networks"""
    strict: dict[str, list[list[bool]]] = {}
    near: dict[str, list[list[bool]]] = {}
    for seed in range(seeds):
        predictor, used, (follows, distracted) = certified(seed, kinds)
        print(
            f"seed {used}: the label follows the object in {follows:.1%}, the background in {distracted:.1%}"
        )
        data = planted(2 * n, 1000 * seed + 900, kinds)
        shown = np.flatnonzero(data.labels < 2)[:n]  # those with an object
        images = data.images[shown]
        maps = {m: maps_of(predictor, images, m) for m in METHODS} | baselines(images)
        for name, of_images in maps.items():
            for hits, squares in ((strict, data.squares()), (near, data.squares(MARGIN))):
                on = [bool(s[highest(m)]) for m, s in zip(of_images, squares[shown], strict=True)]
                hits.setdefault(name, []).append(on)
    print(f"{kinds} classes, {seeds} networks, n = {seeds * n} images")
    for name in strict:
        of_networks = [np.mean(hits) for hits in strict[name]]
        print(
            f"| {name} | {percent([h for hits in strict[name] for h in hits])} | {min(of_networks):.0%} to {max(of_networks):.0%} | "
            f"{percent([h for hits in near[name] for h in hits])} |"
        )


def suppressor(seed: int, n: int) -> None:
    """How much of each map lies on what says nothing"""
    data = suppressed(6144, seed)
    predictor = train(data.images, data.labels, ["brighter", "darker"], seed, 8)
    test = suppressed(1000, seed + 500)
    before = labels_of(predictor, test.images)
    other = type(test)(test.backgrounds, test.corners, np.roll(test.noise, 1), test.labels)
    moved = test.images.copy()
    frames = test.squares(1)
    moved[frames] = other.images[frames]
    changed = (labels_of(predictor, moved) != before).mean()
    print(
        f"accuracy {(before == test.labels).mean():.1%}; another frame alone changes {changed:.1%} of the labels"
    )
    shown = slice(0, n)
    images = test.images[shown]
    maps = {m: maps_of(predictor, images, m) for m in METHODS} | baselines(images)
    for name, of_images in maps.items():
        rows = [[] for _ in range(2)]
        for of, row in enumerate(rows):
            for values, square in zip(of_images, test.squares(of)[shown], strict=True):
                size = np.abs(values - values.min()) if name in baselines(images[:1]) else np.abs(values)
                row.append(size[square].sum() / size.sum())
        top = [bool(s[highest(np.abs(m))]) for m, s in zip(of_images, test.squares(1)[shown], strict=True)]
        print(f"| {name} | {np.mean(rows[0]):.0%} | {np.mean(rows[1]):.0%} | {percent(top)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--n", type=int, default=200, help="images of each network")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for kinds in (len(CLASSES), 2):
        objects(kinds, options.seeds, options.n)
    suppressor(0, options.n)


if __name__ == "__main__":
    main()
