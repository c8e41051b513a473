"""Doubts that the names of classes and folders raise."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from eyespot.data.sources.csv_labels import PLAIN_SEPARATORS, SEPARATORS, joined_labels
from eyespot.data.sources.shared_words import are_ids, shared_words
from eyespot.data.surveys.survey import WARNING, Problem, Survey
from eyespot.plurals import count

SPLIT_LIKE = re.compile(
    r"(.*[ _-])?(train|training|test|testing|val|valid|validation|dev|eval|holdout)([ _-].*|\d*)|(fold|split|part|batch)[ _-]?\d+",
    re.IGNORECASE,
)
"""Names that usually mean a split of a data set."""
FILE_KINDS = frozenset(
    "images image imgs img jpg jpeg png data raw photos pictures original originals".split()
)
"""Names that usually mean a kind of file."""
WITHOUT_CLASS = re.compile(
    r"(un|not[ _-]?|no[ _-]?)(label+(ed)?s?|annotated|sorted|tagged|classified|categori[sz]ed)|to[ _-]?do|to[ _-]?sort",
    re.IGNORECASE,
)
"""Names of folders of images that nobody has looked at."""
FEWEST_UNITS = 2
MANY_NUMBERS = 20
"""More classes than this that are all numbers may be measurements."""
FEW_PER_NUMBER = 5
"""Samples per number, at the median, up to which they may be measurements."""


def split_like_names(survey: Survey) -> Iterator[Problem]:
    """Classes that are called like splits or kinds of file."""
    if survey.task != "classification":
        return
    splits = [name for name in survey.classes if SPLIT_LIKE.fullmatch(name)]
    kinds = [name for name in survey.classes if name.lower() in FILE_KINDS]
    if len(splits) > 1 or (splits and len(splits) == len(survey.classes)):
        text = (
            f"the classes {_listed(splits, 3)} are called like splits of a data set: if they are, "
            "put train/, val/ and test/ above the class folders"
        )
        yield Problem(WARNING, text)
    unknown = [name for name in survey.classes if WITHOUT_CLASS.fullmatch(name)]
    if unknown:
        remedy = f"if its {survey.word}s have none, move it out of the data"
        yield Problem(WARNING, f"the folder {_listed(unknown)} is taken as a class: {remedy}")
    if kinds:
        remedy = "name each folder after its class, or the task with --task"
        yield Problem(WARNING, f"the folder {_listed(kinds)} is taken as a class, by its name: {remedy}")


def same_folders_in_classes(survey: Survey) -> Iterator[Problem]:
    """The same sub-folders in every class: they, or the folders above them, may be the classes."""
    if survey.task != "classification" or len(survey.classes) < 2:
        return
    below = {
        name: {_folder_below(path, name) for path in paths} - {""}
        for name, paths in _paths_by_class(survey).items()
    }
    shared = set.intersection(*below.values()) if len(below) == len(survey.classes) else set()
    if len(shared) > 1:
        text = (
            f"every class has the sub-folders {_listed(sorted(shared), 3)}, whose {survey.word}s are mixed: if these are the classes, give "
            "--label-from '([^/]+)/[^/]+$'"
        )
        yield Problem(WARNING, text)


def _paths_by_class(survey: Survey) -> dict[str, list[Path]]:
    """The files of each class that lie in a folder named after it"""
    by_class: dict[str, list[Path]] = defaultdict(list)
    for i in survey.images.rows.tolist():
        sample = survey.source.samples[i]
        if sample.label in sample.path.parts[:-1]:
            by_class[sample.label].append(sample.path)
    return by_class


def _folder_below(path: Path, label: str) -> str:
    """The folder in the folder of the class, if the file is in one"""
    parts = path.parts[:-1]
    last = len(parts) - 1 - parts[::-1].index(label)
    return parts[last + 1] if last + 1 < len(parts) else ""


def same_words_in_classes(survey: Survey) -> Iterator[Problem]:
    """Names of files that begin with the same words in every class, or classes called like patients or days."""
    if survey.task != "classification" or len(survey.classes) < 2:
        return
    by_class = _paths_by_class(survey)
    shared = shared_words(by_class) if len(by_class) == len(survey.classes) else None
    if shared is not None:
        text = (
            f"the files begin with the same words in the classes ({_listed(list(shared.words), 3)}): if these are the classes, "
            f"give --label-from {shared.label_from!r}, and --group {shared.group!r} to keep folders together"
        )
        yield Problem(WARNING, text)
    elif len(survey.classes) >= FEWEST_UNITS and are_ids(survey.classes):
        text = (
            f"the classes {_listed(list(survey.classes), 3)} are called like ids of patients, plates or days: if they are, give a CSV with "
            "path and label, or --label-from REGEX"
        )
        yield Problem(WARNING, text)


def several_classes_in_one(survey: Survey) -> Iterator[Problem]:
    """Classes whose names are those of other classes, joined: their images may have several labels."""
    if survey.task != "classification":
        return
    joined = {
        name
        for sign in PLAIN_SEPARATORS + SEPARATORS + "_-"
        for name in joined_labels(survey.classes, sign, False)
    }
    if joined:
        text = (
            f"{_listed(sorted(joined), 3)} may be several classes at once, by name, and {'is' if len(joined) == 1 else 'are'} taken as "
            f"{'a class' if len(joined) == 1 else 'classes'} beside them: if so, leave these {survey.word}s out, since eyespot trains one class for each"
        )
        yield Problem(WARNING, text)


def numbers_as_classes(survey: Survey) -> Iterator[Problem]:
    """Many classes that are numbers, with few samples each, may be a quantity."""
    if survey.task != "classification":
        return
    try:
        values = [float(name.replace(",", ".")) for name in survey.classes]
    except ValueError:
        return
    per_class = sorted(Counter(survey.labels.tolist()).values())
    typical = per_class[len(per_class) // 2] if per_class else 0
    fractions = any(value != round(value) for value in values)
    if len(values) > MANY_NUMBERS and (fractions or typical <= FEW_PER_NUMBER):
        text = (
            f"the {count(len(values), 'class', 'classes')} are numbers from {min(values):g} to {max(values):g}: if they "
            "measure a quantity, their order is lost; group them into a few classes"
        )
        yield Problem(WARNING, text)


def _listed(names: list[str], most: int = 5) -> str:
    return ", ".join(map(repr, names[:most])) + (", ..." if len(names) > most else "")
