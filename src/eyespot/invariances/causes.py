"""Why predictions change, and what to do: each cause with its evidence and a command, or that it cannot be said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eyespot.invariances.assess import Assessed
from eyespot.invariances.bands import Units, drops_of, units_of
from eyespot.invariances.outliers import Outlier
from eyespot.invariances.sawtooth import Sawtooth
from eyespot.invariances.verdict import loss_of
from eyespot.wrapping import quoted

MOSTLY = 0.5
"""The share of the changed predictions that a cause has to explain."""
AUGMENT = {
    "hflip": ("flip", "flip_axes"),
    "vflip": ("vflip", "flip_axes"),
    "dflip": ("flip_axes",),
    "reverse": ("flip",),
    "rot90": ("rotate90",),
    "shift": ("shift",),
    "rotate": ("rotate",),
    "scale": ("scale", "crop"),
    "brightness": ("brightness",),
    "contrast": ("contrast",),
    "blur": ("blur",),
    "noise": ("noise",),
    "gain": ("gain",),
}
"""The transforms of `train --augment` that teach a change, by its name: the first is the one that is proposed."""
POLICIES = ("trivial", "auto")
"""Pipelines that choose among many transforms, so that it is not known which of them were trained with."""
SETTINGS = {
    "shift": "({:.2g})",
    "rotate": "({:g})",
    "brightness": "({:g})",
    "contrast": "({:g})",
    "noise": "({:g})",
}
"""How the severity is written into a proposal."""


@dataclass(frozen=True)
class Cause:
    """cause      resampling, border, aliasing, label, augmentation, over-invariance or unknown
    evidence   with the numbers
    action     what to do; `command` is what to type, if there is something"""

    change: str
    cause: str
    evidence: str
    action: str
    command: str = ""

    def __str__(self) -> str:
        command = f": {self.command}" if self.command else ""
        return f"{self.change}, {TITLES[self.cause]}: {self.evidence}; {self.action}{command}"

    def as_dict(self) -> dict[str, Any]:
        return vars(self)


TITLES = {
    "resampling": "the measurement",
    "border": "the border",
    "aliasing": "aliasing",
    "label": "classes become others",
    "augmentation": "perhaps missing augmentation",
    "over-invariance": "over-invariance",
    "unknown": "cannot tell why",
}


@dataclass(frozen=True)
class Facts:
    """What the causes are judged by, beside the numbers.

    augment   the pipeline that the run was trained with
    data      the data set that it was trained on
    """

    augment: str
    data: str
    units: Units
    outliers: Sequence[Outlier] = ()
    sawtooth: Sawtooth | None = None
    scale: float = 1.0
    """Samples of the network's input for one pixel of the files."""


def causes_of(changes: Sequence[Assessed], facts: Facts) -> list[Cause]:
    """For each change that does harm, the cause that the evidence speaks for, the largest harm first."""
    harmful = [a for a in changes if a.verdict.status in ("weak", "broken", "over-invariant")]
    harmful.sort(key=lambda a: -float(loss_of(a.measured)[a.at].mean()))
    return [next(_causes(a, facts)) for a in harmful]


def _causes(a: Assessed, facts: Facts) -> Iterator[Cause]:
    """The causes that the evidence speaks for, the most certain first."""
    yield from _over_invariant(a, facts)
    yield from _label(a, facts)
    yield from _resampling(a, facts)
    yield from _border(a, facts)
    yield from _aliasing(a, facts)
    yield from _augmentation(a, facts)
    yield Cause(
        a.name,
        "unknown",
        f"the run was trained with {', '.join(sorted(_known(a, facts)))}",
        "train for longer, with a larger range, or with more images",
    )


def _over_invariant(a: Assessed, facts: Facts) -> Iterator[Cause]:
    if a.verdict.status == "over-invariant":
        known = _known(a, facts)
        action = (
            f"train without {' and '.join(sorted(known))}"
            if known
            else "show the network what tells them apart"
        )
        yield Cause(a.name, "over-invariance", a.verdict.why, action)


