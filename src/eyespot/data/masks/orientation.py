"""Images and masks of which only one is turned by its EXIF orientation, so that they may not lie on each other."""

from collections.abc import Iterator
from pathlib import Path

from eyespot.data.formats.read import load_bytes
from eyespot.data.header import Unreadable
from eyespot.data.masks.pixels import orientation
from eyespot.data.masks.source import reader_of
from eyespot.data.sources.samples import Sample
from eyespot.data.surveys.survey import WARNING, PairSurvey, Problem
from eyespot.parallel import in_order
from eyespot.plurals import count


def turned_problems(survey: PairSurvey) -> Iterator[Problem]:
    """A warning for pairs whose image and mask have different orientations."""
    if survey.preprocessing.dim != 2:
        return
    samples = survey.source.samples
    rows = [int(i) for i in survey.images.rows]
    turns = list(in_order(lambda i: _turns(samples[i]), rows))
    texts = {
        (True, False): "turned by EXIF orientation beside masks that are not",
        (False, True): "beside masks that are turned by EXIF orientation",
        (True, True): "turned by another EXIF orientation than the mask",
    }
    for (image_turned, mask_turned), text in texts.items():
        files = tuple(
            str(samples[i].path)
            for i, (image, masks) in zip(rows, turns, strict=True)
            if any(m != image and (image > 1, m > 1) == (image_turned, mask_turned) for m in masks)
        )
        if files:
            yield Problem(
                WARNING,
                f"{count(len(files), 'image')} {text}: both are read upright, so "
                "a mask lies wrong if it was made from the pixels as they are stored; look at the contact sheet, or save "
                "both without EXIF",
                files,
            )


def _turns(sample: Sample) -> tuple[int, list[int]]:
    """The orientations of an image and of its masks; those that are drawn have none."""
    masks = [1 if reader_of(sample, mask) else _orientation(mask) for mask in sample.mask_files]
    return _orientation(sample.path), masks


def _orientation(path: Path) -> int:
    try:
        return orientation(load_bytes(path))
    except Unreadable:
        return 1
