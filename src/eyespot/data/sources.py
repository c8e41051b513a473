"""Which files belong to a data set, and what each is called: folders, a CSV, or a built-in set."""

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eyespot.data.builtin import BUILTIN, unpack
from eyespot.errors import UserError, nearest

PICTURES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff".split())
TABLES = frozenset(".csv .tsv .txt".split())
"""Series of numbers; but beside pictures they are notes, and passed over."""
KNOWN = PICTURES | TABLES | frozenset(".wav .npy .npz .nii .gz".split())
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Folder names that mean a split, and the name it gets here."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image, signal or volume: where it is, the name of its class, and the split that the user put it in ("" if none)."""

    path: Path
    label: str
    split: str = ""


@dataclass(frozen=True)
class Source:
    """A data set as found: its samples in a fixed order and the class names, sorted, over all splits."""

    name: str
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    ignored: dict[str, int]
    """Files passed over, counted by their ending."""

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(s for s in ("", "train", "val", "test") if any(x.split == s for x in self.samples))

    def counts(self, split: str | None = None) -> Counter[str]:
        """Images per class, of one split or of all."""
        return Counter(s.label for s in self.samples if split is None or s.split == split)

    def only(self, keep: Sequence[int]) -> "Source":
        """The samples at these positions, with all the class names."""
        return replace(self, samples=tuple(self.samples[i] for i in keep))


def find(data: str | os.PathLike) -> Source:
    """List a data set's files without opening one.

    data   a folder with a folder per class, perhaps below train/, val/ and test/; a CSV with the columns path and
           label, and perhaps split; or the name of a built-in set
    """
    path = Path(data)
    if path.is_file():
        return _from_csv(path)
    if path.is_dir():
        return _from_folder(path, path.resolve().name)
    if str(data) in BUILTIN:
        return _from_folder(unpack(str(data)), str(data))
    offer = nearest(str(data), sorted(BUILTIN))
    raise UserError(f"{data} is not a folder, a CSV file or a built-in set; {offer}")


def list_files(folder: Path, dim: int) -> Iterator[Path]:
    """The files below a folder that may have so many axes, in the order of their names, hidden ones left out."""
    unlike = TABLES | {".wav"} if dim > 1 else PICTURES
    return (path for path in _walk(folder) if is_known(path) and path.suffix.lower() not in unlike)


def is_known(path: Path) -> bool:
    """Whether its ending is that of an image, a signal or a volume."""
    ending = path.suffix.lower()
    return ending in KNOWN and (ending != ".gz" or path.name.lower().endswith(".nii.gz"))


def _walk(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}; mend its permissions") from error
    for entry in entries:
        if entry.name.startswith((".", "__MACOSX")):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path)


def _from_folder(root: Path, name: str) -> Source:
    below = _folders(root)
    splits = {folder: SPLITS[folder.name.lower()] for folder in below if folder.name.lower() in SPLITS}
    if "train" not in splits.values():
        splits = {root: ""}
    samples: list[Sample] = []
    ignored: Counter[str] = Counter()
    names: set[str] = set()
    for folder, split in splits.items():
        for kind in _folders(folder):
            names.add(kind.name)
            for path in _walk(kind):
                if is_known(path):
                    samples.append(Sample(path, kind.name, split))
                else:
                    ignored[path.suffix.lower() or "no ending"] += 1
    if any(s.path.suffix.lower() in PICTURES for s in samples):
        ignored += Counter(s.path.suffix.lower() for s in samples if s.path.suffix.lower() in TABLES)
        samples = [s for s in samples if s.path.suffix.lower() not in TABLES]
    if not samples:
        raise UserError(_why_nothing(root, names))
    return Source(name, tuple(samples), tuple(sorted(names)), dict(ignored))


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise UserError(f"cannot read the folder {root}: {error.strerror}; mend its permissions") from error


def _why_nothing(root: Path, names: set[str]) -> str:
    loose = sum(1 for p in root.iterdir() if is_known(p))
    if loose:
        return f"{root} has {loose} files but no folder per class: move each into a folder named after its class, or give a CSV with the columns path and label"
    if names:
        return f"the class folders of {root} ({', '.join(sorted(names)[:5])}) hold no images; known endings: {' '.join(sorted(KNOWN - {'.gz'}))} .nii.gz"
    return f"{root} is empty: put the images of each class into a folder named after the class"


def _from_csv(path: Path) -> Source:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read as a CSV ({error}): give a folder, or a CSV with the columns path and label"
        ) from error
    if not rows:
        raise UserError(f"{path} has no rows: give a header path,label and a row per image")
    columns = [c for c in rows[0] if c]
    missing = {"path", "label"} - set(columns)
    if missing:
        raise UserError(
            f"{path} has no column {' or '.join(sorted(missing))}; its header is {','.join(columns)}"
        )
    samples = [_from_row(path, number, row) for number, row in enumerate(rows, start=2)]
    named = [s.split for s in samples if s.split]
    if named and (len(named) < len(samples) or "train" not in named):
        what = (
            "no row has the split train"
            if len(named) == len(samples)
            else f"{len(samples) - len(named)} rows have no split"
        )
        raise UserError(
            f"{path} names splits, but {what}: give each row train, val or test, or leave the column out"
        )
    classes = tuple(sorted({s.label for s in samples}))
    return Source(path.stem, tuple(samples), classes, {})


def _from_row(csv_path: Path, line: int, row: dict[str, str | None]) -> Sample:
    name, label, split = row["path"] or "", row["label"] or "", row.get("split") or ""
    if not name or not label:
        raise UserError(
            f"{csv_path} line {line} has no {'label' if name else 'path'}: fill it in or delete the line"
        )
    if split and split.lower() not in SPLITS:
        raise UserError(f"{csv_path} line {line} has the split {split!r}; known: train, val, test")
    return Sample(csv_path.parent / name, label, SPLITS.get(split.lower(), ""))
