"""What each part of the recipe is worth: accuracy with all parts, and with each left out, over several seeds.

`python benchmarks/recipe.py cifar10-train --images 7000 --test 5000 --epochs 7 --seeds 3`
The same images, the same number of them seen, and the same held-out images in all runs; time is not compared (with
another image size it differs: see the column). Prints the mean difference to all parts, paired by seed, and the least
and the largest of them. The results are in benchmarks/recipe.md.
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

ALL = ["whiten", "muon", "grow_short", "alternate", "average", "smooth", "mirror"]


def write_split(folder: Path, images: int, test: int, target: Path) -> Path:
    """A CSV of images/test files drawn evenly, as `eyespot train` reads it."""
    files = sorted(folder.rglob("*.jpg")) + sorted(folder.rglob("*.png"))
    random.Random(0).shuffle(files)
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for k, path in enumerate(files[: images + test]):
            writer.writerow([path.resolve(), path.parent.name, "test" if k < test else "train"])
    return target


def accuracy(data: Path, parts: list[str], seed: int, epochs: float, out: Path) -> tuple[float, float]:
    """Per cent of the test images, and the seconds of the whole command."""
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
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=ALL, help="the parts to leave out in turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        data = write_split(options.folder, options.images, options.test, work / "split.csv")
        tried = {"all parts": ALL} | {f"without {p}": [q for q in ALL if q != p] for p in options.only}
        found: dict[str, list[tuple[float, float]]] = {what: [] for what in tried}
        for seed in range(options.seeds):
            for what, parts in tried.items():
                found[what].append(accuracy(data, parts, seed, options.epochs, work / "run"))
                print(
                    f"seed {seed}, {what}: {found[what][-1][0]:.2f}% in {found[what][-1][1]:.0f} s",
                    flush=True,
                )
    whole = [score for score, _ in found["all parts"]]
    print(f"\n{'':<20}{'mean %':>8}{'difference (least, largest)':>30}{'s':>7}")
    for what, results in found.items():
        less = [score - reference for (score, _), reference in zip(results, whole, strict=True)]
        spread = f"{mean(less):+.2f} ({min(less):+.2f}, {max(less):+.2f})"
        print(f"{what:<20}{mean(s for s, _ in results):8.2f}{spread:>30}{mean(t for _, t in results):7.0f}")


if __name__ == "__main__":
    main()
