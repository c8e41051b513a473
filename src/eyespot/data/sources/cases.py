"""Of a case with several images or several masks: the one that is meant, a mask for each class, or a refusal."""

import re
from collections import Counter
from fnmatch import fnmatchcase
from functools import reduce
from operator import and_
from pathlib import Path

from eyespot.data.guesses import Guess
from eyespot.data.sources.samples import SPLITS
from eyespot.data.sources.stems import Case, folder_words, stem_of
from eyespot.data.sources.words import IMAGE_WORDS, VARIANT_WORDS, names_mask, tokens
from eyespot.errors import UserError

LAST_WORD = re.compile(r"[\W_][^\W\d_]+$")
"""The last word of a name with what separates it, such as _mask."""


def one_image_each(root: Path, cases: list[Case]) -> tuple[list[Case], Guess | None]:
    """Every case with one image: of several the one that is called image. Raises UserError where none or several are."""
    several = [case for case in cases if len(case.images) > 1]
    if not several:
        return cases, None
    for case in several:
        if sum(_is_called_image(path, case.images, root) for path in case.images) != 1:
            names = _listed(root, case.images)
            raise UserError(
                f"{case.masks[0].relative_to(root)} is the mask of {len(case.images)} images ({names}): choose with --images, such as "
                f"--images {pattern_for(root, case.images[0], case.images)!r}, or write those of a case into one file as its channels"
            )
    chosen = [
        Case([path for path in case.images if _is_called_image(path, case.images, root)], case.masks)
        if case in several
        else case
        for case in cases
    ]
    return chosen, _guess("images", root, several[0].images, chosen[cases.index(several[0])].images[0])


def one_mask_each(root: Path, cases: list[Case]) -> tuple[list[Case], Guess | None]:
    """Every case with one mask: of several the label map, not a variant of it. Raises UserError where that is unclear."""
    several = [case for case in cases if len(case.masks) > 1]
    if not several:
        return cases, None
    chosen = [Case(case.images, [_label_map(root, case)]) for case in cases]
    return chosen, _guess("masks", root, several[0].masks, chosen[cases.index(several[0])].masks[0])


def _label_map(root: Path, case: Case) -> Path:
    ranks = {path: len(_own_words(path, case.masks, root) & VARIANT_WORDS) for path in case.masks}
    best = [path for path, rank in ranks.items() if rank == min(ranks.values())]
    if len(best) > 1:
        raise UserError(
            f"{case.images[0].relative_to(root)} has {len(best)} masks ({_listed(root, best)}): choose with --masks, such as "
            f"--masks {pattern_for(root, best[0], best)!r}, or write them into one file"
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


def _listed(root: Path, paths: list[Path], most: int = 5) -> str:
    names = [str(path.relative_to(root)) for path in paths[:most]]
    return ", ".join(names) + ", ..." * (len(paths) > most)


def pattern_for(root: Path, path: Path, others: list[Path]) -> str:
    """A pattern that matches the files like this one among those of its case."""
    if all(other.parent != path.parent for other in others if other != path):
        return f"{path.parent.relative_to(root).as_posix()}/*"
    own = [
        word
        for word in tokens(stem_of(path))
        if all(word not in tokens(stem_of(o)) for o in others if o != path)
    ]
    ending = path.name[len(stem_of(path)) :]
    at = path.name.lower().rfind(own[-1]) if own else 0
    if own:
        return f"**/*{path.name[at:]}"
    only_ending = all(other.suffix != path.suffix for other in others if other != path)
    last_word = LAST_WORD.search(stem_of(path))
    if last_word and not only_ending:
        pattern = f"*{last_word[0]}{ending}"
        if not any(fnmatchcase(other.name, pattern) for other in others if other != path):
            return f"**/{pattern}"
    return f"**/*{ending}" if only_ending else f"**/{path.name}"


def _guess(what: str, root: Path, several: list[Path], chosen: Path) -> Guess:
    others = [path for path in several if path != chosen]
    reason = f"by their names the others are not meant ({_listed(root, others)})"
    return Guess(what, f"{chosen.relative_to(root)} and its like", reason, f"--{what} PATTERN")


def by_class(cases: list[Case], images: list[Path], root: Path) -> dict[Path, str]:
    """The class of each mask, where masks lie in two or more folders of their own below masks/; else empty."""
    folders_of_images = {name.lower() for path in images for name in path.relative_to(root).parts[:-1]}
    classes: dict[Path, str] = {}
    for case in cases:
        for mask in case.masks:
            name = _class_of(mask.relative_to(root), folders_of_images)
            if name is None:
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
