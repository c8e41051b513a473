"""Coverage of the bands of `eyespot invariance`, and false alarms and power of its contracts, on predictors whose truth is known.

    python benchmarks/invariance.py [--repeats 1000] [--n 100 500 2000]

A synthetic predictor changes its prediction of an image at severity s with the probability q(s), by a number that is
chosen from the image ("image": one number per image, so that a larger severity changes more of the same images) or from
the image and the severity ("image, severity": independent). Its consistency is then 1 - q(s) exactly. Bands are counted
as right where they have the truth at every severity. A third kind has groups of 5 images that flip together.

Contracts have three entries. False alarms: all three changes cost exactly the 2 points that a contract allows, the
hardest case in which it holds. Power: one of them costs more.
"""

import argparse
from collections.abc import Iterator

import numpy as np

from eyespot.invariances.bands import drops_of, shares, units_of
from eyespot.invariances.changes import Catalogue
from eyespot.invariances.contract import Entry, judge_contract
from eyespot.invariances.measured import Measured

RATES = np.array([0.01, 0.03, 0.08, 0.2, 0.35])
GROUP = 5
KINDS = ("image", "image, severity", "groups of 5")
CHANGES = {change.name: change for change in Catalogue(2, 32, 32).changes}


def flips(kind: str, n: int, rates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(S, n) which predictions change"""
    if kind == "groups of 5":
        u = np.repeat(rng.random((1, n // GROUP)), GROUP, 1)
    else:
        u = rng.random((1 if kind == "image" else len(rates), n))
    return (u < rates[:, None]).astype(float)


def coverage(kind: str, n: int, repeats: int) -> tuple[float, float]:
    """The shares of repeats in which the band has the whole truth: of the consistency, and of the drop of the accuracy"""
    rng = np.random.default_rng([n, KINDS.index(kind)])
    groups = np.repeat(np.arange(n // GROUP), GROUP).tolist() if kind == "groups of 5" else None
    units = units_of(n, groups)
    right = np.zeros(2)
    for _ in range(repeats):
        changed = flips(kind, n, RATES, rng)
        bands = shares(1 - changed, units), drops_of(changed, units).scores()
        for i, truth in enumerate((1 - RATES, RATES)):
            inside = [s["low"] <= t <= s["high"] for s, t in zip(bands[i], truth, strict=True)]
            right[i] += all(inside)
    return float(right[0] / repeats), float(right[1] / repeats)


def measured(name: str, changed: np.ndarray) -> Measured:
    """A change of images that are all predicted correctly, whose predictions change so"""
    same = 1 - changed
    change = CHANGES[name]
    return Measured(change, same, same, np.ones_like(same), same[:1], 0.1)


def alarms(n: int, drops: tuple[float, float, float], repeats: int, forbidden: bool = False) -> float:
    """The share of repeats in which a contract of three flips is called broken, by what each flip costs"""
    rng = np.random.default_rng([n, round(1000 * drops[0])])
    names = ("hflip", "vflip", "blur")
    entries = [Entry(name, forbidden) for name in names]
    units = units_of(n, None)
    broken = 0
    for _ in range(repeats):
        changes = {}
        for name, drop in zip(names, drops, strict=True):
            severities = len(CHANGES[name].severities)
            changed = (rng.random(n) < drop).astype(float)
            changes[name] = measured(name, np.repeat(changed[None], severities, 0))
        broken += judge_contract(entries, changes, units).broken
    return broken / repeats


def table(sizes: list[int], repeats: int) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| n | flips by | band of consistency | band of the drop |"
    yield "| --- | --- | --- | --- |"
    for n in sizes:
        for kind in KINDS:
            same, drop = coverage(kind, n, repeats)
            yield f"| {n:,} | {kind} | {same:.1%} | {drop:.1%} |"
    yield ""
    yield "| n | false alarms: three drops of 2 points | power: one of 5 points | one of 10 points | forbidden: false alarms | power |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for n in sizes:
        cells = [alarms(n, (d, 0.02, 0.02), repeats) for d in (0.02, 0.05, 0.1)]
        cells.append(alarms(n, (0.02, 0.02, 0.02), repeats, forbidden=True))
        cells.append(alarms(n, (0.0, 0.02, 0.02), repeats, forbidden=True))
        yield f"| {n:,} | " + " | ".join(f"{cell:.1%}" for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--n", type=int, nargs="+", default=[100, 500, 2000])
    arguments = parser.parse_args()
    for line in table(arguments.n, arguments.repeats):
        print(line, flush=True)


if __name__ == "__main__":
    main()
