"""Of a case with several images or several masks: the one that is meant, a mask for each class, or a refusal."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import reduce
from operator import and_
from pathlib import Path

from eyespot.data.guesses import Guess
from eyespot.data.sources.case_channels import joined_example, with_channels
from eyespot.data.sources.judge import LABELS, PICTURES, judged
from eyespot.data.sources.patterns import pattern_for
from eyespot.data.sources.samples import SPLITS
from eyespot.data.sources.stems import Case, folder_words, stem_of
from eyespot.data.sources.words import IMAGE_WORDS, MASK_WORDS, VARIANT_WORDS, names_mask, tokens
from eyespot.errors import UserError

ABOUT_LABELS = MASK_WORDS - {"mask", "masks"}
"""Words of a mask that say more than that: a field of view is called a mask too."""


def one_image_each(root: Path, cases: list[Case], asked: bool = False) -> tuple[list[Case], Guess | None]:
    """Every case with one image: of several the one that is called image, or all as its channels.

    asked   whether the user said which files are masks, so that other label maps are among the images

    Raises UserError where neither is plain.
    """
    if asked:
        cases = without_label_maps(cases, root)
    several = [case for case in cases if len(case.images) > 1]
    if not several:
        return cases, None
    if joined := with_channels(cases):
        return joined
    for case in several:
        if sum(_is_called_image(path, case.images, root) for path in case.images) != 1:
            pattern = pattern_for(root, case.images[0], case.images, [c.images for c in several])
            raise UserError(
                f"{case.masks[0].relative_to(root)} is the mask of {len(case.images)} images ({_listed(case.images)}): choose "
                f"one of each case with --images {pattern!r}, or join them as channels by a CSV ({joined_example(case)})"
            )
    chosen = [
        Case([path for path in case.images if _is_called_image(path, case.images, root)], case.masks)
        if case in several
        else case
        for case in cases
    ]
    return chosen, _guess("images", several[0].images, chosen[cases.index(several[0])].images[0])


def without_label_maps(cases: list[Case], root: Path) -> list[Case]:
    """The cases without images that are label maps, where others are pictures."""
    several = [case for case in cases if len(case.images) > 1]
    kinds = _kinds([case.images for case in several], root)
    if PICTURES not in kinds.values():
        return cases
    return [
        Case([p for p in case.images if kinds.get(p) != LABELS] or case.images, case.masks) for case in cases
    ]


def one_mask_each(root: Path, cases: list[Case]) -> tuple[list[Case], Guess | None]:
    """Every case with one mask: of several the label map, not a variant of it. Raises UserError where that is unclear."""
    several = [case for case in cases if len(case.masks) > 1]
    if not several:
        return cases, None
    kinds = kinds_of_masks(several, root)
    chosen = [Case(case.images, [_label_map(root, case, several, kinds)]) for case in cases]
    return chosen, _guess("masks", several[0].masks, chosen[cases.index(several[0])].masks[0])


def kinds_of_masks(cases: Iterable[Case], root: Path) -> dict[Path, str]:
    """What the masks of cases are that have several: "labels", "pictures" or "unclear"."""
    return _kinds([case.masks for case in cases], root)


def _kinds(of_cases: Iterable[list[Path]], root: Path) -> dict[Path, str]:
    """What files are of which a case has several: judged by a few of those with the same words."""
    alike: dict[frozenset[str], list[Path]] = defaultdict(list)
    for paths in of_cases:
        for path in paths:
            alike[frozenset(_own_words(path, paths, root))].append(path)
    kinds = [(paths, judged(paths)) for paths in alike.values()]
    return {path: kind for paths, kind in kinds for path in paths}


def _label_map(root: Path, case: Case, several: list[Case], kinds: dict[Path, str]) -> Path:
    if len(case.masks) == 1:
        return case.masks[0]
    labels = [mask for mask in case.masks if kinds[mask] == LABELS]
    masks = [mask for mask in case.masks if not labels or kinds[mask] != PICTURES]
    ranks = {path: len(_own_words(path, case.masks, root) & VARIANT_WORDS) for path in masks}
    best = [path for path, rank in ranks.items() if rank == min(ranks.values())]
    if len(best) > 1:
        best.sort(key=lambda path: not _own_words(path, case.masks, root) & ABOUT_LABELS)
        pattern = pattern_for(root, best[0], case.masks, [c.masks for c in several])
        raise UserError(
            f"{case.images[0].relative_to(root)} has {len(best)} masks ({_listed(best)}): choose with --masks, such as "
            f"--masks {pattern!r}, or write them into one file"
        )
    return best[0]


def _is_called_image(path: Path, others: list[Path], root: Path) -> bool:
    return bool(_own_words(path, others, root) & IMAGE_WORDS)


def _own_words(path: Path, others: list[Path], root: Path) -> set[str]:
    """The words of a path that not all of the others have, or not as often."""
    common = reduce(and_, (_words(other, root) for other in others))
    return set(_words(path, root) - common)


def _words(path: Path, root: Path) -> Counter[str]:
    return Counter((*folder_words(path, root), *tokens(stem_of(path))))


def _listed(paths: list[Path], most: int = 4) -> str:
    """The first few of some files, without the folders that all have."""
    names = _short_names(paths)[:most]
    return ", ".join(names) + ", ..." * (len(paths) > most)


def _short_names(paths: list[Path]) -> list[str]:
    """The paths without the folders that all have."""
    top = os.path.commonpath([path.parent for path in paths])
    return [str(path.relative_to(top)) for path in paths]


def _guess(what: str, several: list[Path], chosen: Path) -> Guess:
    names = _short_names([chosen, *(path for path in several if path != chosen)])
    others = ", ".join(names[1:4]) + ", ..." * (len(names) > 4)
    reason = f"by name or content the others are not meant ({others})"
    return Guess(what, f"{names[0]} and its like", reason, f"--{what} PATTERN")


def by_class(cases: list[Case], images: list[Path], root: Path) -> dict[Path, str]:
    """The class of each mask, where masks lie in two or more folders of their own below masks/; else empty."""
    folders_of_images = {name.lower() for path in images for name in path.relative_to(root).parts[:-1]}
    classes: dict[Path, str] = {}
    for case in cases:
        for mask in case.masks:
            name = _class_of(mask.relative_to(root), folders_of_images)
            if name is None:
                return {}
            if names_mask(name):
                return {}
            classes[mask] = name
        if len({classes[mask] for mask in case.masks}) < len(case.masks):
            return {}
    return classes if len(set(classes.values())) > 1 else {}


def _class_of(mask: Path, folders_of_images: set[str]) -> str | None:
    """The folder below one that is called masks, unless it means a split or occurs among the folders of images."""
    names = mask.parts[:-1]
    below = next((i + 1 for i, name in enumerate(names) if names_mask(name)), len(names))
    inside = [n for n in names[below:] if n.lower() not in SPLITS and n.lower() not in folders_of_images]
    return inside[0] if inside else None
