"""Names of classes that are nearly equal, so that one class may have been written in two ways."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

from eyespot.data.sources.samples import Source
from eyespot.data.surveys.survey import WARNING, Problem


def near_equal(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ in case, spaces, hyphens or the form of a number only: Cat and cat, 1 and 1.0."""
    groups: dict[object, list[str]] = defaultdict(list)
    for name in names:
        groups[_essence(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _essence(name: str) -> object:
    text = unicodedata.normalize("NFKC", name).casefold()
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return "".join(letter for letter in text if letter not in " \t_-")


def near_equal_classes(source: Source) -> Iterator[Problem]:
    """Classes of nearly equal names."""
    for group in near_equal(source.classes):
        names = ", ".join(map(repr, group))
        text = f"the classes {names} are nearly equal, and each is a class: if they mean the same, give them one label"
        yield Problem(WARNING, text)
