"""The door to the plausibility checks: all of them run before a survey is said to have no problems."""

from collections.abc import Callable, Iterable

from eyespot.data.findings import Problem, Survey
from eyespot.data.plausibility.names import (
    numbers_as_classes,
    same_folders_in_classes,
    same_words_in_classes,
    split_like_names,
)
from eyespot.data.plausibility.shortcuts import class_from_border, class_from_file
from eyespot.data.plausibility.values import objects_too_large, scales_apart
from eyespot.data.plausibility.variants import augmented_copies, channels_as_images
from eyespot.data.plausibility.volumes import orientation_unknown, voxel_sizes_apart

CHECKS: tuple[Callable[[Survey], Iterable[Problem]], ...] = (
    split_like_names,
    same_folders_in_classes,
    same_words_in_classes,
    numbers_as_classes,
    channels_as_images,
    augmented_copies,
    class_from_file,
    class_from_border,
    objects_too_large,
    scales_apart,
    voxel_sizes_apart,
    orientation_unknown,
)


def check_plausibility(survey: Survey) -> None:
    """Add what is doubtful to the problems of a survey."""
    for check in CHECKS:
        survey.add_problems(check(survey))
        survey.checks.append(check.__name__)
