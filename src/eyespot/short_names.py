"""Names of files that are short and tell the files apart."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def short_names(paths: Sequence[str]) -> list[str]:
    """The file name of each path; where other paths have the same, with as many of its folders as tell them apart.

    >>> short_names(["a/1.png", "b/1.png", "b/2.png"])
    ['a/1.png', 'b/1.png', '2.png']
    """
    parts = {path: Path(path).parts for path in paths}
    names = dict.fromkeys(parts, 1)
    while True:
        short = {path: "/".join(parts[path][-n:]) for path, n in names.items()}
        counts = Counter(short.values())
        repeated = [p for p, name in short.items() if counts[name] > 1 and names[p] < len(parts[p])]
        if not repeated:
            return [short[path] for path in paths]
        for path in repeated:
            names[path] += 1
