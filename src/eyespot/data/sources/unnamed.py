"""Masks whose names do not say so: files of the names of others, with few values in flat areas."""

from collections import Counter
from pathlib import Path

from eyespot.data.sources.judge import LABELS, PICTURES, judged, same_shapes
from eyespot.data.sources.roles import Roles
from eyespot.data.sources.samples import folders
from eyespot.data.sources.stems import ENOUGH, Matching, folder_words, match_files, stem_of
from eyespot.data.sources.words import Tokens, split_of, tokens
from eyespot.errors import UserError

MOST_FOLDERS = 6
"""Folders side by side of which one may hold masks; more are classes."""
FEWEST = 3
"""Cases from which equal names are no chance."""
MOST_NAMES = 400
"""Files of a folder whose names are compared."""
MOST_FURTHER = 4
"""Words that the name of a mask may have more than that of its image."""
Unnamed = tuple[Roles, Matching, str]


def unnamed_roles(root: Path, files: list[Path]) -> Unnamed | None:
    """Images and masks by what they hold, where a folder's files have the names of another's, of others in it, or of a case."""
    for parent in (root, *(folder for folder in folders(root) if split_of(folder.name))):
        below = [path for path in files if path.is_relative_to(parent)]
        result = _beside(parent, below, root) or _endings(below, root)
        if result is not None:
            return result if parent == root else _everywhere(result, parent, root, files)
    return _formats(files, root) or _cases(files, root)


def _everywhere(result: Unnamed, parent: Path, root: Path, files: list[Path]) -> Unnamed | None:
    """The same reading for all the splits."""
    roles, _, look = result
    name = roles.masks[0].relative_to(parent).parts[0]
    images = roles.images[0].relative_to(parent).parts[0]
    if roles.masks[0].parent == parent:
        return result
    of_masks = [path for path in files if name in path.relative_to(root).parts]
    of_images = [path for path in files if images in path.relative_to(root).parts]
    matching = match_files(of_images, of_masks, root)
    return None if matching is None else (Roles(of_images, of_masks, []), matching, look)


def _beside(parent: Path, files: list[Path], root: Path) -> Unnamed | None:
    """Folders side by side, one of which holds label maps of the others' names."""
    members: dict[str, list[Path]] = {}
    for path in files:
        parts = path.relative_to(parent).parts
        members.setdefault(parts[0] if len(parts) > 1 else "", []).append(path)
    members.pop("", None)
    if not 2 <= len(members) <= MOST_FOLDERS:
        return None
    kinds = {name: judged(paths) for name, paths in members.items()}
    of_labels = [name for name, kind in kinds.items() if kind == LABELS]
    of_pictures = [name for name, kind in kinds.items() if kind == PICTURES]
    if len(of_labels) != 1 or not of_pictures:
        return None
    images = [path for name in of_pictures for path in members[name]]
    pair = _judged_pair(images, members[of_labels[0]], root)
    if pair is not None and len(of_pictures) > 1:
        raise UserError(
            f"{parent / of_labels[0]} looks like label maps of {' and '.join(f'{name}/' for name in sorted(of_pictures))} by its names and values: give "
            "--task classification if the folders are classes, or --images PATTERN --masks PATTERN"
        )
    return pair


def _judged_pair(images: list[Path], masks: list[Path], root: Path) -> Unnamed | None:
    matching = match_files(images, masks, root)
    if matching is None or len(matching.cases) < max(FEWEST, ENOUGH * min(len(masks), len(images))):
        return None
    if not same_shapes([(case.images[0], case.masks[0]) for case in matching.cases]):
        return None
    look = "names match, and one side is flat areas of few values"
    return Roles(images, masks, []), matching, look


def _endings(files: list[Path], root: Path) -> Unnamed | None:
    """Files of one folder, some with the name of another and a few words more, such as a.png and a_L.png, or a_1stHO.png."""
    folder = Counter(path.parent for path in files).most_common(1)[0][0] if files else root
    names = {tokens(stem_of(path)) for path in files if path.parent == folder}
    names = set(sorted(names)[:MOST_NAMES])
    endings = Counter(ending for name in names if (ending := _further_words(name, names)))
    usual = [ending for ending, n in endings.items() if n >= FEWEST]
    if not usual:
        return None
    masks = [path for path in files if _ends(path, usual)]
    images = [path for path in files if not _ends(path, usual)]
    if judged(masks) != LABELS or judged(images) != PICTURES:
        return None
    return _judged_pair(images, masks, root)


def _formats(files: list[Path], root: Path) -> Unnamed | None:
    """Files of two formats with the same names in the same folders, such as a.jpg and a.png."""
    by_format: dict[str, list[Path]] = {}
    for path in files:
        by_format.setdefault(path.suffix.lower(), []).append(path)
    if len(by_format) != 2:
        return None
    first, second = by_format.values()
    if len({path.with_suffix("") for path in first} & {path.with_suffix("") for path in second}) < FEWEST:
        return None
    kinds = judged(first), judged(second)
    if kinds == (PICTURES, LABELS):
        return _judged_pair(first, second, root)
    return _judged_pair(second, first, root) if kinds == (LABELS, PICTURES) else None


def _cases(files: list[Path], root: Path) -> Unnamed | None:
    """Folders of cases, in each of which files have the same names, such as scan1/orig.png and scan1/aseg.png.

    Raises UserError where several of these names look like label maps.
    """
    by_folder: dict[Path, set[Tokens]] = {}
    by_name: dict[Tokens, list[Path]] = {}
    for path in files:
        name = _words_of_case(path, root)
        by_folder.setdefault(path.parent, set()).add(name)
        by_name.setdefault(name, []).append(path)
    if not 2 <= len(by_name) <= MOST_FOLDERS or len(by_folder) < FEWEST:
        return None
    if any(names != by_name.keys() for names in by_folder.values()) or len(files) != len(by_folder) * len(
        by_name
    ):
        return None
    kinds = {name: judged(paths) for name, paths in by_name.items()}
    of_labels = [by_name[name] for name, kind in kinds.items() if kind == LABELS]
    others = [
        by_name[name]
        for name, kind in kinds.items()
        if kind == PICTURES or (kind != LABELS and _is_nifti(by_name[name][0]))
    ]
    if not of_labels or len(of_labels) + len(others) < len(by_name) or not others:
        return None
    if len(of_labels) > 1:
        raise UserError(
            f"{' and '.join(str(paths[0].relative_to(root)) for paths in of_labels)} look like label maps of {others[0][0].name}: give --masks "
            f"'**/{of_labels[0][0].name}' --images '**/{others[0][0].name}' or the like, or --task classification if the folders are classes"
        )
    return _judged_pair([path for paths in others for path in paths], of_labels[0], root)


def _words_of_case(path: Path, root: Path) -> Tokens:
    """The words of a name that are not in its folders'; all of them where none is left."""
    name = tokens(stem_of(path))
    own = tuple(word for word in name if word not in folder_words(path, root))
    return own or name


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz"))


def _further_words(name: Tokens, names: set[Tokens]) -> Tokens:
    """What a name has behind the longest other one that it begins with; nothing where that is a number."""
    for n in range(len(name) - 1, max(0, len(name) - 1 - MOST_FURTHER), -1):
        if name[:n] in names:
            return () if name[-1].isdigit() else name[n:]
    return ()


def _ends(path: Path, endings: list[Tokens]) -> bool:
    name = tokens(stem_of(path))
    return any(len(name) > len(ending) and name[-len(ending) :] == ending for ending in endings)
