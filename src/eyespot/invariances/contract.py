"""A contract: which changes may not change predictions, which have to, and which exchange classes.

It is broken, it holds, or the images are too few to tell.

The errors of all its entries together: where every entry holds, the contract is called broken with a probability of at
most 5% (Holm 1979).
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.masks.mapping import VOID
from eyespot.errors import UserError, nearest
from eyespot.invariances.bands import Units, drops_of, shares
from eyespot.invariances.changes import Change
from eyespot.invariances.measured import Measured
from eyespot.invariances.power import LEVEL, effective, power_of
from eyespot.invariances.verdict import MARGIN, loss_of
from eyespot.plurals import count

HOLDS = "holds"
BROKEN = "broken"
UNKNOWN = "cannot tell"
KEYS = ("required", "forbidden", "up_to", "swaps", "margin")


@dataclass(frozen=True)
class Entry:
    """What is demanded of one change.

    forbidden  the predictions have to change; otherwise they may not
    up_to      the largest severity that is meant; the usual one if None
    swaps      two classes that the change exchanges; none if empty
    margin     the drop of the accuracy, or the share of predictions, that counts as none
    """

    change: str
    forbidden: bool = False
    up_to: float | None = None
    swaps: tuple[tuple[str, str], ...] = ()
    margin: float = MARGIN

    def __str__(self) -> str:
        swapped = "swaps " + ", ".join(map(" and ".join, self.swaps))
        demand = "forbidden" if self.forbidden else swapped if self.swaps else "required"
        limit = f" up to {self.up_to:g}" if self.up_to is not None else ""
        return f"{self.change} {demand}{limit}"

    def became(self, classes: Sequence[str]) -> NDArray[np.int64] | None:
        """(K,) the class that each class becomes; None where each stays."""
        if not self.swaps:
            return None
        became = np.arange(len(classes))
        for one, other in self.swaps:
            i = classes.index(one)
            j = classes.index(other)
            became[[i, j]] = j, i
        return became


def read_contract(path: Path, changes: Sequence[str], classes: Sequence[str]) -> list[Entry]:
    """The entries of a TOML file. Raises UserError for one that cannot be read, and for names that are not known."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UserError(f"{path} cannot be read: {reason.lower()}") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not TOML: {error}") from error
    if not content:
        raise UserError(f"{path} demands nothing: give a table such as [vflip] with required = true")
    return [_entry(path, name, table, changes, classes) for name, table in content.items()]


def _entry(path: Path, name: str, table: Any, changes: Sequence[str], classes: Sequence[str]) -> Entry:
    if name not in changes:
        raise UserError(f"{path}: these images have no change {name!r}; {nearest(name, list(changes))}")
    if not isinstance(table, dict):
        raise UserError(f"{path}: {name} is a value; write a table, [{name}], with required = true below it")
    for key in table:
        if key not in KEYS:
            raise UserError(f"{path}: [{name}] has {key!r}; {nearest(key, KEYS)}")
    required, forbidden = (_flag(path, name, key, table) for key in ("required", "forbidden"))
    swaps = _swaps(path, name, table.get("swaps", []), classes)
    up_to = _number(path, name, "up_to", table)
    margin = _number(path, name, "margin", table)
    if margin is not None and margin >= 100:
        raise UserError(f"{path}: [{name}] has margin = {margin:g}; give points of accuracy below 100")
    if forbidden and (required or swaps):
        raise UserError(f"{path}: [{name}] is forbidden and also demanded; keep one")
    if not (forbidden or required or swaps or up_to is not None):
        raise UserError(f"{path}: [{name}] demands nothing: give required, forbidden, up_to or swaps")
    return Entry(name, forbidden, up_to, swaps, MARGIN if margin is None else margin / 100)


def _flag(path: Path, name: str, key: str, table: Mapping[str, Any]) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise UserError(f"{path}: [{name}] has {key} = {value!r}; give true or false")
    return value


def _number(path: Path, name: str, key: str, table: Mapping[str, Any]) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UserError(f"{path}: [{name}] has {key} = {value!r}; give a number above 0")
    return float(value)


