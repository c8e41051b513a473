"""What blur before subsampling (Zhang 2019) and mirrored padding buy: accuracy, and consistency when images are shifted.

    python benchmarks/blur_and_padding.py DATA --epochs 8 --seeds 3

Three forms of `small_w16` train on DATA, a folder of class folders of small images, by the same command: plain, with
`blur=3` and with `padding="reflect"`. The seed also draws the validation set, on which `eyespot.invariance` shifts the
images. A row has, for each form, the mean over the seeds of the accuracy and of the consistency at the smallest shift,
with the pooled 95% Wilson interval of seeds times n images, and the mean difference from the plain form with its range.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import eyespot
from eyespot.console import quiet
from eyespot.metrics.intervals import wilson
from eyespot.models import PRESETS

FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "blur 3": {"blur": 3},
    "padding reflect": {"padding": "reflect"},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    o = parser.parse_args()
    quiet()
    widths = PRESETS["small_w16"].defaults["widths"]
    for form, settings in FORMS.items():
        eyespot.register(form.replace(" ", "_"), "eyespot.models.small:Small", widths=widths, **settings)
    measured: dict[str, list[tuple[float, float, int]]] = {form: [] for form in FORMS}
    for seed in range(o.seeds):
        for form in FORMS:
            measured[form].append(measure(o.data, form.replace(" ", "_"), o.epochs, seed))
            print(seed, form, measured[form][-1], flush=True)
    print(
        "| | accuracy | points more than plain | consistency | points more than plain |\n| --- | --- | --- | --- | --- |"
    )
    for form, runs in measured.items():
        cells = []
        for k in (0, 1):
            values = [run[k] for run in runs]
            n = sum(run[2] for run in runs)
            low, high = wilson(mean(values), n)
            gains = [100 * (run[k] - plain[k]) for run, plain in zip(runs, measured["plain"], strict=True)]
            cells.append(f"{mean(values):.1%} ({100 * low:.1f}-{100 * high:.1f})")
            cells.append(f"{mean(gains):+.1f} ({min(gains):+.1f} to {max(gains):+.1f})")
        print(f"| {form} | {' | '.join(cells)} |")


def measure(data: str, model: str, epochs: float, seed: int) -> tuple[float, float, int]:
    """Accuracy, consistency at the smallest shift, and the number of images"""
    with tempfile.TemporaryDirectory() as folder:
        run = eyespot.train(
            data,
            model=model,
            epochs=epochs,
            seed=seed,
            augment="flip",
            device="cpu",
            out=Path(folder) / "run",
        )
        assert run.evaluation
        accuracy = run.evaluation.scores["accuracy"]
        shifted = eyespot.invariance(run.folder, changes=["shift"])["shift"]
        return accuracy["value"], shifted.same[0]["value"], accuracy["n"]


if __name__ == "__main__":
    main()
