"""A pattern for --images or --masks that chooses one of several files of each case."""

import re
from collections.abc import Iterator, Sequence
from glob import escape
from pathlib import Path

from eyespot.data.sources.stems import stem_of

SEPARATOR = re.compile(r"[\W_]+")
"""Between the words of a name."""


def pattern_for(root: Path, path: Path, others: Sequence[Path], cases: Sequence[Sequence[Path]]) -> str:
    """A pattern that matches this file and not the others of its case, and one file of each of the cases, if there is one.

    root    the folder below which patterns are applied
    cases   the files of each case from which one is to be chosen
    """
    others = [other for other in others if other != path]
    unlike = list(_patterns(root, path, others))
    return next((pattern for pattern in unlike if _chooses_one(root, pattern, cases)), unlike[0])


def _patterns(root: Path, path: Path, others: Sequence[Path]) -> Iterator[str]:
    """Patterns that match the path and none of the others: by folders, by the end of the name, by its beginning."""
    folders = path.relative_to(root).parts[:-1]
    for folder in reversed(folders):
        if all(folder not in other.relative_to(root).parts[:-1] for other in others):
            top = "" if folder == folders[0] else "**/"
            yield f"{top}{escape(folder)}/*"
    name = path.name
    breaks = [match.end() - 1 for match in SEPARATOR.finditer(name)]
    for start in reversed(breaks):
        if not any(other.name.endswith(name[start:]) for other in others):
            yield f"**/*{escape(name[start:])}"
    for match in SEPARATOR.finditer(name):
        if not any(other.name.startswith(name[: match.end()]) for other in others):
            yield f"**/{escape(name[: match.end()])}*"
    ending = escape(name[len(stem_of(path)) :])
    if stem_of(path)[-1:].isdigit() and not any(stem_of(other)[-1:].isdigit() for other in others):
        yield f"**/*[0-9]{ending}"
    yield f"**/{escape(name)}"


def _chooses_one(root: Path, pattern: str, cases: Sequence[Sequence[Path]]) -> bool:
    matches = set(root.glob(pattern))
    matched = [sum(bool({path, *path.parents} & matches) for path in case) for case in cases]
    return all(n == 1 for n in matched)
