"""A data set of classes: folders, with splits above or below them, or the names of files."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from eyespot.config import Config
from eyespot.data.formats.foreign import RAW, foreign_kind
from eyespot.data.guesses import Guess
from eyespot.data.sources.class_layout import NOTES, ClassLayout, class_layout, unwrapped
from eyespot.data.sources.flat_names import labels_by_beginning, labels_by_expression
from eyespot.data.sources.judge import LABELS, judged
from eyespot.data.sources.label_maps import beside_pictures, refuse_label_maps
from eyespot.data.sources.listing_table import listing_table
from eyespot.data.sources.parts import refuse_mixed_kinds, refuse_parts
from eyespot.data.sources.roles import matching_files, roles_by_name
from eyespot.data.sources.samples import (
    KNOWN,
    RAW_ENDINGS,
    SOUNDS,
    Sample,
    Source,
    contact_sheets,
    ending_of,
    folders,
    is_empty,
    is_known,
    is_picture,
    is_table,
    visible,
    walk,
)
from eyespot.data.sources.shared_words import is_id, shared_words
from eyespot.data.sources.stems import match_files
from eyespot.data.sources.words import names_images, names_mask, split_of
from eyespot.errors import UserError
from eyespot.plurals import count

GENERIC = frozenset("data dataset all files jpg jpeg jpegs jpgs png pngs".split())
"""Names of folders that hold files of any class."""
ANNOTATIONS = frozenset((".xml", ".json"))
"""Endings of notes about images, in folders of their own."""
LABEL_FILES = frozenset(".mat .json .jsonl .xlsx .xls .ods .parquet .pkl .h5 .xml .yaml .yml".split())
"""Endings of files that often hold labels."""
FEW = 20
"""Files that may hold many samples each."""
FIRST_FILES = 100_000
LOOKED_AT = 20
"""Most files of other kinds that are looked at, to name what a folder without images holds."""
HEAD = 1 << 16
"""Bytes that tell what kind a file is."""
Labels = dict[Path, tuple[str, str]]
"""The class and the split of files."""


@dataclass
class Files:
    """The files of a folder: those of known kinds, how many others there are by their ending, and tables beside pictures or sounds.

    notes   annotations beside pictures or sounds, and masks that are left out
    """

    known: list[Path]
    ignored: Counter[str] = field(default_factory=Counter)
    tables: list[Path] = field(default_factory=list)
    notes: list[Path] = field(default_factory=list)


def source_of_folders(root: Path, name: str, options: Config = Config()) -> Source:
    """The samples of classes, with their splits. Raises UserError where there is none, or two readings are plausible."""
    files = _files(root, options)
    if options.label_from:
        labels = labels_by_expression(files.known, root, options.label_from)
        guesses = []
        classes = {label for label, _ in labels.values()}
    else:
        guesses = (
            _drop_mask_folders(root, files) if options.task == "classification" and not options.images else []
        )
        labels, classes, of_layout = _by_folders(root, files)
        guesses += [*of_layout, *_about_names(classes, options), *_about_table(root, files, labels, classes)]
    if options.task == "classification" and not options.images:
        guesses += _drop_masks(labels, files, root)
    if not options.label_from:
        _refuse_ids(root, labels)
        if options.task is None:
            refuse_label_maps(root, {path: label for path, (label, _) in labels.items()})
    samples = tuple(Sample(path, *labels[path]) for path in files.known if path in labels)
    sheets = contact_sheets(root)
    outside = tuple(path for path in files.known if path not in labels and path not in sheets)
    without = {"class": outside} if outside else {}
    return Source(name, samples, tuple(sorted(classes)), dict(files.ignored), without, guesses=tuple(guesses))


def _by_folders(root: Path, files: Files) -> tuple[Labels, set[str], list[Guess]]:
    """The classes of folders; or, where no folder can be a class, those that names begin with."""
    layout = class_layout(root)
    labels = _labels_of(files.known, layout)
    by_class = _by_class(labels)
    refuse_mixed_kinds(root, by_class)
    if by_class.keys() == layout.labels and all(p.is_relative_to(layout.top) for p in labels):
        refuse_parts(root, layout.top, by_class, listing_table(files.tables, list(labels)))
    classes = layout.labels - _classes_of_notes(files, layout, labels)
    if labels and not _all_splits(classes) and not (len(classes) == 1 and _is_generic(*classes)):
        return labels, classes, layout.guesses
    by_name = labels_by_beginning(files.known, root)
    if by_name is None:
        raise UserError(_no_classes(root, files, classes))
    example = next(iter(by_name))
    classes = {label for label, _ in by_name.values()}
    value = f"the first word of the names ({_some(classes)})"
    reason = f"no folder is a class, and {example.name} begins so"
    return (
        by_name,
        classes,
        [Guess("classes", value, reason, "--label-from REGEX, or a CSV with path and label")],
    )


def _some(names: set[str], most: int = 5) -> str:
    return ", ".join(sorted(names)[:most]) + ", ..." * (len(names) > most)


def _files(root: Path, options: Config) -> Files:
    """The files of data; tables are notes where there are pictures or sounds."""
    paths = matching_files(root, options.images, "--images") if options.images else list(walk(root))
    known = [path for path in paths if options.images or is_known(path)]
    ignored = Counter(ending_of(path) for path in set(paths) - set(known) if path.parent != root)
    tables: list[Path] = []
    if known and all(map(is_table, known)):
        _refuse_foreign_data(root, paths, known)
    if any(is_picture(path) or path.suffix.lower() in SOUNDS for path in known):
        tables = [path for path in known if is_table(path)]
        ignored += Counter(ending_of(path) for path in tables if path.parent != root)
        known = [path for path in known if path not in set(tables)]
    notes = [path for path in paths if path.suffix.lower() in ANNOTATIONS]
    return Files(known, ignored, tables, notes)


def _labels_of(files: list[Path], layout: ClassLayout) -> Labels:
    """The classes of the files that lie in folders of classes."""
    labels = {}
    for path in files:
        folder = next((parent for parent in path.parents if parent in layout.classes), None)
        if folder is not None:
            labels[path] = layout.classes[folder]
    return labels


def _by_class(labels: Labels) -> dict[str, list[Path]]:
    by_class: dict[str, list[Path]] = {}
    for path, (label, _) in labels.items():
        by_class.setdefault(label, []).append(path)
    return by_class


def _is_generic(name: str) -> bool:
    return bool(split_of(name)) or names_images(name) or name.lower() in GENERIC


def _all_splits(classes: set[str]) -> bool:
    """Whether all folders are called like splits, one of them like training, so that they are no classes."""
    splits = {split_of(name) for name in classes}
    return "" not in splits and "train" in splits


def _about_names(classes: set[str], options: Config) -> list[Guess]:
    """That folders are classes, though one is called a mask."""
    named = sorted(name for name in classes if names_mask(name))
    if not named or options.task == "classification":
        return []
    reason = f"{named[0]}/ is called like masks, but no masks of the other images are in it"
    if len(named) == len(classes):
        reason = f"all the folders are called like masks ({_some(classes, 2)})"
    return [Guess("task", "classification", reason, "--task segmentation, or --images and --masks")]


def _refuse_ids(root: Path, labels: Labels) -> None:
    """Raises UserError where folders are called like patients or days, and names of files begin with shared words."""
    by_class = _by_class(labels)
    if len(by_class) < 2 or not all(map(is_id, by_class)):
        return
    shared = shared_words(by_class)
    if shared is None:
        return
    words = ", ".join(map(repr, shared.words[:4]))
    names = ", ".join(f"{name}/" for name in sorted(by_class)[:3])
    raise UserError(
        f"the folders of {root} ({names}) are called like patients, plates or days, and the files in them begin with {words}: if these words are the "
        f"classes, give --label-from {shared.label_from!r}, and to train --group {shared.group!r}, which keeps each folder on one side of "
        f"the split; if the folders are the classes, give --label-from {shared.group!r}"
    )


def _classes_of_notes(files: Files, layout: ClassLayout, labels: Labels) -> set[str]:
    """The folders that hold tables, annotations or masks and no sample: they are notes about the others."""
    of_notes = _labels_of([*files.tables, *files.notes], layout)
    return {label for label, _ in of_notes.values()} - {label for label, _ in labels.values()}


def _about_table(root: Path, files: Files, labels: Labels, classes: set[str]) -> list[Guess]:
    """That folders are classes, though a table lists the files. Raises UserError where there is one folder only."""
    table = listing_table(files.tables, list(labels))
    if table is None:
        return []
    if len(classes) == 1:
        raise UserError(
            f"the files of {root} lie in one folder ({next(iter(classes))}/), which tells no classes, and {table} lists them: give {table} instead"
        )
    reason = f"{table.relative_to(root)} lists the files too, but does not come first"
    return [Guess("classes", f"{_some(classes, 3)}, not from a table", reason, f"give {table}")]


def _drop_mask_folders(root: Path, files: Files) -> list[Guess]:
    """Leave out the masks of a folder of images, if names of its files tell the classes, so that no folder needs to be one."""
    roles = roles_by_name(files.known, root)
    if not (roles.by_folder and roles.images and roles.masks) or judged(roles.masks) != LABELS:
        return []
    if not all(names_images(path.parent.name) for path in roles.images) or not labels_by_beginning(
        roles.images, root
    ):
        return []
    if match_files(roles.images, roles.masks, root) is None:
        return []
    left_out = set(roles.masks)
    files.known = [path for path in files.known if path not in left_out]
    files.notes += roles.masks
    reason = f"they are masks of the others, such as {roles.masks[0].relative_to(root)}"
    return [Guess("images", f"{count(len(left_out), 'file')} left out", reason, "--label-from '^([^/]+)/'")]


def _drop_masks(labels: Labels, files: Files, root: Path) -> list[Guess]:
    """Take the masks that lie beside images out of the samples of classes."""
    masks: list[Path] = []
    for paths in _by_class(labels).values():
        roles = roles_by_name(paths, root)
        if roles.masks and roles.images and match_files(roles.images, roles.masks, root):
            masks += roles.masks
    beside = None if masks else beside_pictures(root, {path: label for path, (label, _) in labels.items()})
    masks += beside[1] if beside else []
    for path in masks:
        del labels[path]
    left_out = set(masks)
    files.known = [path for path in files.known if path not in left_out]
    if not masks:
        return []
    by_what = "content" if beside else "names"
    reason = f"they are masks by their {by_what}, such as {masks[0].relative_to(root)}"
    return [Guess("images", f"{count(len(masks), 'file')} left out", reason, "--images PATTERN")]


def _no_classes(root: Path, files: Files, classes: set[str]) -> str:
    """The sentence for a folder in which no file has a class."""
    empty = next(
        (f for f in folders(unwrapped(root), with_empty=True) if names_mask(f.name) and is_empty(f)), None
    )
    if files.known and empty:
        return f"{empty} is empty, and would hold the masks of {count(len(files.known), 'file')}: put a mask of each image there"
    if files.known:
        table = listing_table(files.tables, files.known)
        where = f" (they lie in {', '.join(f'{name}/' for name in sorted(classes)[:3])})" if classes else ""
        remedy = "move each into a folder named after its class, or give a CSV with path and label"
        if table:
            remedy = f"give {table}, which lists them"
        elif len(files.known) <= FEW and not any(map(is_picture, files.known)):
            remedy = "a file is one sample, so if each holds many, save each of these as a file in a folder named after its class"
        unread = "" if table else _unread_labels(root)
        return (
            f"{root} has {count(len(files.known), 'file')} but no folder per class{where}: {remedy}; if their names tell the class, give --label-from REGEX, "
            f"whose first group is the class{unread}"
        )
    if kind := _foreign_file(root):
        return f"{root} holds no images, signals or volumes that are read; {kind}"
    names = sorted(entry.name for entry in visible(root) if entry.is_dir())
    if names or files.ignored:
        known = f"known endings: {' '.join(sorted(KNOWN - {'.gz'}))} .nii.gz"
        return f"the class folders of {root} ({', '.join(names[:5])}) hold no images; {known}"
    if any(entry.is_file() for entry in visible(root)):
        return f"{root} holds no images: put the images of each class into a folder named after the class"
    return f"{root} is empty: put the images of each class into a folder named after the class"


def _unread_labels(root: Path) -> str:
    """A clause about the first file that may hold the labels, and is not read."""
    paths = (path for path in islice(walk(root), FIRST_FILES) if path.suffix.lower() in LABEL_FILES)
    path = next(paths, None)
    return f"; {path} is not read: if it has the labels, write them into a CSV" if path else ""


def _foreign_file(root: Path) -> str:
    """The first file of a kind that is known and not read, and what it is; "" where there is none."""
    kinds = ((path, kind_unread(path)) for path in islice(walk(root), LOOKED_AT))
    return next((f"the first, {path}: {kind}" for path, kind in kinds if kind), "")


def _refuse_foreign_data(root: Path, paths: list[Path], tables: list[Path]) -> None:
    """Raises UserError where tables are about files of a kind that is not read, such as DICOM."""
    known = set(tables)
    others = [path for path in paths if path not in known and path.suffix.lower() not in NOTES]
    if len(others) < len(tables):
        return
    path = next((path for path in others[:LOOKED_AT] if kind_unread(path)), None)
    if path is not None:
        raise UserError(
            f"{root} holds {count(len(others), 'file that is', 'files that are')} not read beside its tables; the first, {path}: {kind_unread(path)}"
        )


def kind_unread(path: Path) -> str | None:
    """What a file is, if its kind is known and not read."""
    if path.suffix.lower() in RAW_ENDINGS:
        return f"it is {RAW}"
    try:
        with path.open("rb") as file:
            return foreign_kind(file.read(HEAD))
    except OSError:
        return None
