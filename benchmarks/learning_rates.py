"""How much the default learning rate matters: the same runs with a third of it and with three times as much.

    python benchmarks/learning_rates.py digits waves cells FOLDER... --epochs 6 [--batch 32] [--factors 0.354 1]

Each data set is planned once; the runs differ in the rate and the seed alone (which also draws the validation set). A
row of the Markdown table has, for each factor, the mean metric over the seeds and its range. n is the number of
validation images of one seed.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean

import eyespot
from eyespot.config import read_config, write_plan
from eyespot.console import quiet

FACTORS = (1 / 3, 1.0, 3.0)
METRICS = ("accuracy", "mean_iou")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", nargs="+", help="built-in sets or folders; SET:SIZE limits the size of the images"
    )
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", help="for all of them")
    parser.add_argument("--batch", type=int, help="for all of them; as planned if not given")
    parser.add_argument("--factors", type=float, nargs="+", default=FACTORS, help="of the default rate")
    o = parser.parse_args()
    quiet()
    heads = ["data, metric, n", "lr", *(f"times {factor:.3g}" for factor in o.factors)]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for data in o.data:
        print(row(data, o), flush=True)


def row(data: str, o: argparse.Namespace) -> str:
    name, _, size = data.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        given = {"size": int(size)} if size else {}
        settings = {"epochs": o.epochs, "model": o.model, "batch": o.batch, "start_from": "none"} | given
        default = eyespot.train(name, device="cpu", out=out / "default", **settings)
        plan = read_config(default.folder / "plan.toml", {})
        assert plan.lr
        metric = next(m for m in METRICS if m in default.evaluation.scores)
        cells = []
        for factor in o.factors:
            write_plan(out / "plan.toml", replace(plan, lr=plan.lr * factor), {})
            runs = [
                eyespot.train(config=out / "plan.toml", seed=s, out=out / f"{factor}-{s}")
                for s in range(o.seeds)
            ]
            values = [100 * run.evaluation.scores[metric]["value"] for run in runs]
            cells.append(f"{mean(values):.1f} ({min(values):.1f}–{max(values):.1f})")
        n = default.evaluation.scores[metric]["n"]
        return f"| {Path(name).name}, {metric.replace('_', ' ')}, {n} | {plan.lr:.3g} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
