"""Images per second from files to batches, without a network: eyespot and other libraries.

    ENV/bin/python benchmarks/loader.py DATA --size 32
    ENV/bin/python benchmarks/loader.py photos --photos 5000 --size 128     (made first, if there are fewer)

eyespot and the other libraries are installed in the same environment. DATA is a folder of class folders. All make
batches of augmented, normalised float images of --size from the same --images files, in random order:

store        eyespot after its first epoch: from its store of decoded images. Flips and shifts.
files        eyespot's first run on these files: header, duplicates, decoding, store, and then the same batches.
torchvision  ImageFolder, transforms v2, DataLoader with 2 workers, as in its reference scripts: RandomResizedCrop and
             flips (up to 32 pixels: random crops with a border of 4). Like timm and fastai it decodes in every epoch.
timm         create_loader with 2 workers and the prefetcher: RandomResizedCrop, flips, jitter 0.4.
fastai       ImageDataLoaders with 2 workers, aug_transforms, 98% of the files; above 32 pixels after RandomResizedCrop,
             as in its book.

Each runs in a process of its own, interleaved, --rounds times. Modules are imported before the clock starts, workers
start after it. "first" is the time to the first batch. Medians, with the smallest and the largest. All files are read
once before, so that they are in the system's memory if they fit.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from PIL import Image

WHO = ("store", "files", "torchvision", "timm", "fastai")
WORKERS, SMALL, CLASSES = 2, 32, 10


def make_photos(folder: Path, number: int) -> None:
    """JPEGs with sides of 1,000 to 4,000 pixels and about 1 bit per pixel, in ten class folders; the same every time."""
    rng = np.random.default_rng(0)
    texture = np.zeros((4200, 4200, 3), np.float32)
    for side in (4, 16, 64, 256, 1024, 2100):  # coarse structure is stronger, as in photographs
        for channel in range(3):
            noise = Image.fromarray(rng.normal(0, 24 / side**0.25, (side, side)).astype(np.float32))
            texture[..., channel] += np.asarray(noise.resize((4200, 4200), Image.Resampling.BICUBIC))
    big = Image.fromarray((texture + 128).clip(0, 255).astype(np.uint8))
    for i in range(number):
        width, height, left, top = (int(n) for n in rng.integers((1000, 1000, 0, 0), (4001, 4001, 200, 200)))
        tint = rng.integers(0, 256, 3).tolist()
        path = folder / f"class{i % CLASSES}" / f"{i:05}.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            photo = big.crop((left, top, left + width, top + height))
            working = path.with_suffix(".part")
            Image.blend(photo, Image.new("RGB", photo.size, tuple(tint)), 0.3).save(
                working, "JPEG", quality=88
            )
            working.rename(path)


def choose_files(data: Path, number: int, folder: Path) -> int:
    """Link to `number` files, equally many of each class; returns their number."""
    kinds = sorted(p for p in data.resolve().iterdir() if p.is_dir())
    files = {kind.name: sorted(kind.iterdir())[: -(-number // len(kinds))] for kind in kinds}
    for kind, paths in files.items():
        (folder / kind).mkdir(parents=True)
        for path in paths:
            path.read_bytes()
            (folder / kind / path.name).symlink_to(path)
    return sum(map(len, files.values()))


def eyespot(o: argparse.Namespace) -> Iterator[int]:
    """Batch sizes, as they are made."""

    from eyespot.config import Config
    from eyespot.data.surveys.survey_data import survey_data
    from eyespot.tasks.batches import measure
    from eyespot.tasks.classification import Classification, choose
    from eyespot.tasks.order import Order

    yield 0  # imports are done
    found = survey_data(o.data, Config(size=o.size))
    rows = np.arange(len(found.labels))
    config = choose(found, Config(batch=o.batch, device="cpu"), lambda name, value, why: value, rows)
    task = Classification(found, config, measure(found.images.pixels, rows), rows)
    order = Order(rows, o.batch, 0)
    for k in range(len(rows) // o.batch):
        yield len(task.batch(order.at(k * o.batch), o.size)[0])


def torchvision(o: argparse.Namespace) -> Iterator[int]:
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    yield 0
    crop = v2.RandomCrop(o.size, 4) if o.size <= SMALL else v2.RandomResizedCrop(o.size)
    normal = [v2.PILToTensor(), v2.ToDtype(torch.float32, True), v2.Normalize([0.5] * 3, [0.25] * 3)]
    images = ImageFolder(o.data, v2.Compose([crop, v2.RandomHorizontalFlip(), *normal]))
    for x, _ in DataLoader(images, o.batch, shuffle=True, num_workers=WORKERS, drop_last=True):
        yield len(x)


def timm(o: argparse.Namespace) -> Iterator[int]:
    import torch
    from timm.data import create_dataset, create_loader

    yield 0
    images = create_dataset("", str(o.data), is_training=True)
    crops = {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3), "color_jitter": 0.4, "interpolation": "random"}
    how = {"num_workers": WORKERS, "device": torch.device("cpu")}
    for x, _ in create_loader(images, (3, o.size, o.size), o.batch, is_training=True, **how, **crops):
        yield len(x)


def fastai(o: argparse.Namespace) -> Iterator[int]:
    from fastai.vision.all import (
        ImageDataLoaders,
        Normalize,
        RandomResizedCrop,
        aug_transforms,
        imagenet_stats,
    )

    yield 0
    crop = None if o.size <= SMALL else RandomResizedCrop(o.size, min_scale=0.35)
    changes = [*aug_transforms(), Normalize.from_stats(*imagenet_stats, cuda=False)]
    how = {"bs": o.batch, "num_workers": WORKERS, "item_tfms": crop, "batch_tfms": changes}
    for x, _ in ImageDataLoaders.from_folder(o.data, valid_pct=0.02, **how).train:
        yield len(x)


def deliver(o: argparse.Namespace) -> None:
    """Print the seconds until the first and the last batch, and the number of images."""
    import torch

    torch.set_num_threads(o.threads)
    ours = o.deliver in ("store", "files")
    batches = (eyespot if ours else globals()[o.deliver])(o)
    next(batches)
    start, images, first = perf_counter(), 0, 0.0
    for n in batches:
        images, first = images + n, first or perf_counter() - start
    print(json.dumps({"first": first, "seconds": perf_counter() - start, "images": images}))


def timed(o: argparse.Namespace, who: str, data: Path, cache: Path) -> dict:
    with tempfile.TemporaryDirectory(dir=data.parent) as empty:
        kept = cache if who == "store" else empty
        command = [sys.executable, __file__, data, "--deliver", who, "--size", o.size, "--batch", o.batch]
        done = subprocess.run(
            [*map(str, command), "--threads", str(o.threads)],
            env=os.environ | {"EYESPOT_CACHE": str(kept)},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise SystemExit(f"{who} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("data", type=Path, help="a folder of class folders")
    parser.add_argument("--size", type=int, default=32, help="side in pixels")
    parser.add_argument("--images", type=int, default=10_000, help="number of files at most")
    parser.add_argument("--photos", type=int, default=0, help="generate so many photos in DATA first")
    parser.add_argument("--who", nargs="+", choices=WHO, default=list(WHO), help="loaders to time")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--batch", type=int, default=64, help="images per batch")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--deliver", choices=WHO, help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.deliver:
        return deliver(o)
    make_photos(o.data, o.photos)
    with tempfile.TemporaryDirectory() as folder:
        data, cache = Path(folder) / "data", Path(folder) / "cache"
        number = choose_files(o.data, o.images, data)
        print(
            f"{platform.machine()}, {o.threads} threads of {os.cpu_count()}, {number} images at {o.size} x {o.size}"
        )
        if "store" in o.who:
            timed(o, "store", data, cache)  # fills it
        rounds = [{who: timed(o, who, data, cache) for who in o.who} for _ in range(o.rounds)]
    print(f"{'':12} {'images/s':>22} {'first':>8}   ratio to {o.who[0]}")
    for who in o.who:
        rates = [r[who]["images"] / r[who]["seconds"] for r in rounds]
        ratios = [
            rate / (r[o.who[0]]["images"] / r[o.who[0]]["seconds"])
            for rate, r in zip(rates, rounds, strict=True)
        ]
        spread = f"{median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"
        first = median(r[who]["first"] for r in rounds)
        print(
            f"{who:12} {spread:>22} {first:6.2f} s   {median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
