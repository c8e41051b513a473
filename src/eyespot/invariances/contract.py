"""A contract: which changes may not change predictions, which have to, and which exchange classes. It holds or is broken.

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

from eyespot.console import count
from eyespot.data.masks.mapping import VOID
from eyespot.errors import UserError, nearest
from eyespot.invariances.bands import Drops, Spread, Units, drops_of, shares, units_of
from eyespot.invariances.changes import Change
from eyespot.invariances.measured import Measured
from eyespot.invariances.verdict import MARGIN, loss_of, points, rounded_up

LEVEL = 0.05
"""The probability that a contract is called broken that holds."""
POWER = 0.8
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
            i, j = classes.index(one), classes.index(other)
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
        names = [part.strip() for part in text.split(",")]
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
    return replace(change, severities=tuple(sorted({*change.severities, entry.up_to})))


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
    """One entry. p   the probability of what was seen, or more, where the entry holds"""

    entry: Entry
    p: float
    broken: bool
    why: str
    power: str

    def __str__(self) -> str:
        return f"{self.entry}: {'broken' if self.broken else 'holds'}; {self.why}; {self.power}"


@dataclass(frozen=True)
class Judgement:
    """All entries. flag   why the contract cannot hold, whatever the numbers: a constant network"""

    entries: list[Judged]
    flag: str = ""

    @property
    def holds(self) -> bool:
        return not any(judged.broken for judged in self.entries) and not self.flag

    def lines(self) -> list[str]:
        """For people."""
        broken = sum(judged.broken for judged in self.entries)
        n = count(len(self.entries), "entry")
        head = f"contract: {'holds' if self.holds else 'broken'}, {broken} of {n} broken; a contract that holds is called broken in at most 5% of cases"
        flag = [f"  {self.flag}: a contract cannot hold for such a network"] if self.flag else []
        return [head, *flag, *(f"  {judged}" for judged in self.entries)]

    def as_dict(self) -> dict[str, Any]:
        return {
            "holds": self.holds,
            "flag": self.flag or None,
            "level": LEVEL,
            "entries": [
                {
                    "transform": judged.entry.change,
                    "demand": str(judged.entry),
                    "broken": judged.broken,
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
    broken = holm([p for p, _ in chances])
    judged = [
        Judged(entry, p, is_broken, why, power_of(entry, measured[entry.change], units, len(entries), word))
        for entry, (p, why), is_broken in zip(entries, chances, broken, strict=True)
    ]
    return Judgement(judged, flag)


def _required(entry: Entry, measured: Measured, units: Units) -> tuple[float, str]:
    """No harm is done: the drops are within the margin."""
    drops = drops_of(loss_of(measured), units)
    scores = drops.scores()
    at = int(np.argmax([score["value"] for score in scores]))
    text = measured.change.text(measured.change.severities[at])
    where = f" at {text}" if text else ""
    low, high = (100 * scores[at][key] for key in ("low", "high"))
    what = "drop" if measured.right is not None else "share of changed predictions"
    number = 100 * scores[at]["value"]
    p = drops.chance(entry.margin) if units.n > 1 else 1.0
    return p, f"{what} {number:.1f} points{where} ({low:.1f} to {high:.1f}), {100 * entry.margin:g} allowed"


def _forbidden(entry: Entry, measured: Measured, units: Units) -> tuple[float, str]:
    """Predictions change: at some severity, in more images than the margin."""
    from scipy.stats import beta

    changed = 1 - measured.same
    scores = shares(changed, units)
    p = 0.0
    for score, values in zip(scores, changed, strict=True):
        n = effective(values, units)
        p = max(p, float(beta.sf(entry.margin, score["value"] * n + 1, (1 - score["value"]) * n)))
    most = max(scores, key=lambda score: score["value"])
    low, high = (100 * most[key] for key in ("low", "high"))
    number = 100 * most["value"]
    return (
        p,
        f"{number:.1f}% of predictions change ({low:.1f} to {high:.1f}), more than {100 * entry.margin:g}% demanded",
    )


def effective(values: NDArray[np.float64], units: Units) -> float:
    """How many independent images say as much as these values (N,) do: fewer, where they come in groups that are alike"""
    n = len(values)
    mean = float(values.mean())
    if not units.grouped or not 0 < mean < 1:
        return float(units.n if units.grouped else n)
    sums = units.sums(values[None] - mean)[0]
    variance = float((sums**2).sum()) / n**2 * units.n / max(1, units.n - 1)
    return float(np.clip(mean * (1 - mean) / variance, units.n, n)) if variance else float(units.n)


def holm(chances: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which are rejected, so that the probability of any false rejection is at most the level."""
    rejected = [False] * len(chances)
    for rank, i in enumerate(np.argsort(chances)):
        if chances[i] > level / (len(chances) - rank):
            break
        rejected[int(i)] = True
    return rejected


def power_of(entry: Entry, measured: Measured, units: Units, entries: int, word: str = "image") -> str:
    """What would be seen with 80%, at the strictest level of Holm's procedure."""
    level = LEVEL / entries
    n = int(effective(loss_of(measured)[-1], units)) if units.grouped else len(units.place)
    unit = "groups" if units.grouped else f"{word}s"
    shown = units.n if units.grouped else n
    if entry.forbidden:
        needed = math.ceil(math.log(level) / math.log(1 - entry.margin))
        if n >= needed:
            return f"with your {shown:,} {unit} a network that never changes its predictions would be seen"
        return f"your {shown:,} {unit} cannot show that predictions never change: {needed:,} can"
    drop = detectable(n, entry.margin, level / len(measured.change.severities))
    if drop is None:
        return f"your {shown:,} {unit} cannot show any drop: give at least {rounded_up(5 / (1 - entry.margin)):,}"
    return f"with your {shown:,} {unit} a drop of {points(drop)} would be seen with {POWER:.0%}"


def detectable(n: int, margin: float, level: float) -> float | None:
    """The smallest drop that n images show to be above the margin with 80%, if no image gains; None where none is."""
    from scipy.stats import binom, norm

    units = units_of(2, None)
    plain = Spread(np.zeros(1), np.eye(1), np.inf)
    z = float(norm.isf(level))
    low, high = 0, n
    while low < high:  # the fewest losses that show it
        k = (low + high) // 2
        lost = Drops(np.array([k / n]), np.zeros(1), np.array([n]), np.array([n]), plain, n, units)
        if lost.limits(z)[0][0] > margin:
            high = k
        else:
            low = k + 1
    drops = np.arange(margin, 1.0, 0.001)
    enough = drops[binom.sf(low - 1, n, drops) >= POWER]
    return float(enough[0]) if len(enough) else None
