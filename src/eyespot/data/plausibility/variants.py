"""Doubts that the names of files raise: the channels of one image in several files, and augmented copies."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from eyespot.data.sources.words import CHANNEL, COPIES, COPY
from eyespot.data.split import groups_of
from eyespot.data.surveys.survey import WARNING, Problem, Survey
from eyespot.errors import UserError
from eyespot.plurals import count

ENDING = re.compile(r"(\.nii|\.ome)?\.[^.]*$")
NEARLY_ALL = 0.9
MOST_CHANNELS = 12
FEWEST_IMAGES = 3
"""Images of several channels, or with copies, below which names are alike by chance."""
SOME = 0.1
"""Share of the files that augmented copies and their originals are at least."""
Key = tuple[str, ...]
"""What the files of one image have in common: class, folder, and the name before and behind what differs."""


def channels_as_images(survey: Survey) -> Iterator[Problem]:
    """Files that are the channels of one image, by their names, are taken as separate images."""
    names = _names(survey)
    for position in (-1, 0):
        images = _by_channel(names, position)
        sets = {key: files for key, files in images.items() if len(files) > 1}
        if not _are_channels(sets, len(names)):
            continue
        tokens = sorted({token for files in sets.values() for token in files}, key=lambda t: (-len(t), t))
        groups = [list(files.values()) for files in sets.values()]
        listed = ", ".join(sorted(tokens)[:5]) + (", ..." if len(tokens) > 5 else "")
        text = (
            f"the names of the {survey.word}s differ only in {listed}: they seem to be the channels of one {survey.word}, which are "
            f"taken as separate {survey.word}s; merge those of each into one file (a TIFF of several channels), or train with one "
            f"of them alone (--images){_keep_together(names, groups, tokens)}"
        )
        yield Problem(WARNING, text, tuple(path for files in groups for path in files))
        return


def augmented_copies(survey: Survey) -> Iterator[Problem]:
    """Files that are augmented copies of others, by their names, must not be on both sides of the split."""
    names = _names(survey)
    images: dict[Key, list[str]] = defaultdict(list)
    ends = set()
    for path, (label, folder, stem) in names.items():
        match = COPY.search(stem)
        base = stem[: match.start()] if match else stem
        images[label, _of_originals(folder), base].append(path)
        ends.update([match.group().lstrip("_ .-")] if match and base else [])
        ends.update([Path(folder).name] if _of_originals(folder) != folder else [])
    copied = [files for files in images.values() if len(files) > 1 and any(_is_copy(names[f]) for f in files)]
    n = sum(map(len, copied))
    if len(copied) < FEWEST_IMAGES or n < SOME * len(names):
        return
    words = {re.split(r"[\d_.-]", end.removeprefix("rf."))[0] if end[:3] != "rf." else "rf" for end in ends}
    tokens = sorted(words - {""}, key=lambda t: (-len(t), t))
    text = (
        f"{count(n, survey.word)} are augmented copies or thumbnails and their originals, by their names ({', '.join(sorted(tokens)[:5])}): on both "
        "sides of the split they make the metrics too good; remove the copies, since training augments by itself"
        f"{_keep_together(names, copied, tokens)}"
    )
    yield Problem(WARNING, text, tuple(path for files in copied for path in files))


def _of_originals(folder: str) -> str:
    """The folder itself, or the one above a folder of thumbnails."""
    return Path(folder).parent.as_posix() if COPIES.fullmatch(Path(folder).name) else folder


def _is_copy(name: Key) -> bool:
    return bool(COPY.search(name[2])) or _of_originals(name[1]) != name[1]


def _names(survey: Survey) -> dict[str, Key]:
    """Class, folder and name without ending, by file; with masks there are no classes."""
    rows = range(len(survey.images.rows))
    labels = survey.classes if survey.task == "classification" else ()
    result = {}
    for row in rows:
        path = Path(survey.path(row))
        label = labels[int(survey.labels[row])] if labels else ""
        result[path.as_posix()] = (label, path.parent.as_posix(), ENDING.sub("", path.name))
    return result


def _by_channel(names: Mapping[str, Key], position: int) -> dict[Key, dict[str, str]]:
    """The files of each image by channel, if the first or the last such part of a name (`position` 0 or -1) is that."""
    images: dict[Key, dict[str, str]] = defaultdict(dict)
    for path, (label, folder, stem) in names.items():
        matches = list(CHANNEL.finditer(stem))
        alone = bool(matches) and not re.search("[A-Za-z0-9]", CHANNEL.sub("", stem))
        if matches and not (alone and Path(folder).name == label):  # else a class has c1, c2, ...
            match = matches[position]
            token = next(filter(None, match.groups()))
            kind = "number" if token.isdigit() else token.rstrip("0123456789").lower()
            kind = kind if kind in ("number", "ch", "c", "w", "channel") else "stain"
            images[label, folder, kind, stem[: match.start()], stem[match.end() :]][token] = path
    return images


def _are_channels(sets: Mapping[Key, Mapping[str, str]], n: int) -> bool:
    """Whether nearly all of n files belong to an image of as many files, with the same channels, as the others."""
    kinds = Counter(tuple(sorted(files)) for files in sets.values())
    if len(sets) < FEWEST_IMAGES:
        return False
    usual, times = kinds.most_common(1)[0]
    numbered = usual[0].isdigit() and (usual[0] != "0000" or len(usual) > 5)
    return len(usual) <= MOST_CHANNELS and times * len(usual) >= NEARLY_ALL * n and not numbered


def _keep_together(names: Mapping[str, Key], sets: list[list[str]], tokens: list[str]) -> str:
    """The advice to use --group, with an expression that keeps each set on one side; empty where none does."""
    known = "|".join(map(re.escape, tokens))
    before = rf"^(.*?)(?:[_ .-]+(?:{known})[^/]*)?\.[^/.]*$"
    behind = rf"(?:^|/)(?:[^/]*?(?:{known})[^/_ .-]*[_ .-]+)?([^/]*)$"
    folder = "^(.*)/[^/]*$"
    kept = {pattern: _groups(names, sets, pattern) for pattern in (before, behind, folder)}
    best = max(kept, key=lambda pattern: kept[pattern])
    return f", or keep them on one side with --group '{best}'" if kept[best] > 1 else ""


def _groups(names: Mapping[str, Key], sets: list[list[str]], pattern: str) -> int:
    """How many groups an expression makes of the sets; 0 where it divides one."""
    try:
        group = dict(zip(names, groups_of(list(names), pattern), strict=True))
    except UserError:
        return 0
    if any(len({group[path] for path in files}) > 1 for files in sets):
        return 0
    return len({group[files[0]] for files in sets})
