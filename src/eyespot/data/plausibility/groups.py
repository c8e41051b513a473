"""Doubts about images that belong together: those of a patient, a stack or a recording must be on one side of the split."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from eyespot.data.surveys.survey import WARNING, Problem, Survey
from eyespot.plurals import count

FEWEST = 3
"""Folders from which they are more than a way to sort files."""
BY_FOLDER = "^(.*)/"
"""The regular expression for --group that keeps the images of each folder together."""


def groups_across_splits(survey: Survey) -> Iterator[Problem]:
    """Groups, such as patients, that the user's own splits divide."""
    groups = survey.source.groups
    if groups is None or not any(survey.source.splits):
        return
    splits: dict[str, set[str]] = {}
    for group, sample in zip(groups, survey.source.samples, strict=True):
        splits.setdefault(group, set()).add(sample.split)
    divided = tuple(group for group, names in splits.items() if len(names) > 1)
    if divided:
        text = (
            f"{len(divided)} of the {count(len(splits), 'group')} are in several splits: the metrics would be too good; "
            "keep each in one split"
        )
        yield Problem(WARNING, text, divided)


def folders_of_images(survey: Survey) -> Iterator[Problem]:
    """Several images in each of several folders that are neither classes nor splits."""
    if any(survey.source.splits):
        return
    samples = [survey.source.samples[i] for i in survey.images.rows.tolist()]
    parents = Counter(s.path.parent for s in samples if s.path.parent.name != s.label)
    several = sum(1 for n in parents.values() if n > 1)
    if len(parents) < FEWEST or several < len(parents) / 2 or sum(parents.values()) < len(samples) / 2:
        return
    example: Path = min(parents)
    text = (
        f"the {survey.word}s lie in {count(len(parents), 'folder')} such as {example.name}: if a folder is a patient, stack or recording, it "
        f"is in both training and validation now; use --group '{BY_FOLDER}'"
    )
    yield Problem(WARNING, text)
