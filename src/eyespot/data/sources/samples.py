"""What a data set is made of: samples, their classes or masks, and the files of a folder."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from eyespot.data.guesses import Guess
from eyespot.data.sources.content import ending_by_content
from eyespot.errors import UserError

PICTURES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .ppm .pgm .pbm .pnm".split())
TABLES = frozenset(".csv .tsv .txt".split())
"""Series of numbers; but next to pictures they are notes, and ignored."""
RUN_FILES = ("plan.toml", "split.csv")
"""Files that the folder of a run has from before its first step."""
SOUNDS = frozenset(".wav .wave .flac .mp3 .ogg .oga .opus .aif .aiff .au .caf .w64 .rf64".split())
KNOWN = PICTURES | TABLES | SOUNDS | frozenset(".npy .npz .nii .gz".split())
RAW_ENDINGS = frozenset(".cr2 .cr3 .nef .nrw .arw .sr2 .dng .orf .rw2 .raf .pef .srw".split())
"""Raw files of cameras; many are TIFF files whose first image is a small preview."""
OTHER_KINDS = (
    frozenset(
        ".json .jsonl .xml .yaml .yml .toml .md .rst .py .ipynb .m .r .html .htm .css .js .pdf .doc .docx .xls .xlsx .zip .tar .tgz .7z .rar "
        ".pkl .pt .pth .onnx .safetensors .h5 .hdf5 .mat .log .cfg .ini .sh .bat .exe .db .mp4 .avi .mov .mkv".split()
    )
    | RAW_ENDINGS
)
"""Endings that say what a file is, so that it is not opened to see."""
SYSTEM = frozenset(
    "lost+found @eadir #recycle @recycle #snapshot $recycle.bin recycler thumbs.db ehthumbs.db desktop.ini __macosx "
    "__pycache__".split()
) | {"system volume information"}
"""Files and folders that operating systems and storage devices leave among others."""
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "evaluation", "eval"), "test"),
}
"""Folder names that mean a split, and the name it gets here."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image, signal or volume: its file, its class or mask, and the split that the user put it in ("" if none).

    masks   (class, file) where each class has a mask of its own; a class that is not among them is not in the image
    group   samples of one group, such as a patient, stay on one side of the split; "" where that is not known
    original  equal for an original and its copies in a data set that `eyespot augment` wrote: the first file; else ""
    made    source, transform, parameters and seed of a file that `eyespot augment` wrote; else empty
    """

    path: Path
    label: str
    split: str = ""
    mask: Path | None = None
    masks: tuple[tuple[str, Path], ...] = ()
    group: str = ""
    original: str = ""
    made: tuple[str, ...] = ()

    @property
    def is_changed_copy(self) -> bool:
        """Whether `eyespot augment` changed it."""
        return bool(self.made and self.made[-1])

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
    skipped: tuple[Path, ...] = ()
    """Empty folders, those of operating systems, and links back to a folder above."""
    table: Path | None = None
    """The table that lists the samples, if one was given."""

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

    @property
    def groups(self) -> list[str] | None:
        """The group of each sample, its path where it has none; None where no sample has one."""
        if not any(s.group for s in self.samples):
            return None
        return [s.group or s.path.as_posix() for s in self.samples]

    def only(self, keep: Sequence[int]) -> "Source":
        """The samples at these positions, with all the class names."""
        return replace(self, samples=tuple(self.samples[i] for i in keep))


def list_files(folder: Path, dim: int) -> Iterator[Path]:
    """The files below a folder that may have so many axes, in the order of their names, without hidden ones."""
    unlike = TABLES | SOUNDS if dim > 1 else PICTURES
    return (path for path in walk(folder) if is_known(path) and kind_of(path) not in unlike)


def kind_of(path: Path) -> str:
    """The usual ending of its kind: its own one if that is known, else by its content; "" for an unknown kind."""
    ending = path.suffix.lower()
    if ending in KNOWN:
        return ending if ending != ".gz" or path.name.lower().endswith(".nii.gz") else ""
    return "" if ending in OTHER_KINDS else ending_by_content(path)


def is_known(path: Path) -> bool:
    """Whether it is an image, a signal or a volume by its ending, or else by its content."""
    return bool(kind_of(path))


def is_table(path: Path) -> bool:
    """Whether it is called a table of numbers, and is no picture."""
    return path.suffix.lower() in TABLES and not ending_by_content(path)


def is_picture(path: Path) -> bool:
    """Whether it is a picture by its ending, or by its content where the ending says nothing."""
    return kind_of(path) in PICTURES


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run; or is called runs and holds one, or only empty folders, which are to be runs."""
    if all(os.path.isfile(folder / name) for name in RUN_FILES):
        return True
    if folder.name != "runs":
        return False
    inside = visible(folder)
    below = [Path(e.path) for e in inside if e.is_dir()]
    return any(map(is_run, below)) or (0 < len(below) == len(inside) and not any(map(visible, below)))


