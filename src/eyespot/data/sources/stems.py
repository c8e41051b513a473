"""Which image and which mask are of one case: by their folders and names, without what the files of one side share."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from eyespot.data.sources.words import MASK_WORDS, Tokens, names_images, names_mask, tokens

Key = tuple[Tokens, Tokens]
"""What files of one case have in common: words of their folders, and of their names."""
Affix = tuple[Tokens, Tokens]
"""Words before and after what the names of a case have in common."""
NO_AFFIX: Affix = ((), ())
MOST_WORDS = 6
"""Words of a name that may be no more than the kind of file."""
ENOUGH = 0.5
"""The share of the files of one side that must match before a common beginning or end is taken as such."""
NEARLY_ALL = 0.9
MOST_OF_A_CASE = 12
"""Images or masks that one case may have."""


@dataclass(frozen=True)
class Item:
    """A file: words of its folder that occur on both sides, and words of its name."""

    path: Path
    folder: Tokens
    name: Tokens


@dataclass(frozen=True)
class Case:
    """The images and masks of one key."""

    images: list[Path]
    masks: list[Path]


@dataclass(frozen=True)
class Matching:
    """The cases with an image and a mask, and the files of none."""

    cases: list[Case]
    images: list[Path]
    masks: list[Path]


def match_files(images: list[Path], masks: list[Path], root: Path) -> Matching | None:
    """The cases of images and masks below a folder; None where no two names agree.

    Folders count with the words that occur on both sides: `images/a/1.png` belongs to `masks/a/1.png`, and
    `train/1.png` to `train_masks/1.png`. If nothing matches so, the names alone are compared.
    """
    sides = _items(images, root), _items(masks, root)
    matching = _match(*sides)
    if matching is None or len(matching.cases) < ENOUGH * len(images):
        matching = _better(
            matching, _match(_without_numbers(sides[0], root), _without_numbers(sides[1], root))
        )
    if matching is None and any(item.folder for side in sides for item in side):
        flat = [[Item(item.path, (), item.name) for item in side] for side in sides]
        matching = _match(*flat) if all(map(_differ, flat)) else None
    return matching


def _better(first: Matching | None, second: Matching | None) -> Matching | None:
    """The one with more images in cases; the first where both have as many."""
    if first is None or second is None:
        return first or second
    return second if len(second.images) < len(first.images) else first


def _without_numbers(items: list[Item], root: Path) -> list[Item]:
    """The items without the numbers of folders called masks or images, such as the 2 of mask-2/, by another person."""
    return [Item(item.path, _words_of_folders(item.path, root), item.name) for item in items]


def _words_of_folders(path: Path, root: Path) -> Tokens:
    names = path.relative_to(root).parts[:-1]
    return tuple(
        word
        for name in names
        for word in tokens(name)
        if not (word.isdigit() and (names_mask(name) or names_images(name)))
    )


def stem_of(path: Path) -> str:
    """The name without its ending, which is .nii.gz at most."""
    return path.name[:-7] if path.name.lower().endswith(".nii.gz") else path.stem


def _items(paths: list[Path], root: Path) -> list[Item]:
    return [Item(path, folder_words(path, root), tokens(stem_of(path))) for path in paths]


def folder_words(path: Path, root: Path) -> Tokens:
    """The words of a file's folders below a root."""
    return tuple(word for name in path.relative_to(root).parts[:-1] for word in tokens(name))


def _differ(items: list[Item]) -> bool:
    return len({item.name for item in items}) == len(items)


def _match(images: list[Item], masks: list[Item]) -> Matching | None:
    """The cases of one side's names and the other's; what is left is matched again, since names may be of two kinds."""
    common = {w for item in images for w in item.folder} & {w for item in masks for w in item.folder}
    images = [_with_common(item, common) for item in images]
    masks = [_with_common(item, common) for item in masks]
    cases: list[Case] = []
    while images and masks:
        of_images, of_masks = _affixes(images, masks)
        by_key = _by_key(images, masks, of_images, of_masks)
        if not by_key:
            break
        cases += by_key
        matched = {path for case in by_key for path in (*case.images, *case.masks)}
        images = [item for item in images if item.path not in matched]
        masks = [item for item in masks if item.path not in matched]
    return Matching(cases, [i.path for i in images], [m.path for m in masks]) if cases else None


