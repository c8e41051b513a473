"""Which folders are classes, and which mean a split: above the classes, below them or in their names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from eyespot.data.guesses import Guess
from eyespot.data.sources.samples import SPLITS, TABLES, folders, is_known, is_table, visible, walk
from eyespot.data.sources.words import names_mask, split_of
from eyespot.errors import UserError

OTHERWISE = "--label-from REGEX, or a CSV with path, label and split"
SPLIT_WORD = re.compile(rf"[\W_]*(?<![^\W\d_])({'|'.join(SPLITS)})(?![^\W\d_])[\W_]*", re.IGNORECASE)

NOTES = TABLES | frozenset(
    ".json .jsonl .xml .yaml .yml .toml .md .rst .py .ipynb .m .html .htm .pdf .doc .docx .log".split()
)
"""Endings of notes about a data set."""
NOTE_NAMES = frozenset("readme license licence copying changelog citation authors".split())
MOST_BESIDE = 12
"""Folders side by side; where there are more, none of them wraps the others."""
LOOKED_AT = 50


@dataclass
class ClassLayout:
    """The folders of classes, each with its class and split, and what was guessed.

    top   the folder in which they lie: the data set itself, or one that it wraps
    """

    top: Path
    classes: dict[Path, tuple[str, str]] = field(default_factory=dict)
    guesses: list[Guess] = field(default_factory=list)

    def add(self, folder: Path, label: str, split: str) -> None:
        self.classes[folder] = (label.strip(), split)

    @property
    def labels(self) -> set[str]:
        return {label for label, _ in self.classes.values()}


def class_layout(root: Path) -> ClassLayout:
    """The classes of a folder. Raises UserError where a folder may be a class or a split."""
    top = unwrapped(root)
    layout = _splits_above(top) or _splits_below(top) or _splits_in_names(top) or _plain(top)
    if top != root:
        reason = f"{root.name}/ has no other data"
        layout.guesses.insert(
            0, Guess("folder", f"{top.relative_to(root)}/", reason, "give the folder itself")
        )
    return layout


def unwrapped(folder: Path) -> Path:
    """The folder inside, where there is nothing else but notes and it holds folders only; as often as that is so."""
    below = folders(folder)
    if not 0 < len(below) <= MOST_BESIDE:
        return folder
    inner = [f for f in below if len(below) == 1 or not _is_notes(f)]
    if len(inner) == 1 and not _has_samples(folder) and not _has_samples(inner[0]) and folders(inner[0]):
        return unwrapped(inner[0])
    return folder


def _is_notes(folder: Path) -> bool:
    """Whether a folder holds texts, tables and documents only; or annotations, if it is called so."""
    endings = NOTES | {".mat"} if names_mask(folder.name) else NOTES
    return all(
        path.suffix.lower() in endings or path.name.lower() in NOTE_NAMES
        for path in islice(walk(folder), LOOKED_AT)
    )


def _has_samples(folder: Path) -> bool:
    """Whether files of data lie directly in a folder."""
    return any(True for _ in files_in(folder))


def files_in(folder: Path) -> Iterator[Path]:
    """The files of data directly in a folder; tables are notes."""
    for entry in visible(folder):
        path = Path(entry.path)
        if entry.is_file() and is_known(path) and not is_table(path):
            yield path


def _plain(top: Path) -> ClassLayout:
    layout = ClassLayout(top)
    below = folders(top)
    for folder in below:
        layout.add(folder, folder.name, "")
    flat = [folder for folder in below if _has_samples(folder)]
    nested = [folder for folder in below if folder not in flat and len(folders(folder)) > 1]
    if flat and nested:
        inner = ", ".join(f"{f.name}/" for f in folders(nested[0])[:3])
        shown = f"{nested[0].name}/ with its folders ({inner}) is one class"
        reason = f"{flat[0].name}/ beside it holds files itself"
        layout.guesses.append(
            Guess("classes", shown, reason, "--label-from '([^/]+)/[^/]+$' for the folders of files")
        )
    return layout


def _splits_above(top: Path) -> ClassLayout | None:
    """Folders of classes in folders of splits, of which one is for training."""
    below = folders(top)
    splits = {folder: split for folder in below if (split := split_of(folder.name))}
    inner = {folder: folders(unwrapped(folder)) for folder in splits}
    training = {f.name for folder, split in splits.items() if split == "train" for f in inner[folder]}
    if not training:
        return None
    _refuse_unclear(top, [folder for folder in below if folder not in splits], splits, training)
    layout = ClassLayout(top)
    for folder, split in splits.items():
        names = {f.name for f in inner[folder]}
        if len(names) == 1 and not names & training:
            continue  # a folder of images without a class, such as test/unknown
        for f in inner[folder]:
            layout.add(f, f.name, split)
    if any(folder.name.lower() not in SPLITS or unwrapped(folder) != folder for folder in splits):
        shown = ", ".join(
            f"{unwrapped(folder).relative_to(top)}/ is {split}" for folder, split in splits.items()
        )
        layout.guesses.append(Guess("split", shown, "they are called so", OTHERWISE))
    return layout


def _refuse_unclear(top: Path, others: list[Path], splits: dict[Path, str], training: set[str]) -> None:
    """Raises UserError where a folder called train lies beside others that are classes or look like it."""
    if len(splits) > 1:
        return
    similar = [f for f in others if _has_samples(f) or {x.name for x in folders(f)} & training]
    if similar:
        train = next(iter(splits))
        raise UserError(
            f"{train}/ holds folders, and so it is a split, or a class beside {similar[0].name}/: for classes give --label-from '^([^/]+)/', "
            f"for a split --label-from '^{re.escape(train.name)}/([^/]+)/'"
        )


def _splits_below(top: Path) -> ClassLayout | None:
    """Folders of splits in the folders of classes: CLASS/train."""
    of_class = {folder: {f: split_of(f.name) for f in folders(folder)} for folder in folders(top)}
    has_split = ["train" in below.values() and not _has_samples(folder) for folder, below in of_class.items()]
    if not any(has_split) or len(of_class) < 2:
        return None
    if not all(has_split):
        without = next(folder for folder, ok in zip(of_class, has_split, strict=True) if not ok)
        layout = _plain(top)
        reason = f"{without.name}/ has no folder that means training, though others have"
        layout.guesses.append(Guess("split", "none", reason, OTHERWISE))
        return layout
    layout = ClassLayout(top)
    for folder, below in of_class.items():
        for f, split in below.items():
            if split:
                layout.add(f, folder.name, split)
    reason = "every class has folders of these names"
    names = ", ".join(sorted({f.name for f, _ in _of_splits(of_class)}))
    layout.guesses.append(Guess("split", f"{names} below the classes", reason, OTHERWISE))
    return layout


def _of_splits(of_class: dict[Path, dict[Path, str]]) -> Iterator[tuple[Path, str]]:
    return ((f, split) for below in of_class.values() for f, split in below.items() if split)


def _splits_in_names(top: Path) -> ClassLayout | None:
    """Folders that name a class and a split: cats_train, cats_test, dogs_train."""
    named = {folder: (SPLIT_WORD.sub("", folder.name), split_of(folder.name)) for folder in folders(top)}
    trained = {label for label, split in named.values() if split == "train"}
    labels = {label for label, _ in named.values()}
    if len(labels) < 2 or "" in labels or trained != labels or not all(split for _, split in named.values()):
        return None
    layout = ClassLayout(top)
    for folder, (label, split) in named.items():
        layout.add(folder, label, split)
    shown = f"{next(iter(named)).name}/ is {' in '.join(next(iter(named.values())))}"
    reason = "every folder is called so"
    layout.guesses.append(Guess("classes", shown, reason, OTHERWISE))
    return layout
