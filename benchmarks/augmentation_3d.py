"""Volumes with masks a second of augmentation, beside TorchIO and batchgeneratorsv2 on one core.

    ENV/bin/python benchmarks/augmentation_3d.py [--size 64] [--rounds 7]

eyespot and the peers are installed in the same environment; a peer that is missing is left out, and the reason printed.
One channel of float32 and a mask of three classes: mirrored along each axis with a probability of 0.5, rotated up to 15
degrees about each axis and scaled by 0.9 to 1.1, the volume by linear interpolation and the mask to the nearest class,
then brightness times 0.8 to 1.2. Each round times all of them one after the other by the processor's clock; medians over
the rounds, and the ratio to each peer as the median of the rounds' ratios, with their range.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from statistics import median
from time import process_time

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS="1")

import torch
from torch import Tensor

from eyespot.augment import parse
from eyespot.augment.pipeline import augment_pair
from eyespot.fast import keep_freed

PIPELINE = "flip_axes|rotate(15)|scale(0.9,1.1)|brightness(0.2)"
NUMBER = 4
Augment = Callable[[Tensor, Tensor], object]


def of_eyespot(size: int) -> Augment:
    transforms = parse(PIPELINE, 3)
    generator = torch.Generator().manual_seed(0)
    return lambda volumes, masks: augment_pair(volumes, masks, transforms, generator)


def of_torchio(size: int) -> Augment:
    import torchio as tio

    compose = tio.Compose(
        [
            tio.RandomFlip((0, 1, 2), flip_probability=0.5),
            tio.RandomAffine(scales=(0.9, 1.1), degrees=15, isotropic=True),
            tio.Lambda(lambda x: x * torch.empty(1).uniform_(0.8, 1.2), types_to_apply=[tio.INTENSITY]),
        ]
    )

    def augment(volumes: Tensor, masks: Tensor) -> list:
        pairs = zip(volumes, masks, strict=True)
        return [
            compose(tio.Subject(image=tio.ScalarImage(tensor=v), mask=tio.LabelMap(tensor=m[None])))
            for v, m in pairs
        ]

    return augment


def of_batchgenerators(size: int) -> Augment:
    from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
    from batchgeneratorsv2.transforms.intensity.contrast import BGContrast
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

    turn = 15 / 180 * torch.pi
    compose = ComposeTransforms(
        [
            SpatialTransform(
                (size,) * 3,
                0,
                random_crop=False,
                p_rotation=1,
                rotation=(-turn, turn),
                p_scaling=1,
                scaling=(0.9, 1.1),
                p_synchronize_scaling_across_axes=1,
                mode_seg="nearest",
            ),
            MultiplicativeBrightnessTransform(
                BGContrast((0.8, 1.2)), synchronize_channels=True, p_per_channel=1
            ),
            MirrorTransform((0, 1, 2)),
        ]
    )

    def augment(volumes: Tensor, masks: Tensor) -> list:
        pairs = zip(volumes, masks, strict=True)
        return [compose(image=v, segmentation=m[None].to(torch.int16)) for v, m in pairs]

    return augment


CONTESTANTS = {"eyespot": of_eyespot, "torchio": of_torchio, "batchgeneratorsv2": of_batchgenerators}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--size", type=int, default=64)
    arguments.add_argument("--rounds", type=int, default=7)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    keep_freed()
    volumes = torch.randn(NUMBER, 1, *[options.size] * 3, generator=torch.Generator().manual_seed(0))
    masks = (volumes[:, 0] > 0.5).to(torch.uint8) + (volumes[:, 0] > 1)
    ready: dict[str, Augment] = {}
    for name, make in CONTESTANTS.items():
        try:
            augment = make(options.size)
            augment(volumes, masks)  # warms up, and shows what cannot run
            ready[name] = augment
        except Exception as error:
            print(f"{name} is left out: {type(error).__name__}: {error}", file=sys.stderr)
    rates: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(options.rounds):
        for name, augment in ready.items():
            start = process_time()
            augment(volumes, masks)
            rates[name].append(NUMBER / (process_time() - start))
    packages = {name: version(name) for name in ready if name != "eyespot"}
    print(platform.processor() or platform.machine(), {"torch": torch.__version__} | packages)
    print(f"{options.size} samples along each axis:", {k: round(median(v), 2) for k, v in rates.items()})
    for name in packages:
        ratios = [ours / theirs for ours, theirs in zip(rates["eyespot"], rates[name], strict=True)]
        print(
            f"  eyespot is {median(ratios):.2f} times {name} ({min(ratios):.2f} to {max(ratios):.2f}, {options.rounds} rounds)"
        )


if __name__ == "__main__":
    main()