def _label(a: Assessed, facts: Facts) -> Iterator[Cause]:
    becomes = [o for o in facts.outliers if o.change == a.name and o.becomes]
    if not becomes or (len(becomes) > 1 and len({o.becomes for o in becomes}) == 1):
        return  # where all become one class, the network has lost them, and no label has changed
    texts = [
        f"{o.name} is predicted as {o.becomes} in {o.k} of {o.n}{f' at {o.text}' if o.text else ''}"
        for o in becomes[:3]
    ]
    known = _known(a, facts)
    action = "if that is what they become, do not train with it"
    if known:
        action = f"if that is what they become, train without {' and '.join(sorted(known))}"
    yield Cause(a.name, "label", "; ".join(texts), action)


def _resampling(a: Assessed, facts: Facts) -> Iterator[Cause]:
    """There and back changes as many predictions, though the image ends as it was."""
    if a.floor is None or a.name == "shift":
        return
    at = a.verdict.at
    lost = 1 - a.same[at]["value"]
    floor = 1 - a.floor[at]["value"]
    if lost > 0 and floor >= MOSTLY * lost:
        evidence = f"there and back with the same kernel changes {floor:.1%} of predictions at {a.measured.change.text(a.measured.change.severities[at])}, and the change itself {lost:.1%}"
        yield Cause(
            a.name,
            "resampling",
            evidence,
            "much of this may be interpolation; judge by changes that are exact, or by larger images",
        )


def _border(a: Assessed, facts: Facts) -> Iterator[Cause]:
    inner = a.measured.inner
    if a.border is None or inner is None:
        return
    n = inner.shape[1]
    units = facts.units if n == len(facts.units.place) else units_of(n, None)
    gain = drops_of((inner[0] - inner[1])[None], units).scores()[0]
    lost = 1 - a.border.filled["value"]
    if gain["low"] > 0 and gain["value"] >= MOSTLY * lost:
        evidence = f"without a border {1 - a.border.inner['value']:.1%} of predictions change, with the border filled {lost:.1%}"
        action = (
            "pad by reflection in the network (padding='reflect'), or leave more space around what is shown"
        )
        yield Cause(a.name, "border", evidence, action)


def _aliasing(a: Assessed, facts: Facts) -> Iterator[Cause]:
    saw = facts.sawtooth
    if a.name != "shift" or saw is None or not saw.period or saw.gain is None:
        return
    if facts.scale >= saw.period:  # a shift by a pixel of the file is one by a whole period
        return
    gain = saw.gain
    if gain["value"] < MOSTLY * (1 - a.same[a.at]["value"]):
        return
    evidence = (
        f"consistency is {100 * gain['value']:.1f} points ({100 * gain['low']:.1f} to {100 * gain['high']:.1f}) higher at shifts of "
        f"multiples of {saw.period} samples than at those by one sample less"
    )
    action = "blur before each stride (Zhang 2019: +2 to +3 points of consistency on ImageNet), by registering the network with blur=3"
    yield Cause(a.name, "aliasing", evidence, action)


def _augmentation(a: Assessed, facts: Facts) -> Iterator[Cause]:
    """A change that was not among those trained with."""
    if _known(a, facts):
        return
    change = a.measured.change
    at = a.verdict.at
    drop = a.verdict.drops[at]
    name = AUGMENT[a.name][0]
    setting = SETTINGS.get(a.name, "").format(max(change.standard, change.severities[at]))
    pipeline = "" if facts.augment in ("", "none") else f"{facts.augment}|"
    where = f" at {change.text(change.severities[at])}" if change.text(1.0) else ""
    harm = (
        f"costs {100 * drop['value']:.1f} points"
        if a.right
        else f"changes {drop['value']:.1%} of predictions"
    )
    evidence = f"the run was trained without it, and it {harm}{where}"
    action = "if labels keep their meaning, which only you know, train with it and measure again"
    yield Cause(
        a.name,
        "augmentation",
        evidence,
        action,
        f"eyespot train {quoted(facts.data)} --augment '{pipeline}{name}{setting}'",
    )


def _known(a: Assessed, facts: Facts) -> set[str]:
    """The transforms of the run's pipeline that teach this change"""
    trained = {step.split("(")[0].strip() for step in facts.augment.split("|")}
    return trained & {*AUGMENT[a.name], *POLICIES}
