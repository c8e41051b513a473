"""Names of files that begin with the same words in several folders: then the words may be the classes, not the folders."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eyespot.data.sources.flat_names import CAMERA_WORDS, beginning
from eyespot.data.sources.stems import stem_of

UNIT = re.compile(
    r"(patient|pat|subject|subj|sub|case|donor|mouse|rat|animal|slide|plate|well|scan|session|ses|visit|specimen|participant|"
    r"person|proband|actor|speaker|singer|volunteer|user|writer|driver|experiment|exp|run|batch|day|date|week|site|center|centre|hospital)s?[\W_]*\d+([\W_]+\w+)*",
    re.IGNORECASE,
)
"""Folders that are called like a patient, an animal, a plate or a day, with a number."""
DATE = re.compile(r"(19|20)\d\d[-_.]?\d\d[-_.]?\d\d\D*.*|\d\d?[-_.]\d\d?[-_.](19|20)\d\d\D*.*")
NUMBERED = re.compile(r"[A-Za-z]{1,4}[-_ ]?\d+")
"""A few letters and a number, as P07: an id where the names of files say more."""
CODE = re.compile(r"[0-9a-fA-F]{8,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""Digits of a hash or a UUID."""
SHORT_ID = re.compile(r"[A-Za-z]{1,4}[-_ ]?\d{2,}")
"""A few letters and a number, as SA01."""
LONG_NUMBER = re.compile(r"\d{4}")
"""In names that differ in digits only: what makes them ids."""
WORDNET = re.compile(r"n\d{8}")
"""The classes of ImageNet."""
FEWEST_IDS = 3
ENOUGH = 0.9
"""The share of files, and of folders, from which the words are no chance."""
MOST_WORDS = 12
FEWEST = 2
"""Files that a word begins, and folders that it occurs in, at the least."""


@dataclass(frozen=True)
class SharedWords:
    """Words that names begin with in several folders of classes.

    words    the words, sorted
    depth    how many levels the files lie below the folders of classes
    """

    words: tuple[str, ...]
    depth: int

    @property
    def label_from(self) -> str:
        """The expression for --label-from that makes the words the classes."""
        longest_first = sorted(self.words, key=lambda word: (-len(word), word))
        return f"^({'|'.join(map(re.escape, longest_first))})"

    @property
    def group(self) -> str:
        """The expression for --group that keeps each folder on one side of the split."""
        return "([^/]+)/" + "[^/]+/" * (self.depth - 1) + "[^/]+$"


def is_unit(name: str) -> bool:
    """Whether a folder is called like a patient, a plate or another unit of an experiment, or is a date."""
    return bool(UNIT.fullmatch(name) or DATE.fullmatch(name))


def is_id(name: str) -> bool:
    """Whether a folder is called like such a unit, or by a few letters and a number."""
    return is_unit(name) or bool(NUMBERED.fullmatch(name))


def are_ids(names: Sequence[str]) -> bool:
    """Whether all names are called like units, or are ids: a few letters and a number of several digits, or codes that differ in digits."""
    if all(map(is_unit, names)):
        return True
    if len(names) < FEWEST_IDS or all(WORDNET.fullmatch(name) for name in names):
        return False
    if all(CODE.fullmatch(name) and re.search(r"\d", name) for name in names):
        return True
    if all(SHORT_ID.fullmatch(name) for name in names):
        return True
    alike = len({re.sub(r"\d+", "0", name) for name in names}) == 1
    return alike and all(LONG_NUMBER.search(name) and not name.isdecimal() for name in names)


def shared_words(by_class: Mapping[str, Sequence[Path]]) -> SharedWords | None:
    """The words that the names of files begin with, where two or more of them are shared by folders; else None.

    by_class   the files of each class that is a folder
    """
    words = {path: beginning(stem_of(path)) for paths in by_class.values() for path in paths}
    counts = Counter(word for word in words.values() if len(word) > 1 and word.lower() not in CAMERA_WORDS)
    folders = defaultdict(set)
    for label, paths in by_class.items():
        for path in paths:
            folders[words[path]].add(label)
    shared = {word for word, n in counts.items() if n >= FEWEST and len(folders[word]) >= FEWEST}
    if not 2 <= len(shared) <= MOST_WORDS or sum(counts[word] for word in shared) < ENOUGH * len(words):
        return None
    covered = set.union(*(folders[word] for word in shared))
    depths = {_depth(path, label) for label, paths in by_class.items() for path in paths}
    if len(covered) < ENOUGH * len(by_class) or len(depths) != 1:
        return None
    return SharedWords(tuple(sorted(shared)), depths.pop())


def _depth(path: Path, label: str) -> int:
    """How many levels a file lies below the folder of its class."""
    names = [name.strip() for name in path.parts[:-1]]
    return names[::-1].index(label) + 1 if label in names else 1
