"""What each part of the recipe is worth: accuracy with all parts, and without each of them, over several seeds.

    python benchmarks/recipe.py cifar10-train --images 7000 --test 5000 --epochs 7 --seeds 3

All runs see the same images, the same number of times, and are tested on the same images. Prints for each part the
mean difference to all parts, paired by seed, with the smallest and the largest, and the seconds of the whole command.
The results are in docs/recipe.md.
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

ALL = ["whiten", "muon", "grow_short", "alternate", "ema", "label_smoothing", "tta_flip"]


def write_split(folder: Path, images: int, test: int, target: Path) -> Path:
    """Write a CSV of random training and test images, as `eyespot train` reads it."""
    files = sorted(folder.rglob("*.jpg")) + sorted(folder.rglob("*.png"))
    random.Random(0).shuffle(files)
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for k, path in enumerate(files[: images + test]):
            writer.writerow([path.resolve(), path.parent.name, "test" if k < test else "train"])
    return target


def accuracy(data: Path, parts: list[str], seed: int, epochs: float, out: Path) -> tuple[float, float]:
    """Accuracy on the test images in per cent, and the seconds of the whole command."""
    began = time.monotonic()
    recipe = "|".join(parts) or "none"
    command = ["train", str(data), "--epochs", str(epochs), "--seed", str(seed), "--recipe", recipe, "--json"]
    whole = [sys.executable, "-m", "eyespot", *command, "--out", str(out)]
    done = subprocess.run(whole, capture_output=True, text=True, env=os.environ)
    shutil.rmtree(out, ignore_errors=True)
    if done.returncode:
        sys.exit(done.stderr)
    return 100 * json.loads(done.stdout)["accuracy"]["value"], time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder of class folders")
    parser.add_argument("--images", type=int, default=10_000, help="training images")
    parser.add_argument("--test", type=int, default=10_000, help="test images")
    parser.add_argument("--epochs", type=float, default=8, help="epochs of each run")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--only", nargs="*", default=ALL, help="parts to leave out in turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data = write_split(options.folder, options.images, options.test, work / "split.csv")
        recipes = {"all parts": ALL} | {f"without {p}": [q for q in ALL if q != p] for p in options.only}
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in recipes}
        for seed in range(options.seeds):
            for name, parts in recipes.items():
                results[name].append(accuracy(data, parts, seed, options.epochs, work / "run"))
                print(
                    f"seed {seed}, {name}: {results[name][-1][0]:.2f}% in {results[name][-1][1]:.0f} s",
                    flush=True,
                )
    reference = [score for score, _ in results["all parts"]]
    print(f"\n{'':<20}{'mean %':>8}{'difference (smallest, largest)':>32}{'s':>7}")
    for name, runs in results.items():
        differences = [score - full for (score, _), full in zip(runs, reference, strict=True)]
        spread = f"{mean(differences):+.2f} ({min(differences):+.2f}, {max(differences):+.2f})"
        print(f"{name:<20}{mean(s for s, _ in runs):8.2f}{spread:>32}{mean(t for _, t in runs):7.0f}")


if __name__ == "__main__":
    main()
