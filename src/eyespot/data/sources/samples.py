"""What a data set is made of: samples, their classes or masks, and the files of a folder."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from eyespot.data.guesses import Guess
from eyespot.errors import UserError

PICTURES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff".split())
TABLES = frozenset(".csv .tsv .txt".split())
"""Series of numbers; but next to pictures they are notes, and ignored."""
RUN_FILES = ("plan.toml", "split.csv")
"""Files that the folder of a run has from before its first step."""
SOUNDS = frozenset(".wav .wave .flac .mp3 .ogg .oga .opus .aif .aiff .au .caf .w64 .rf64".split())
KNOWN = PICTURES | TABLES | SOUNDS | frozenset(".npy .npz .nii .gz".split())
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Folder names that mean a split, and the name it gets here."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image, signal or volume: its file, its class or mask, and the split that the user put it in ("" if none).

    masks   (class, file) where each class has a mask of its own; a class that is not among them is not in the image
    """

    path: Path
    label: str
    split: str = ""
    mask: Path | None = None
    masks: tuple[tuple[str, Path], ...] = ()

    @property
    def mask_files(self) -> tuple[Path, ...]:
        return (self.mask,) if self.mask else tuple(file for _, file in self.masks)


@dataclass(frozen=True)
class Source:
    """The files of a data set: its samples in a fixed order and the class names, sorted, over all splits.

    Where samples have masks, these define the classes, and `classes` has only names that the user gave for them, if any.
    """

    name: str
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    ignored: dict[str, int]
    """Ignored files, counted by their ending."""
    without: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    """Files that are in no pair or class: images by "mask", "class" or "folder", masks by "image"."""
    guesses: tuple[Guess, ...] = ()
    """How the layout was read."""

    @property
    def has_masks(self) -> bool:
        return bool(self.samples) and bool(self.samples[0].mask_files)

    @property
    def by_class(self) -> bool:
        """Whether each class has masks of its own."""
        return any(s.masks for s in self.samples)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(s for s in ("", "train", "val", "test") if any(x.split == s for x in self.samples))

    def only(self, keep: Sequence[int]) -> "Source":
        """The samples at these positions, with all the class names."""
        return replace(self, samples=tuple(self.samples[i] for i in keep))


def list_files(folder: Path, dim: int) -> Iterator[Path]:
    """The files below a folder that may have so many axes, in the order of their names, without hidden ones."""
    unlike = TABLES | SOUNDS if dim > 1 else PICTURES
    return (path for path in walk(folder) if is_known(path) and path.suffix.lower() not in unlike)


def is_known(path: Path) -> bool:
    """Whether its ending is that of an image, a signal or a volume."""
    ending = path.suffix.lower()
    return ending in KNOWN and (ending != ".gz" or path.name.lower().endswith(".nii.gz"))


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run; or is called runs and holds one, or only empty folders, which are to be runs."""
    if all(os.path.isfile(folder / name) for name in RUN_FILES):
        return True
    if folder.name != "runs":
        return False
    inside = visible(folder)
    below = [Path(e.path) for e in inside if e.is_dir()]
    return any(map(is_run, below)) or (0 < len(below) == len(inside) and not any(map(visible, below)))


def walk(folder: Path) -> Iterator[Path]:
    """The files below a folder in the order of their names, but hidden ones and those of runs."""
    for entry in visible(folder):
        path = Path(entry.path)
        if not entry.is_dir():
            yield path
        elif not is_run(path):
            yield from walk(path)


def visible(folder: Path) -> list[os.DirEntry]:
    """What is in a folder, in the order of the names, but hidden files. Raises UserError where it may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (e for e in entries if not e.name.startswith((".", "__MACOSX"))), key=lambda e: e.name
            )
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}; mend its permissions") from error


def class_names(root: Path) -> tuple[str, ...]:
    """The lines of classes.txt, which names the classes of masks in the order of their values."""
    path = root / "classes.txt"
    lines = path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else []
    return tuple(line.strip() for line in lines if line.strip())


def ending_of(path: Path) -> str:
    """The ending under which an ignored file is counted."""
    return path.suffix.lower() or "no ending"


def contact_sheet_name(root: Path) -> str:
    """The file that `eyespot look` writes."""
    return f"{root.resolve().stem}-look.png"


def folders(root: Path) -> list[Path]:
    """The folders in one, but hidden ones and those of runs."""
    return [path for e in visible(root) if e.is_dir() and not is_run(path := Path(e.path))]
