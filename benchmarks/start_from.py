"""What weights to start from are worth where images are few: a proxy for ImageNet's, measured on CIFAR-10.

    python benchmarks/start_from.py cifar10-train --work FOLDER --seeds 3

A ResNet-18 of half the width is trained on all images of five classes at 64 pixels, once, with seed 0. Then a few
images of the five other classes train the same network, `--start-from` it with `--fine-tune` and from nothing. Both see
the same images, the same number of times, and are tested on the same images. Float32 and one thread, so that nothing
has to be timed. Prints the accuracy of each run, and for each number of images the differences, paired by seed.
Results: docs/results.md.
"""

import argparse
import csv
import random
import time
from pathlib import Path
from statistics import mean
from typing import Any

import eyespot
from eyespot.console import quiet

KNOWN = ("airplane", "bird", "deer", "frog", "ship")
EPOCHS = {100: 20, 500: 8}
"""By the number of training images."""
TEST = 1000
WAYS = ("weights", "nothing")
MODEL = "resnet18_w32"


def write_csv(target: Path, splits: dict[str, list[Path]]) -> Path:
    """A CSV as `eyespot train` reads it."""
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for split, paths in splits.items():
            writer.writerows([path.resolve(), path.parent.name, split] for path in paths)
    return target


def run(data: Path, out: Path, **settings: Any) -> dict:
    """The accuracy of one run with its interval, and the seconds of the processor."""
    began = time.process_time()
    done = eyespot.train(data, out=out, force=True, size=64, precision="float32", threads=1, **settings)
    assert done.evaluation is not None
    accuracy = done.evaluation.as_dict()["accuracy"]
    return accuracy | {"seconds": round(time.process_time() - began)}


def settings_of(way: str, known: Path) -> dict[str, Any]:
    if way == "weights":
        return {"start_from": known, "fine_tune": True}
    return {"start_from": "none", "model": MODEL}


def few(files: dict[str, list[Path]], images: int, seed: int) -> dict[str, list[Path]]:
    """So many training images, validation images and the test images, which are the same for every seed."""
    rest = {name: sorted(paths) for name, paths in files.items()}
    fixed, drawn = random.Random(-1), random.Random(seed)
    splits: dict[str, list[Path]] = {"train": [], "val": [], "test": []}
    for paths in rest.values():
        fixed.shuffle(paths)
        splits["test"] += paths[: TEST // len(rest)]
        chosen = drawn.sample(paths[TEST // len(rest) :], images // len(rest) + 20)
        splits["val"] += chosen[:20]
        splits["train"] += chosen[20:]
    return splits


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=2, help="of the run that the others start from")
    given = parser.parse_args()
    quiet()
    given.work.mkdir(parents=True, exist_ok=True)
    files = {p.name: sorted(p.iterdir()) for p in sorted(given.data.iterdir()) if p.is_dir()}
    known = given.work / "known"
    if not (known / "report.html").exists():
        splits = {"train": [], "val": []}
        for name in KNOWN:
            splits["val"] += files[name][:100]
            splits["train"] += files[name][100:]
        data = write_csv(given.work / "known.csv", splits)
        print("known", run(data, known, model=MODEL, epochs=given.epochs, start_from="none"), flush=True)
    others = {name: paths for name, paths in files.items() if name not in KNOWN}
    for images, epochs in EPOCHS.items():
        gains = []
        for seed in range(given.seeds):
            data = write_csv(given.work / f"{images}-{seed}.csv", few(others, images, seed))
            reached = {}
            for way in WAYS:
                settings = settings_of(way, known)
                reached[way] = run(data, given.work / "run", epochs=epochs, seed=seed, **settings)
                print(images, seed, way, reached[way], flush=True)
            gains.append(100 * (reached["weights"]["value"] - reached["nothing"]["value"]))
        print(
            f"{images} images: {mean(gains):+.1f} points ({min(gains):+.1f} to {max(gains):+.1f})", flush=True
        )


if __name__ == "__main__":
    main()
