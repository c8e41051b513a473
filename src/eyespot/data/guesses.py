"""What was guessed about a data set: the reading, the reason, and the option that overrules it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from eyespot.plurals import count


@dataclass(frozen=True)
class Guess:
    """One reading of the data that the files do not state.

    name     what was guessed, such as "task"
    value    the reading, as text
    reason   why, in a few words
    option   what overrules it on the command line, such as "--task classification"
    """

    name: str
    value: str
    reason: str
    option: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.name}: {self.value}, because {self.reason} (otherwise: {self.option})"


MAX_READINGS = 3
"""Readings of one name that are listed; files that differ further are counted."""


def summarise_guesses(by_file: Sequence[Sequence[Guess]]) -> list[Guess]:
    """The guesses about the files of a data set, each distinct one once, with how many files it concerns.

    by_file   the guesses about each file
    """
    files = Counter((g.name, g.value) for guesses in by_file for g in guesses)
    first = {(g.name, g.value): g for guesses in reversed(by_file) for g in guesses}
    result = []
    for name in dict.fromkeys(name for name, _ in files):
        readings = [(value, n) for (other, value), n in files.most_common() if other == name]
        for value, n in readings[:MAX_READINGS]:
            suffix = "" if n == len(by_file) else f" ({count(n, 'file')} of {len(by_file):,})"
            result.append(replace(first[name, value], value=value + suffix))
        if rest := sum(n for _, n in readings[MAX_READINGS:]):
            last = result[-1]
            result[-1] = replace(last, value=f"{last.value}, and otherwise in {count(rest, 'file')}")
    return result