def _swaps(path: Path, name: str, value: Any, classes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of classes, each as "left,right"."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UserError(
            f'{path}: [{name}] has swaps = {value!r}; give pairs of classes, such as ["left,right"]'
        )
    pairs = []
    for text in texts:
        names = [name.strip() for name in text.split(",")]
        if len(names) != 2 or names[0] == names[1]:
            raise UserError(f"{path}: [{name}] swaps {text!r}; give two classes, such as left,right")
        for class_name in names:
            if class_name not in classes:
                raise UserError(
                    f"{path}: [{name}] swaps {class_name!r}, which is no class; {nearest(class_name, list(classes))}"
                )
        pairs.append((names[0], names[1]))
    every = [class_name for pair in pairs for class_name in pair]
    if len(set(every)) < len(every):
        raise UserError(f"{path}: [{name}] swaps a class twice; give each class once")
    return tuple(pairs)


def lut(became: NDArray[np.int64], multilabel: bool) -> NDArray[np.uint8]:
    """(256,) what each value of a label map becomes: positions of classes, or bit fields; VOID stays"""
    table = np.arange(256)
    if multilabel:
        bits = sum(((table >> i) & 1) << int(j) for i, j in enumerate(became))
        table = np.where(table == VOID, VOID, bits)
    else:
        table[: len(became)] = became
    return table.astype(np.uint8)


LIMITS = {
    "rot90": (90, 270),
    "shift": (0, 0.49),
    "rotate": (0, 180),
    "scale": (0, 4),
    "brightness": (0, 5),
    "contrast": (0, 1),
    "blur": (0, 20),
    "noise": (0, 5),
    "gain": (0, 60),
}
"""Between which severities `up_to` lies."""


def with_severity(change: Change, entry: Entry) -> Change:
    """The change with the severity that an entry goes up to among its own. Raises UserError for one that it does not have."""
    if entry.up_to is None:
        return change
    if change.name not in LIMITS:
        raise UserError(
            f"[{change.name}] has up_to = {entry.up_to:g}, and it is made or not: leave up_to out"
        )
    low, high = LIMITS[change.name]
    unit = "as a share, " if change.unit == "%" else ""
    if not low <= entry.up_to <= high:
        raise UserError(f"[{change.name}] has up_to = {entry.up_to:g}; give it {unit}from {low} to {high}")
    if not change.ordered:
        return change
    severity = _whole_samples(change, entry.up_to) if change.name == "shift" else entry.up_to
    return replace(change, severities=tuple(sorted({*change.severities, severity})))


def _whole_samples(shift: Change, up_to: float) -> float:
    """The largest share of the size, up to this one, that is a whole number of samples; the first severity is one of them."""
    sample = shift.severities[0]
    samples = math.floor(up_to / sample + 1e-9)
    if not samples:
        raise UserError(
            f"[shift] has up_to = {up_to:g}, which is less than a sample of these images ({sample:.3g} of the size): give more"
        )
    return next((s for s in shift.severities if abs(s - samples * sample) < 1e-9), samples * sample)


def restricted(measured: Measured, entry: Entry) -> Measured:
    """Only the severities that an entry means."""
    change = measured.change
    limit = entry.up_to or (change.standard if change.ordered else math.inf)
    keep = [i for i, severity in enumerate(change.severities) if severity <= limit + 1e-9]
    severities = tuple(change.severities[i] for i in keep)
    return replace(
        measured,
        change=replace(change, severities=severities, standard=severities[-1]),
        same=measured.same[keep],
        right=None if measured.right is None else measured.right[keep],
        before=None if measured.before is None else measured.before[keep],
    )


@dataclass(frozen=True)
class Judged:
    """One entry.

    p       the probability of what was seen, or more, where the entry holds
    shown   whether the images show, with 95%, that it holds
    """

    entry: Entry
    p: float
    broken: bool
    shown: bool
    why: str
    power: str

    @property
    def status(self) -> str:
        return BROKEN if self.broken else HOLDS if self.shown else UNKNOWN

    def __str__(self) -> str:
        return f"{self.entry}: {self.status}; {self.why}; {self.power}"