def walk(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """The files below a folder in the order of their names, but hidden ones and those of systems and runs.

    above   the real paths of the folders that led here; a link back to one of them is not followed
    """
    chain = (*above, os.path.realpath(folder))
    for entry in visible(folder):
        path = Path(entry.path)
        if not is_folder(entry):
            yield path
        elif not leads_back(entry, chain) and not is_run(path):
            yield from walk(path, chain)


def is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def leads_back(entry: os.DirEntry, chain: tuple[str, ...]) -> bool:
    """Whether a folder is a link to one of those that led to it, or above them."""
    if not entry.is_symlink():
        return False
    target = Path(os.path.realpath(entry.path))
    return any(Path(folder).is_relative_to(target) for folder in chain)


def visible(folder: Path) -> list[os.DirEntry]:
    """What is in a folder, in the order of the names, but hidden files and those of operating systems.

    Raises UserError where the folder may not be read.
    """
    return [entry for entry in listed(folder) if entry.name.lower() not in SYSTEM]


def listed(folder: Path) -> list[os.DirEntry]:
    """What is in a folder, in the order of the names, but hidden files. Raises UserError where it may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}; mend its permissions") from error


def skipped_entries(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """What is skipped below a folder: files and folders of operating systems, empty folders, and links back."""
    chain = (*above, os.path.realpath(folder))
    for entry in listed(folder):
        path = Path(entry.path)
        if entry.name.lower() in SYSTEM or (
            is_folder(entry) and (leads_back(entry, chain) or is_empty(path))
        ):
            yield path
        elif is_folder(entry) and not is_run(path):
            yield from skipped_entries(path, chain)


def is_empty(folder: Path) -> bool:
    """Whether a folder holds no file, or only empty folders; but not the folder where runs go."""
    if folder.name == "runs":
        return False
    return all(is_folder(e) and not e.is_symlink() and is_empty(Path(e.path)) for e in visible(folder))


def class_names(root: Path) -> tuple[str, ...]:
    """The lines of classes.txt, which names the classes of masks in the order of their values."""
    path = root / "classes.txt"
    lines = path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else []
    return tuple(line.strip() for line in lines if line.strip())


def ending_of(path: Path) -> str:
    """The ending under which an ignored file is counted."""
    return path.suffix.lower() or "no ending"


def contact_sheets(root: Path) -> set[Path]:
    """The pictures that `eyespot look` and `eyespot augment` write, where that is in the data."""
    return {root / f"{root.resolve().stem}-{command}.png" for command in ("look", "augment")}


def folders(root: Path, with_empty: bool = False) -> list[Path]:
    """The folders in one, but hidden ones, those of systems and runs, links back and, unless asked for, empty ones."""
    chain = (os.path.realpath(root),)
    entries = [entry for entry in visible(root) if is_folder(entry) and not leads_back(entry, chain)]
    paths = [Path(entry.path) for entry in entries]
    return [path for path in paths if (with_empty or not is_empty(path)) and not is_run(path)]
