"""A data set whose classes are folders, perhaps below train/, val/ and test/."""

from collections import Counter
from pathlib import Path

from eyespot.config import Config
from eyespot.data.sources.samples import (
    KNOWN,
    PICTURES,
    SPLITS,
    TABLES,
    Sample,
    Source,
    contact_sheet_name,
    ending_of,
    folders,
    is_known,
    visible,
    walk,
)
from eyespot.errors import UserError


def source_of_folders(root: Path, name: str, options: Config = Config()) -> Source:
    """The samples of class folders, with their splits. Raises UserError where there is none."""
    splits = _split_folders(root)
    class_folders = [(folder, split) for below, split in splits.items() for folder in folders(below)]
    samples: list[Sample] = []
    ignored: Counter[str] = Counter()
    for folder, split in class_folders:
        for path in walk(folder):
            if is_known(path):
                samples.append(Sample(path, folder.name, split))
            else:
                ignored[ending_of(path)] += 1
    classes = {folder.name for folder, _ in class_folders}
    pictures = any(s.path.suffix.lower() in PICTURES for s in samples)
    if pictures:
        ignored += Counter(s.path.suffix.lower() for s in samples if s.path.suffix.lower() in TABLES)
        samples = [s for s in samples if s.path.suffix.lower() not in TABLES]
    if not samples:
        raise UserError(_no_samples(root, classes))
    outside = _outside_classes(root, splits, pictures)
    return Source(name, tuple(samples), tuple(sorted(classes)), dict(ignored), outside)


def _split_folders(root: Path) -> dict[Path, str]:
    """The folders that hold class folders, with the split that each means."""
    below = folders(root)
    splits = {folder: SPLITS[folder.name.lower()] for folder in below if folder.name.lower() in SPLITS}
    return splits if "train" in splits.values() else {root: ""}


def _outside_classes(root: Path, splits: dict[Path, str], pictures: bool) -> dict[str, tuple[Path, ...]]:
    """Files next to the class folders, or in none of the splits."""
    files = [Path(entry.path) for folder in {root, *splits} for entry in visible(folder) if entry.is_file()]
    if root not in splits:
        files += [path for folder in folders(root) if folder not in splits for path in walk(folder)]
    outside = {path for path in files if is_known(path)}
    if pictures:
        outside = {path for path in outside if path.suffix.lower() not in TABLES}
    outside.discard(root / contact_sheet_name(root))
    return {"class": tuple(sorted(outside))} if outside else {}


def _no_samples(root: Path, classes: set[str]) -> str:
    files = sum(1 for path in root.iterdir() if is_known(path))
    if files:
        return f"{root} has {files} files but no folder per class: move each into a folder named after its class, or give a CSV with the columns path and label"
    if classes:
        return f"the class folders of {root} ({', '.join(sorted(classes)[:5])}) hold no images; known endings: {' '.join(sorted(KNOWN - {'.gz'}))} .nii.gz"
    return f"{root} is empty: put the images of each class into a folder named after the class"
