"""The splits of images with masks, from the names of their folders."""

from dataclasses import replace
from pathlib import Path

from eyespot.data.guesses import Guess
from eyespot.data.sources.samples import Sample
from eyespot.data.sources.words import split_of_path
from eyespot.plurals import count


def with_splits(samples: list[Sample], root: Path) -> tuple[list[Sample], Guess | None]:
    """The samples with the splits that their folders mean, if all are in one and some are for training."""
    splits = [split_of_path(sample.path.relative_to(root).parent) for sample in samples]
    kinds = set(splits)
    if len(kinds) == 1 and kinds != {"train"}:
        return samples, None  # all in one folder, which says nothing
    if "" not in kinds:
        return [replace(s, split=split) for s, split in zip(samples, splits, strict=True)], None
    named = ", ".join(sorted(kinds - {""}))
    inside = len(splits) - splits.count("")
    reason = f"only {inside} of {count(len(splits), 'image')} in a folder that means a split ({named})"
    return samples, Guess("split", "none from folders", reason, "a CSV with the columns path, mask and split")
