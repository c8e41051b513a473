"""Folders that are called like the parts of one set, days or misspelled splits, or hold files of different kinds: no classes, if something else is."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from eyespot.data.sources.samples import SOUNDS, SPLITS, is_picture
from eyespot.data.sources.shared_words import are_ids
from eyespot.errors import UserError

PARTS = re.compile(
    r"(.*[\W_])?(fold|part|split|batch|chunk|shard|disk|disc|images?|imgs|pictures|photos|files|data|dataset|set|subset|audio)[\W_]*\d+",
    re.IGNORECASE,
)
"""Folders that are called like one of several parts."""
PART = "parts of one set"
KINDS = frozenset(
    "original originals orig raw processed preprocessed augmented aug augmentation color colour rgb gray grey grayscale greyscale cropped resized segmented "
    "synthetic real clean noisy".split()
)
"""Folders of the same images, or of the same classes, in other versions."""
ALIKE = 0.8
"""How alike a name is to that of a split, from which it is spelled wrong."""
FEWEST = 2


def refuse_parts(root: Path, top: Path, by_class: Mapping[str, Sequence[Path]], table: Path | None) -> None:
    """Raises UserError where all folders are called like parts, days or splits, and a table or the folders in them may tell the classes.

    top        the folder of these folders, which may be below the root
    by_class   the files of each folder
    table      a table that lists the files
    """
    called = _called(list(by_class))
    if len(by_class) < FEWEST or not called:
        return
    below = _shared_folders(top, by_class)
    if not below and (table is None or called != PART):
        return
    names = ", ".join(f"{name}/" for name in sorted(by_class)[:3])
    remedy = (
        f"give {table} instead" if table else f"give --label-from '{_of_depth(root, top, 1)}' for {below}"
    )
    raise UserError(
        f"the folders of {top} ({names}) are called like {called}: {remedy}; if they are the classes, give --label-from "
        f"'{_of_depth(root, top, 0)}'"
    )


def _called(names: Sequence[str]) -> str:
    """What folders are called like, if that is no class; else nothing."""
    if all(map(PARTS.fullmatch, names)) and len({re.sub(r"\d+", "", name) for name in names}) == 1:
        return PART
    if are_ids(names):
        return "patients, plates or days"
    if {name.lower() for name in names} <= KINDS:
        return "versions of the same images"
    if len({re.sub(r"\d+", "", name) for name in names}) == 1 and not all(map(str.isdecimal, names)):
        return "numbers of the same thing"
    if all(get_close_matches(name.lower(), SPLITS, cutoff=ALIKE) for name in names):
        return "splits (write train, val or test if they are)"
    return ""


def _of_depth(root: Path, top: Path, more: int) -> str:
    """The expression for --label-from of the folders so many levels below `top`."""
    return "^" + "[^/]+/" * (len(top.relative_to(root).parts) + more) + "([^/]+)/"


def _shared_folders(top: Path, by_class: Mapping[str, Sequence[Path]]) -> str:
    """The folders that are in every one, as text; empty where there are not two of them."""
    shared: set[str] | None = None
    for paths in by_class.values():
        names = {parts[1] for path in paths if len(parts := path.relative_to(top).parts) > 2}
        shared = names if shared is None else shared & names
    return ", ".join(f"{name}/" for name in sorted(shared or ())[:3]) if len(shared or ()) >= FEWEST else ""


def refuse_mixed_kinds(root: Path, by_class: Mapping[str, Sequence[Path]]) -> None:
    """Raises UserError where some folders hold pictures only and others sounds only."""
    kinds = {name: Counter(map(_kind, paths)) for name, paths in by_class.items()}
    pure = {name: next(iter(of)) for name, of in kinds.items() if len(of) == 1}
    pictures = next((name for name, kind in pure.items() if kind == "images"), None)
    sounds = next((name for name, kind in pure.items() if kind == "sounds"), None)
    if pictures is None or sounds is None:
        return
    where = {name: by_class[name][0] for name in (pictures, sounds)}
    folders = [next(p for p in where[name].parents if p.name == name) for name in where]
    raise UserError(
        f"{root} has images in {pictures}/ and sounds in {sounds}/, which cannot be classes of one set: give {folders[0]} or {folders[1]} as the "
        "data"
    )


def _kind(path: Path) -> str:
    if path.suffix.lower() in SOUNDS:
        return "sounds"
    return "images" if is_picture(path) else "others"
