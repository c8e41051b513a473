"""Which samples belong together, and how many groups are on one side of a split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eyespot.data.sources.samples import Source
from eyespot.data.split import groups_of
from eyespot.plurals import count

FEW = 5
"""Groups below which intervals over them are a rough guide only."""
CLUSTER = "cluster"
"""The column of split.csv that is equal for rows of one group, duplicates, and what is joined by both."""
VALIDATED_IN = "validated_in"
"""The column of split.csv with the folder of the fold that each row validates; empty in the test set."""
PURPOSE = {"val": "validation", "test": "testing"}


@dataclass(frozen=True)
class Grouping:
    """The groups of the samples that are evaluated.

    names   one for each sample: equal for those of one patient, for duplicates, and for what is joined by both
    share   how many of all groups these are, in words; empty where groups were not asked for
    """

    names: list[str]
    share: str = ""

    @property
    def n(self) -> int:
        return len(set(self.names))

    def only(self, keep: Sequence[int]) -> "Grouping":
        """The groups of the samples at these positions."""
        return Grouping([self.names[i] for i in keep], self.share)

    def notes(self) -> tuple[str, ...]:
        """The warning about few groups, if they are few."""
        return (f"warning: {few_groups(self.n)}",) if self.n < FEW else ()


def grouping(names: Sequence[str] | None, share: str = "") -> Grouping | None:
    """The groups of samples; None where each is on its own, so that all are independent."""
    if names is None or len(set(names)) == len(names):
        return None
    return Grouping(list(names), share)


def few_groups(n: int, what: str = "group") -> str:
    """Why scores on so few groups, or images that are resampled, say little."""
    return (
        f"the scores come from {count(n, what)} only, so their intervals are a rough guide: "
        f"with {count(FEW, what)} or more they say what to expect of a new one"
    )


def share_of_groups(names: Sequence[str], sides: Sequence[str], side: str) -> str:
    """1 of 3 groups (33%) held out for validation; empty where each sample is a group of its own.

    names   the group of each sample
    sides   the split of each sample: train, val or test
    """
    total = len(set(names))
    if total == len(names):
        return ""
    n = len({name for name, of in zip(names, sides, strict=True) if of == side})
    return f"{n:,} of {count(total, 'group')} ({n / total:.0%}) held out for {PURPOSE[side]}"


def with_groups(source: Source, pattern: str) -> Source:
    """The samples with groups by a regular expression. Raises UserError where it does not match every file."""
    names = groups_of([sample.path.as_posix() for sample in source.samples], pattern)
    samples = zip(source.samples, names, strict=True)
    return replace(source, samples=tuple(replace(sample, group=name) for sample, name in samples))
