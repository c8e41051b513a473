"""Whether the values of masks are classes, or number the objects of each image."""

from dataclasses import dataclass

import numpy as np

from eyespot.data.masks.mapping import COLOUR
from eyespot.data.masks.statistics import MaskValues, background_of
from eyespot.plurals import count

BASES = (1000, 256)
"""Masks of several classes of objects have class * 1000 + number (Cityscapes) or class * 256 + number (KITTI)."""
MOST_WITHOUT = 40
"""Classes without objects in such masks."""
MANY = 12
"""More objects than this in one image are no classes where each is one piece and their number varies."""
FEW = 5
"""Values up to which one that lies in two pieces is taken for a class."""
NEVER_TOGETHER = 1.5
"""Values that occur in fewer masks than this, on average, belong to one image each."""


@dataclass(frozen=True)
class Evidence:
    """What the masks say about their values but background and void.

    sets      the values of each mask that has some
    pieces    of all values in all masks, the share that is one connected piece
    touching  of the masks with several values, the share in which two of them touch
    sizes     how much of the variation of the sizes of values is explained by the value: 1 for sizes of their own
    """

    sets: tuple[frozenset[int], ...]
    pieces: float
    touching: float
    sizes: float

    @property
    def values(self) -> frozenset[int]:
        return frozenset[int]().union(*self.sets)

    @property
    def recurrence(self) -> float:
        """In how many masks a value occurs, on average."""
        return sum(map(len, self.sets)) / max(1, len(self.values))

    @property
    def numbered(self) -> bool:
        """Whether each mask has 1, 2, ... up to as many values as it has."""
        return all(values == set(range(1, len(values) + 1)) for values in self.sets)

    @property
    def same(self) -> bool:
        """Whether each mask has all the values."""
        return all(values == self.values for values in self.sets)

    @property
    def numbers(self) -> set[int]:
        """How many values the masks have."""
        return set(map(len, self.sets))


@dataclass(frozen=True)
class Reading:
    """What the values are: "objects" or "classes", "" where both fit; and why."""

    value: str
    reason: str


def evidence_of(masks: dict[str, MaskValues], void: int | None) -> Evidence:
    """What masks say about their values; `void` is one of them, and does not count."""
    background = background_of(v for mask in masks.values() for v in mask.counts)
    sets = []
    pieces: list[bool] = []
    touching: list[bool] = []
    sizes: dict[int, list[float]] = {}
    for mask in masks.values():
        values = frozenset(v for v in mask.counts if v not in (background, void))
        if not values:
            continue
        sets.append(values)
        pieces += [mask.pieces[v] == 1 for v in values if v in mask.pieces]
        touching += [mask.touching] * (len(values) > 1)
        for value in values:
            sizes.setdefault(value, []).append(float(np.log(mask.counts[value])))
    share = float(np.mean(pieces)) if pieces else 0.0
    return Evidence(
        tuple(sets), share, float(np.mean(touching)) if touching else 0.0, _explained(list(sizes.values()))
    )


def _explained(sizes: list[list[float]]) -> float:
    """The share of the variance between groups; 0 where there are fewer than three values in a group, on average."""
    every = [size for group in sizes for size in group]
    if len(every) < max(3, 3 * len(sizes)) or np.var(every) == 0:
        return 0.0
    within = sum(len(group) * np.var(group) for group in sizes)
    return 1 - float(within / (len(every) * np.var(every)))


def read_values(evidence: Evidence) -> Reading:
    """What the values are, from how they are spread over the masks."""
    values = evidence.values
    if len(values) < 2 or even_levels(values):
        return Reading("classes", "they are few and evenly spaced" if len(values) > 1 else "there is one")
    if evidence.numbered:
        return _numbered(evidence)
    readings = (_of_classes_with_numbers(evidence, base) for base in BASES)
    return next(filter(None, readings), None) or _not_numbered(evidence)


def even_levels(values: frozenset[int]) -> bool:
    """Whether values, with 0, are evenly spaced grey levels from black to white, such as 0, 128, 255."""
    levels = sorted(values | {0})
    if levels[-1] != 255 or not 3 <= len(levels) <= 18:
        return False
    step = 255 / (len(levels) - 1)
    return all(abs(level - k * step) <= 1 for k, level in enumerate(levels))