@dataclass(frozen=True)
class Judgement:
    """All entries. flag   why the contract cannot hold, whatever the numbers: a constant network"""

    entries: list[Judged]
    flag: str = ""

    @property
    def broken(self) -> bool:
        return any(judged.broken for judged in self.entries) or bool(self.flag)

    @property
    def status(self) -> str:
        """Broken, holds where every entry was shown to hold, or else cannot tell."""
        if self.broken:
            return BROKEN
        return HOLDS if all(judged.shown for judged in self.entries) else UNKNOWN

    @property
    def heading(self) -> str:
        """The status, for people."""
        numbers = {s: sum(judged.status == s for judged in self.entries) for s in (BROKEN, HOLDS, UNKNOWN)}
        n = count(len(self.entries), "entry")
        if self.status == UNKNOWN:
            return f"not broken, but not shown to hold: {numbers[UNKNOWN]} of {n} cannot be told from these images"
        return self.status if self.flag else f"{self.status}: {numbers[self.status]} of {n}"

    def lines(self) -> list[str]:
        """For people."""
        head = f"contract {self.heading}; a contract that holds is called broken in at most 5% of cases"
        flag = [f"  {self.flag}: a contract cannot hold for such a network"] if self.flag else []
        return [head, *flag, *(f"  {judged}" for judged in self.entries)]

    def as_dict(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "flag": self.flag or None,
            "level": LEVEL,
            "entries": [
                {
                    "transform": judged.entry.change,
                    "demand": str(judged.entry),
                    "status": judged.status,
                    "p": judged.p,
                    "why": judged.why,
                    "power": judged.power,
                }
                for judged in self.entries
            ],
        }


def judge_contract(
    entries: Sequence[Entry],
    measured: Mapping[str, Measured],
    units: Units,
    flag: str = "",
    word: str = "image",
) -> Judgement:
    """Each entry by its change as it was measured, over its severities. word   what a sample is called"""
    measured = {entry.change: restricted(measured[entry.change], entry) for entry in entries}
    tests = [_forbidden if entry.forbidden else _required for entry in entries]
    chances = [test(entry, measured[entry.change], units) for test, entry in zip(tests, entries, strict=True)]
    broken = holm([p for p, _, _ in chances])
    judged = [
        Judged(
            entry,
            p,
            is_broken,
            shown,
            why,
            power_of(entry, measured[entry.change], units, len(entries), word),
        )
        for entry, (p, shown, why), is_broken in zip(entries, chances, broken, strict=True)
    ]
    return Judgement(judged, flag)


def _required(entry: Entry, measured: Measured, units: Units) -> tuple[float, bool, str]:
    """No harm is done: the drops are within the margin. The chance, whether that is shown, and the numbers."""
    drops = drops_of(loss_of(measured), units)
    scores = drops.scores()
    at = int(np.argmax([score["value"] for score in scores]))
    text = measured.change.text(measured.change.severities[at])
    where = f" at {text}" if text else ""
    low, high = (100 * scores[at][key] for key in ("low", "high"))
    number = 100 * scores[at]["value"]
    p = drops.chance(entry.margin) if units.n > 1 else 1.0
    shown = units.n > 1 and all(score["high"] <= entry.margin for score in scores)
    allowed = f"{100 * entry.margin:g}"
    if measured.right is None:
        why = f"{number:.1f}% of predictions change{where} ({max(0.0, low):.1f} to {high:.1f}), {allowed}% allowed"
    else:
        why = f"drop {number:.1f} points{where} ({low:.1f} to {high:.1f}), {allowed} allowed"
    return p, shown, why


def _forbidden(entry: Entry, measured: Measured, units: Units) -> tuple[float, bool, str]:
    """Predictions change: at some severity, in more images than the margin. As `_required`."""
    from scipy.stats import beta

    changed = 1 - measured.same
    scores = shares(changed, units)
    p = 0.0
    for score, values in zip(scores, changed, strict=True):
        n = effective(values, units)
        p = max(p, float(beta.sf(entry.margin, score["value"] * n + 1, (1 - score["value"]) * n)))
    most = max(scores, key=lambda score: score["low"])
    low, high = (100 * most[key] for key in ("low", "high"))
    number = 100 * most["value"]
    why = f"{number:.1f}% of predictions change ({low:.1f} to {high:.1f}), more than {100 * entry.margin:g}% demanded"
    return p, units.n > 1 and most["low"] > entry.margin, why


def holm(chances: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which are rejected, so that the probability of any false rejection is at most the level."""
    rejected = [False] * len(chances)
    for rank, i in enumerate(np.argsort(chances)):
        if chances[i] > level / (len(chances) - rank):
            break
        rejected[int(i)] = True
    return rejected
