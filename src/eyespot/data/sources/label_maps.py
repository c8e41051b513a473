"""Label maps among the files of classes: they are masks of the pictures, and must not become samples."""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from pathlib import Path

from eyespot.data.sources.judge import LABELS, PICTURES, judged, same_shapes
from eyespot.data.sources.stems import ENOUGH, folder_words, match_files, stem_of
from eyespot.data.sources.words import tokens
from eyespot.errors import UserError
from eyespot.plurals import count

MOST_KINDS = 12
"""Kinds of files that are looked at; where there are more, names say nothing."""
MOST_CLASSES = 6
"""Classes of which one may be masks of another."""
FEWEST = 3
"""Files from which a match is no chance."""


def refuse_label_maps(root: Path, classes: Mapping[Path, str]) -> None:
    """Raises UserError where files of classes look like label maps, and others like the pictures that they belong to.

    classes   the class of each file
    """
    kinds = beside_pictures(root, classes)
    if kinds:
        _refuse(root, *kinds)
    by_class: dict[Hashable, list[Path]] = defaultdict(list)
    for path, label in classes.items():
        by_class[label].append(path)
    kinds = _divided(by_class) if len(by_class) <= MOST_CLASSES else None
    if kinds and len(kinds[0]) == len(kinds[1]) and same_shapes(list(zip(*map(sorted, kinds), strict=True))):
        _refuse(root, *kinds)


def beside_pictures(root: Path, classes: Mapping[Path, str]) -> tuple[list[Path], list[Path]] | None:
    """The pictures of classes and the label maps of their names in the same classes; None where there are none."""
    for by_words in (False, True):
        groups: dict[Hashable, list[Path]] = defaultdict(list)
        for path, label in classes.items():
            groups[_kind(path, root, label, by_words)].append(path)
        kinds = _divided(groups) if len(groups) <= MOST_KINDS else None
        if kinds and _belong(*kinds, root) and _share_classes(*kinds, classes):
            return kinds
    return None


def _share_classes(pictures: list[Path], masks: list[Path], classes: Mapping[Path, str]) -> bool:
    return {classes[path] for path in masks} <= {classes[path] for path in pictures}


def _kind(path: Path, root: Path, label: str, by_words: bool) -> Hashable:
    """What files of all classes may differ in: the words of their folders and perhaps names, without numbers, and the ending."""
    known = {*folder_words(path, root), *tokens(label)}
    folders = [word for word in folder_words(path, root) if word not in tokens(label)]
    own = [word for word in tokens(stem_of(path)) if word not in known] if by_words else []
    return (*(word for word in (*folders, *own) if word.isalpha()), path.suffix.lower())


def _divided(groups: Mapping[Hashable, list[Path]]) -> tuple[list[Path], list[Path]] | None:
    """The pictures and the label maps; None where all are of one kind."""
    if len(groups) < 2:
        return None
    kinds = {key: judged(paths) for key, paths in groups.items()}
    masks = [path for key, paths in groups.items() if kinds[key] == LABELS for path in paths]
    pictures = [path for key, paths in groups.items() if _is_picture(kinds[key], paths[0]) for path in paths]
    return (pictures, masks) if len(masks) >= FEWEST and pictures else None


def _is_picture(kind: str, path: Path) -> bool:
    """Volumes of fractions are pictures too, though they cannot be masks to be judged."""
    return kind == PICTURES or (kind != LABELS and path.name.lower().endswith((".nii", ".nii.gz")))


def _belong(pictures: list[Path], masks: list[Path], root: Path) -> bool:
    """Whether most of the masks have the name of a picture and its size."""
    matching = match_files(pictures, masks, root)
    if matching is None or len(matching.cases) < max(FEWEST, ENOUGH * len(masks)):
        return False
    return same_shapes([(case.images[0], case.masks[0]) for case in matching.cases])


def _refuse(root: Path, pictures: list[Path], masks: list[Path]) -> None:
    image, mask = pictures[0].relative_to(root), masks[0].relative_to(root)
    raise UserError(
        f"{count(len(masks), 'file')} of {root} look like masks, such as {mask}, beside images such as {image}: give --masks PATTERN to train on "
        f"them, such as --masks {_pattern(image, mask)!r}, or --task classification if all are images of classes"
    )


def _pattern(image: Path, mask: Path) -> str:
    """The masks by what they and their images differ in: the ending, a folder, or the last word of the name."""
    if image.suffix.lower() != mask.suffix.lower():
        return f"**/*{mask.suffix}"
    if image.parent.name != mask.parent.name:
        return f"**/{mask.parent.name}/*"
    return f"**/*{tokens(stem_of(mask))[-1]}.*"