def _by_key(
    images: list[Item], masks: list[Item], of_images: list[Affix], of_masks: list[Affix]
) -> list[Case]:
    """The cases that have images and masks, by what is left of the names without these affixes."""
    sides = (images, of_images), (masks, of_masks)
    keys = [{key for item in items for key in _bases(item, affixes)} for items, affixes in sides]
    both = keys[0] & keys[1]
    cases: dict[Key, Case] = defaultdict(lambda: Case([], []))
    for side, (items, affixes) in enumerate(sides):
        for item in items:
            key = next((key for key in _bases(item, affixes) if key in both), None)
            if key is not None:
                (cases[key].masks if side else cases[key].images).append(item.path)
    return [case for case in cases.values() if case.images and case.masks]


def _with_common(item: Item, common: set[str]) -> Item:
    return Item(item.path, tuple(word for word in item.folder if word in common), item.name)


def _bases(item: Item, affixes: Iterable[Affix]) -> Iterator[Key]:
    """What is left of a name without each of the affixes that it has, the shortest affix first."""
    n = len(item.name)
    for before, after in affixes:
        a = len(before)
        b = n - len(after)
        if a <= b and item.name[:a] == before and item.name[b:] == after:
            yield item.folder, item.name[a:b]


def _affixes(images: list[Item], masks: list[Item]) -> tuple[list[Affix], list[Affix]]:
    """What names of images and of masks have beside the name of their case, the shortest first; empty where none agree."""
    equal = len({(m.folder, m.name) for m in masks} & {(i.folder, i.name) for i in images})
    best = (NO_AFFIX, NO_AFFIX)
    matches = equal
    if equal < NEARLY_ALL * len(masks):
        other, n = _best_affixes(images, masks)
        best, matches = (other, n) if n > equal else (best, equal)
    if not matches:
        return [], []
    keys = _keys(images, best[0]) & _keys(masks, best[1])
    return _with_others(images, best[0], keys), _with_others(masks, best[1], keys)


def _keys(items: list[Item], affix: Affix) -> set[Key]:
    return {key for item in items for key in _bases(item, [affix])}


def _best_affixes(images: list[Item], masks: list[Item]) -> tuple[tuple[Affix, Affix], int]:
    """The affixes of images and masks with which most cases have both, of equally good ones the shortest; and how many."""
    by_key: dict[Key, tuple[set[Affix], set[Affix]]] = defaultdict(lambda: (set(), set()))
    counts = Counter(), Counter()
    for side, items in enumerate((images, masks)):
        for item in items:
            for affix, key in _cuts(item):
                by_key[key][side].add(affix)
                counts[side][affix] += 1
    cases = [
        (ours, theirs) for ours, theirs in by_key.values() if max(len(ours), len(theirs)) <= MOST_OF_A_CASE
    ]
    matches = Counter((i, m) for ours, theirs in cases for i in ours for m in theirs)
    for (i, m), n in sorted(matches.items(), key=lambda entry: (-entry[1], _words(*entry[0]), entry[0])):
        said = i == NO_AFFIX and MASK_WORDS.intersection((*m[0], *m[1])) if n == 1 else True
        if said and n >= ENOUGH * min(counts[0][i], counts[1][m]):
            return (i, m), n
    return (NO_AFFIX, NO_AFFIX), 0


def _cuts(item: Item) -> Iterator[tuple[Affix, Key]]:
    """The name of a file, cut into a beginning, the name of its case and an end."""
    n = len(item.name)
    for a in range(min(n, MOST_WORDS) + 1):
        for b in range(n, max(a, n - MOST_WORDS + a) - 1, -1):
            yield (item.name[:a], item.name[b:]), (item.folder, item.name[a:b])


def _words(*affixes: Affix) -> int:
    return sum(len(words) for affix in affixes for words in affix)


def _with_others(items: list[Item], main: Affix, keys: set[Key]) -> list[Affix]:
    """The main affix, and those with which further files belong to the same cases.

    These are affixes that half of the cases have, and such as `_mask_1` beside `_mask`, if only few have them.
    """
    rest = [item for item in items if not any(key in keys for key in _bases(item, [main]))]
    others = Counter(affix for item in rest for affix, key in _cuts(item) if key in keys)
    further = [
        affix for affix, n in others.items() if n >= max(2, ENOUGH * len(keys)) or _extends(affix, main)
    ]
    return [main, *sorted(further, key=_words)]


def _extends(affix: Affix, main: Affix) -> bool:
    return main != NO_AFFIX and affix[0] == main[0] and affix[1][: len(main[1])] == main[1]
