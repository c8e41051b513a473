"""Images a second of augmentation, beside albumentations and torchvision v2 on one core.

    ENV/bin/python benchmarks/augmentation.py [--sizes 32 224] [--rounds 7] [--json FILE]

eyespot and the peers are installed in the same environment; a peer that is missing is left out, and the reason printed.
The same 8-bit colour images go in and 8-bit images come out: mirrored with a probability of 0.5, moved (shift up to 6%,
rotate up to 15 degrees, scale 0.9 to 1.1, with linear interpolation and a reflected border), and their brightness,
contrast, saturation and hue changed by up to a fifth (18 degrees of hue). eyespot changes batches, the peers one image
after the other, as their documentation shows: albumentations arrays (H, W, C), torchvision tensors (C, H, W).
Each round times all of them one after the other by the processor's clock; medians over the rounds, and the ratio to
each peer as the median of the rounds' ratios, with their range. Freed memory is kept, as in training.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import process_time

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NO_ALBUMENTATIONS_UPDATE="1")

import numpy as np
import torch

from eyespot.augment import Pipeline, parse
from eyespot.fast import keep_freed

PIPELINE = "flip|shift(0.06)|rotate(15)|scale(0.9,1.1)|brightness(0.2)|contrast(0.2)|saturation(0.2)|hue(18)"
Images = np.ndarray
Augment = Callable[[Images], object]


def eyespot_batches(batch: int) -> Augment:
    pipeline = Pipeline(parse(PIPELINE, 2))
    generator = torch.Generator().manual_seed(0)

    def augment(images: Images) -> list[torch.Tensor]:
        results = []
        for start in range(0, len(images), batch):
            x = torch.from_numpy(images[start : start + batch]).movedim(-1, 1)
            results.append(pipeline.apply(x, pipeline.sample(generator, x.shape)))
        return results

    return augment


def of_albumentations() -> Augment:
    import albumentations as A
    import cv2

    cv2.setNumThreads(1)
    compose = A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(
                translate_percent=(-0.06, 0.06),
                rotate=(-15, 15),
                scale=(0.9, 1.1),
                border_mode=cv2.BORDER_REFLECT_101,
                p=1,
            ),
            A.ColorJitter((0.8, 1.2), (0.8, 1.2), (0.8, 1.2), (-0.05, 0.05), p=1),
        ],
        seed=0,
    )
    return lambda images: [compose(image=image)["image"] for image in images]


def of_torchvision() -> Augment:
    from torchvision.transforms import v2

    compose = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(15, (0.06, 0.06), (0.9, 1.1), interpolation=v2.InterpolationMode.BILINEAR),
            v2.ColorJitter(0.2, 0.2, 0.2, 0.05),
        ]
    )

    def augment(images: Images) -> list[torch.Tensor]:
        tensors = torch.from_numpy(images).movedim(-1, 1).contiguous()
        return [compose(tensor) for tensor in tensors]

    return augment


PEERS = {"albumentations": of_albumentations, "torchvision": of_torchvision}


def contestants(batch: int) -> dict[str, Augment]:
    """Those that are installed."""
    ready = {"eyespot": eyespot_batches(batch)}
    for name, make in PEERS.items():
        try:
            ready[name] = make()
        except Exception as error:
            print(f"{name} is left out: {type(error).__name__}: {error}", file=sys.stderr)
    return ready


def compare(size: int, rounds: int) -> dict[str, object]:
    """Images a second at one size, in rounds that are interleaved."""
    number, batch = (2048, 256) if size <= 64 else (64, 16)
    images = np.random.default_rng(0).integers(0, 256, (number, size, size, 3), dtype=np.uint8)
    ready = contestants(batch)
    rates: dict[str, list[float]] = {name: [] for name in ready}
    for k in range(rounds + 1):
        for name, augment in ready.items():
            start = process_time()
            augment(images)
            if k:  # the first round warms up
                rates[name].append(number / (process_time() - start))
    ratios = {
        name: [ours / theirs for ours, theirs in zip(rates["eyespot"], rates[name], strict=True)]
        for name in ready
        if name != "eyespot"
    }
    return {
        "size": size,
        "batch": batch,
        "images": number,
        "rounds": rounds,
        "images_per_second": {name: round(median(values)) for name, values in rates.items()},
        "ratios": {
            name: [round(value, 2) for value in (median(values), min(values), max(values))]
            for name, values in ratios.items()
        },
    }


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sizes", type=int, nargs="+", default=[32, 224])
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    keep_freed()
    packages = {}
    for name in ("torch", *PEERS):
        try:
            packages[name] = version(name)
        except ImportError:
            continue
    print(platform.processor() or platform.machine(), packages)
    results = [compare(size, options.rounds) for size in options.sizes]
    for result in results:
        print(
            f"{result['size']} pixels, batches of {result['batch']}: {result['images_per_second']} images/s"
        )
        for name, (middle, low, high) in result["ratios"].items():
            print(f"  eyespot is {middle} times {name} ({low} to {high} over {options.rounds} rounds)")
    if options.json:
        options.json.write_text(json.dumps({"packages": packages, "results": results}, indent=2))


if __name__ == "__main__":
    main()
