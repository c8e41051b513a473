"""The door to a data set: listed, read once and checked, whether it has classes or masks."""

import os

from eyespot.config import Config
from eyespot.data.duplicates.drop import without_duplicates
from eyespot.data.plausibility.checks import check_plausibility
from eyespot.data.preprocess.choose import LARGEST
from eyespot.data.sources.find import find_samples
from eyespot.data.sources.samples import Source
from eyespot.data.surveys.classes import survey_classes
from eyespot.data.surveys.pairs import survey_pairs
from eyespot.data.surveys.survey import Survey
from eyespot.errors import UserError


def survey_data(
    data: str | os.PathLike | Source, options: Config = Config(), largest: dict[int, int] = LARGEST
) -> Survey:
    """Scan, decode and check a data set of classes, or of images and masks.

    options     how the data are to be read, where that is not to be chosen
    largest     most samples along an axis that may be chosen, by the number of axes

    Raises UserError where nothing can be read.
    """
    source = data if isinstance(data, Source) else find_samples(data, options)
    survey = _survey(source, options, largest)
    if options.duplicates == "drop":
        survey = without_duplicates(survey)
    check_plausibility(survey, grouped=bool(options.group or source.groups))
    return survey


def _survey(source: Source, options: Config, largest: dict[int, int]) -> Survey:
    if source.has_masks:
        return survey_pairs(source, options)
    for name in ("multilabel", "align"):
        if getattr(options, name):
            raise UserError(f"{name} is for images with masks, and {source.name} has classes: leave it out")
    return survey_classes(source, options, largest)
