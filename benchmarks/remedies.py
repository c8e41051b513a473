"""What the actions gain that `eyespot invariance` recommends: each is tried once, on a run for which it is recommended.

    python benchmarks/remedies.py waves --change noise --epochs 6
    python benchmarks/remedies.py digits --change hflip --forbidden --augment 'flip|shift(0.06)' --epochs 6
    python benchmarks/remedies.py CIFAR --change shift --augment flip --model small_w16 --epochs 6

A run trains on DATA, and its report names a cause of the harm that the change does. What the report says is done: the
command's pipeline, `blur=3`, `padding="reflect"`, or training without a transform. Both networks are measured on the same
validation images under the same change. Gains are paired by image over all seeds, in points, with 95% intervals.
"""

import argparse
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import eyespot
from eyespot.console import quiet
from eyespot.invariances.bands import drops_of, units_of
from eyespot.invariances.causes import Cause
from eyespot.invariances.result import Invariance
from eyespot.models import PRESETS

NETWORKS = {"aliasing": {"blur": 3}, "border": {"padding": "reflect"}}
"""What the network gets, by cause."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--change", required=True)
    parser.add_argument("--forbidden", action="store_true", help="the change has to change predictions")
    parser.add_argument("--augment")
    parser.add_argument("--model", default="small_w16")
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--cause", help="try what helps against this one, whatever the report says")
    o = parser.parse_args()
    quiet()
    widths = PRESETS["small_w16"].defaults["widths"]
    for cause, settings in NETWORKS.items():
        eyespot.register(f"against_{cause}", "eyespot.models.small:Small", widths=widths, **settings)
    settings = {"model": o.model, "epochs": o.epochs, "augment": o.augment, "device": "cpu"}
    before, after = [], []
    for seed in range(o.seeds):
        first, cause = measured(o, settings | {"seed": seed})
        print(f"seed {seed}: {cause or 'nothing is recommended'}", flush=True)
        wanted = o.cause or (cause.cause if cause else "")
        if cause is None and not o.cause:
            continue
        changed = remedy(wanted, cause, settings, first)
        print(f"seed {seed}: trained with {changed}", flush=True)
        before.append(first)
        after.append(measured(o, settings | changed | {"seed": seed})[0])
    if before:
        report(o, before, after)


def measured(o: Any, settings: dict[str, Any]) -> tuple[Invariance, Cause | None]:
    """The report of a new run, and the cause that it names"""
    with tempfile.TemporaryDirectory() as folder:
        run = eyespot.train(o.data, out=Path(folder) / "run", **settings)
        contract = None
        if o.forbidden:
            contract = Path(folder) / "contract.toml"
            contract.write_text(f"[{o.change}]\nforbidden = true\n")
        result = eyespot.invariance(run.folder, changes=[o.change], contract=contract)
    return result, next((cause for cause in result.causes if cause.change == o.change), None)


def remedy(name: str, cause: Cause | None, settings: dict[str, Any], result: Invariance) -> dict[str, Any]:
    """The settings that the report recommends"""
    if name in NETWORKS:
        return {"model": f"against_{name}"}
    assert cause is not None
    trained = result.images.predictor.card.augment
    if match := re.search(r"--augment '(.*)'", cause.command):
        return {"augment": match[1]}
    if without := re.search(r"train without (.*)", cause.action):
        removed = without[1].split(" and ")
        kept = [text for text in trained.split("|") if text.split("(")[0] not in removed]
        return {"augment": "|".join(kept) or "none"}
    raise SystemExit(f"the report recommends nothing that can be tried: {cause.action}")


def report(o: Any, before: Sequence[Invariance], after: Sequence[Invariance]) -> None:
    """Print the gains, of all seeds together"""
    change = before[0][o.change].measured.change
    at = max(result[o.change].verdict.at for result in before)
    print(f"{o.change} at {change.text(change.severities[at])}, {len(before)} seeds of {before[0].n} images")
    rows = {
        "accuracy unchanged": lambda m: m.before[at],
        "accuracy under the change": lambda m: m.right[at],
        "consistency": lambda m: m.same[at],
    }
    for name, values in rows.items():
        first, second = (
            np.concatenate([values(r[o.change].measured) for r in runs]) for runs in (before, after)
        )
        (gain,) = drops_of((second - first)[None], units_of(len(first), None)).scores()
        print(
            f"{name}: {first.mean():.1%} -> {second.mean():.1%}, gain {100 * gain['value']:+.1f} "
            f"({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
        )


if __name__ == "__main__":
    main()
