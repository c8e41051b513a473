"""Which files belong to a data set: folders of classes, images beside masks, a CSV, or a built-in set."""

import csv
import os
from collections import Counter
from pathlib import Path

from eyespot.data.sources.builtin import BUILTIN, unpack
from eyespot.data.sources.pairs import find_pairs
from eyespot.data.sources.samples import (
    KNOWN,
    PICTURES,
    SPLITS,
    TABLES,
    Sample,
    Source,
    folders,
    is_known,
    look_name,
    visible,
    walk,
)
from eyespot.errors import UserError, nearest

ARCHIVES = frozenset(".zip .tar .gz .tgz .xz .bz2 .7z .rar".split())
MASK_OF = "mask:"
"""Before the name of a class: the column of its masks in a CSV."""


def find(data: str | os.PathLike) -> Source:
    """List a data set's files without opening one.

    data   a folder with a folder per class, or with images/ and masks/, perhaps below train/, val/ and test/; a CSV
           with the columns path and label or mask (or mask:CLASS for each), and perhaps split; or the name of a
           built-in set
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


def _from_folder(root: Path, name: str) -> Source:
    pairs = find_pairs(root)
    if pairs is not None:
        without = {
            "mask": tuple(pairs.without_mask),
            "image": tuple(pairs.without_image),
            "folder": pairs.beside,
        }
        classes, without = pairs.classes or class_names(root), {k: v for k, v in without.items() if v}
        return Source(name, tuple(pairs.samples), classes, pairs.ignored, without)
    below = folders(root)
    splits = {folder: SPLITS[folder.name.lower()] for folder in below if folder.name.lower() in SPLITS}
    if "train" not in splits.values():
        splits = {root: ""}
    samples: list[Sample] = []
    ignored: Counter[str] = Counter()
    names: set[str] = set()
    for folder, split in splits.items():
        for kind in folders(folder):
            names.add(kind.name)
            for path in walk(kind):
                if is_known(path):
                    samples.append(Sample(path, kind.name, split))
                else:
                    ignored[path.suffix.lower() or "no ending"] += 1
    pictures = any(s.path.suffix.lower() in PICTURES for s in samples)
    if pictures:
        ignored += Counter(s.path.suffix.lower() for s in samples if s.path.suffix.lower() in TABLES)
        samples = [s for s in samples if s.path.suffix.lower() not in TABLES]
    if not samples:
        raise UserError(_why_nothing(root, names))
    return Source(name, tuple(samples), tuple(sorted(names)), dict(ignored), _beside(root, splits, pictures))


def _beside(root: Path, splits: dict[Path, str], pictures: bool) -> dict[str, tuple[Path, ...]]:
    """Files that belong to no class, since they lie beside the class folders, or in none of the splits."""
    loose = [Path(e.path) for folder in {root, *splits} for e in visible(folder) if e.is_file()]
    others = [] if root in splits else [folder for folder in folders(root) if folder not in splits]
    found = {p for p in (*loose, *(path for folder in others for path in walk(folder))) if is_known(p)}
    if pictures:
        found = {p for p in found if p.suffix.lower() not in TABLES}
    found.discard(root / look_name(root))
    return {"class": tuple(sorted(found))} if found else {}


def class_names(root: Path) -> tuple[str, ...]:
    """The lines of classes.txt, which names the classes of masks in the order of their values."""
    path = root / "classes.txt"
    lines = path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else []
    return tuple(line.strip() for line in lines if line.strip())


def _why_nothing(root: Path, names: set[str]) -> str:
    loose = sum(1 for p in root.iterdir() if is_known(p))
    if loose:
        return f"{root} has {loose} files but no folder per class: move each into a folder named after its class, or give a CSV with the columns path and label"
    if names:
        return f"the class folders of {root} ({', '.join(sorted(names)[:5])}) hold no images; known endings: {' '.join(sorted(KNOWN - {'.gz'}))} .nii.gz"
    return f"{root} is empty: put the images of each class into a folder named after the class"


def _from_csv(path: Path) -> Source:
    if path.suffix.lower() in ARCHIVES and not is_known(path):
        raise UserError(f"{path} is an archive: unpack it, and give the folder")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = file.readline()
            file.seek(0)
            rows = list(
                csv.DictReader(file, delimiter=max(",;\t", key=head.count))
            )  # a spreadsheet may write these
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = "its text is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise UserError(
            f"{path} cannot be read as a CSV ({why}): give a folder, or a CSV in UTF-8 with the columns path and label"
        ) from error
    if not rows:
        raise UserError(f"{path} has no rows: give a header path,label and a row per image")
    columns = [c for c in rows[0] if c]
    by_class = tuple(c.removeprefix(MASK_OF) for c in columns if c.startswith(MASK_OF))
    what = {"mask" if "mask" in columns else "label"} if not by_class else set()
    missing = ({"path"} | what) - set(columns)
    if missing:
        raise UserError(
            f"{path} has no column {' or '.join(sorted(missing))}; its header is {','.join(columns)}"
        )
    samples = [_from_row(path, number, row) for number, row in enumerate(rows, start=2)]
    lines: dict[Path, int] = {}
    for number, sample in enumerate(samples, start=2):
        if (first := lines.setdefault(sample.path, number)) != number:
            raise UserError(
                f"{path} line {number} names {sample.path} again, as line {first} did: delete one, since an image has one row"
            )
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
    if samples[0].mask_files:
        return Source(path.stem, tuple(samples), by_class or class_names(path.parent), {})
    classes = tuple(sorted({s.label for s in samples}))
    return Source(path.stem, tuple(samples), classes, {})


def _from_row(csv_path: Path, line: int, row: dict[str, str | None]) -> Sample:
    folder = csv_path.parent
    masks = {k.removeprefix(MASK_OF): folder / v for k, v in row.items() if k and k.startswith(MASK_OF) and v}
    by_class = any(k and k.startswith(MASK_OF) for k in row)
    what = "mask" if "mask" in row or by_class else "label"
    label = next(iter(masks), "") if by_class else row[what] or ""
    name, split = row["path"] or "", row.get("split") or ""
    if not name or not label:
        raise UserError(
            f"{csv_path} line {line} has no {what if name else 'path'}: fill it in or delete the line"
        )
    if split and split.lower() not in SPLITS:
        raise UserError(f"{csv_path} line {line} has the split {split!r}; known: train, val, test")
    known = SPLITS.get(split.lower(), "")
    if masks:
        return Sample(folder / name, "", known, masks=tuple(sorted(masks.items())))
    if what == "mask":
        return Sample(folder / name, "", known, folder / label)
    return Sample(folder / name, label, known)