def _of_classes_with_numbers(evidence: Evidence, base: int) -> Reading | None:
    """Of values such as 26001, 26002, 24001: the number of an object after that of its class."""
    high = {v for v in evidence.values if base <= v < COLOUR}
    runs = [_runs(values, base) for values in evidence.sets]
    several = any(n > 1 for run in runs for n in run.values())
    if not high or not several or any(n < 1 for run in runs for n in run.values()):
        return None
    low = sorted(evidence.values - high)
    if len(low) > MOST_WITHOUT:
        return None
    if low:
        return Reading(
            "",
            f"values such as {min(high)} are a class times {base} plus the number of an object, "
            f"and values such as {low[0]} are classes",
        )
    if evidence.pieces < 0.7:
        return None
    return Reading("objects", f"values such as {min(high)} are a class times {base} plus a number")


def _runs(values: frozenset[int], base: int) -> dict[int, int]:
    """How many numbers each class has in a mask, from 0 or 1 on without a gap; 0 where they have gaps."""
    numbers: dict[int, list[int]] = {}
    for value in sorted(values):
        if base <= value < COLOUR:
            numbers.setdefault(value // base, []).append(value % base)
    return {
        of: len(own) if own[0] in (0, 1) and own[-1] - own[0] == len(own) - 1 else 0
        for of, own in numbers.items()
    }


def _numbered(evidence: Evidence) -> Reading:
    """Values 1, 2, ... in each mask."""
    most = max(evidence.numbers)
    up_to = f"each mask numbers 1 to as many as it has, at most {most}"
    if len(evidence.numbers) > 2 and most > MANY:
        return Reading("objects", f"{up_to}, which differs from mask to mask")
    if evidence.pieces < 0.8:
        return Reading("classes", "a value may lie in several pieces")
    if evidence.same:
        return _same_numbers(evidence, most)
    if (most > 3 and len(evidence.numbers) > 2) or most > MANY:
        return Reading("objects", f"{up_to}, and each value is one piece")
    if most > 2 or not evidence.touching:
        return Reading("", f"{up_to}, and each value is one piece")
    return Reading("classes", "they are few and touch each other")


def _same_numbers(evidence: Evidence, most: int) -> Reading:
    """Values 1, 2, ..., n in all masks, each in one piece."""
    if most > MANY and evidence.sizes < 0.7:
        return Reading("objects", f"each mask has 1 to {most}, each in one piece")
    own_sizes = evidence.sizes >= 0.7
    if evidence.touching > 0.5 and len(evidence.sets) > 1 and (most <= FEW or own_sizes):
        return Reading("classes", "every mask has the same, and they touch each other")
    if own_sizes:
        return Reading("classes", "every mask has the same, and each has a size of its own")
    if most == 2:
        return Reading("classes", "every mask has the values 1 and 2")
    apart = "" if evidence.touching > 0.5 else " and apart from the others"
    return Reading("", f"every mask has 1 to {most}, each in one piece{apart}")


def _not_numbered(evidence: Evidence) -> Reading:
    """Values with gaps, or that are not in all masks."""
    several = len(evidence.sets) > 1
    values = evidence.values
    most = max(evidence.numbers)
    unique = several and evidence.recurrence <= NEVER_TOGETHER and evidence.pieces >= 0.8
    n = f"{count(len(values), 'value')} in {count(len(evidence.sets), 'mask')}"
    if unique and (len(values) >= MANY or (max(values) > 255 and len(values) > 5)):
        return Reading("objects", f"{n}, most of them in one mask only, in one piece")
    if several and evidence.same:
        return Reading("classes", "every mask has the same")
    if len(values) > MANY and not several and evidence.pieces >= 0.9:
        return Reading("objects", f"{n}, each in one piece")
    one_piece = 0.95 if len(values) <= FEW else 0.8  # objects may be cut in two by another that lies on them
    if len(values) > 3 and evidence.pieces >= one_piece and (most > 1 or unique):
        if evidence.sizes >= 0.7:
            return Reading("classes", "each has a size of its own")
        return Reading("", f"{n}, {'each' if evidence.pieces == 1 else 'nearly all'} in one piece")
    if unique and (len(values) > 5 or max(values) > 255):
        return Reading("", f"{n}, most of them in one mask only")
    return Reading("classes", "a value may lie in several pieces, and in several masks")
