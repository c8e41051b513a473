"""Classes that the names of files tell, as in cat.0.jpg: by the user's expression, or guessed."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from eyespot.data.sources.stems import stem_of
from eyespot.data.sources.words import IMAGE_WORDS, split_of_path
from eyespot.errors import UserError
from eyespot.plurals import count

CAMERA_WORDS = IMAGE_WORDS | set(
    "dsc dscn dscf dcim mvi pxl p pic snap screenshot frame file sample test train val item f i x n no id".split()
)
"""Beginnings of file names that number files, and name no class."""
BEGINNING = re.compile(r"([^\W\d_]\D*?)[\W_]*(\d.*)?", re.DOTALL)
FEWEST = 2
"""Files of a class from which a name is guessed to be one."""
MOST_CLASSES = 0.34
"""Most classes, as a share of the files."""


def labels_by_expression(files: Iterable[Path], root: Path, pattern: str) -> dict[Path, tuple[str, str]]:
    """(class, split) of each file whose name the expression matches. Raises UserError where it is none, or matches none.

    The expression is searched in the name, or in the path below the root where it has a slash; folders that are not in
    its first group may mean a split.
    """
    regex = _compiled(pattern)
    labels = {}
    files = list(files)
    for path in files:
        text = path.relative_to(root).as_posix()
        start = 0 if "/" in pattern else len(text) - len(path.name)
        match = regex.search(text[start:])
        if match and (label := (match.group(1) or "").strip()):
            a, b = (start + at for at in match.span(1))
            labels[path] = (label, split_of_path(PurePosixPath(f"{text[:a]}/{text[b:]}").parent))
    if not labels:
        example = f"; the first is {files[0].relative_to(root).as_posix()}" if files else ""
        raise UserError(
            f"--label-from {pattern!r} matches none of {count(len(files), 'file')} of {root}{example}"
        )
    return _consistent(labels)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--label-from {pattern!r} is not a regular expression: {error}") from error
    if not regex.groups:
        raise UserError(
            f"--label-from {pattern!r} has no group: put brackets around the class, as in '^([a-z]+)'"
        )
    return regex


def _consistent(labels: dict[Path, tuple[str, str]]) -> dict[Path, tuple[str, str]]:
    """The splits only where every file has one and some are for training."""
    splits = {split for _, split in labels.values()}
    keep = "train" in splits and "" not in splits and len(splits) > 1
    return labels if keep else {path: (label, "") for path, (label, _) in labels.items()}


def labels_by_beginning(files: list[Path], root: Path) -> dict[Path, tuple[str, str]] | None:
    """(class, split) of files whose names begin with a word and go on with a number; None where that tells no classes.

    Files outside a split for training may have no class.
    """
    splits = {path: split_of_path(path.relative_to(root).parent) for path in files}
    words = {path: beginning(stem_of(path)) for path in files}
    trained = [path for path in files if splits[path] in ("train", "")]
    counts = Counter(words[path] for path in trained)
    named = "" not in counts and not any(word.lower() in CAMERA_WORDS for word in counts)
    if (
        not named
        or len(counts) < 2
        or min(counts.values()) < FEWEST
        or len(counts) > MOST_CLASSES * len(trained)
    ):
        return None
    return _consistent({path: (words[path], splits[path]) for path in files if words[path] in counts})


def beginning(stem: str) -> str:
    """The word that a name begins with, before its number; "" where it begins with none."""
    match = BEGINNING.fullmatch(stem)
    return match.group(1) if match else ""
