"""The door to the plausibility checks: all of them run before a survey is said to have no problems."""

from collections.abc import Callable, Iterable

from eyespot.data.plausibility.groups import folders_of_images, groups_across_splits
from eyespot.data.plausibility.lists import split_lists
from eyespot.data.plausibility.masks import (
    inverted_among_others,
    one_mask_for_many,
    stray_values,
    two_masks_for_one,
)
from eyespot.data.plausibility.names import (
    numbers_as_classes,
    same_folders_in_classes,
    same_words_in_classes,
    several_classes_in_one,
    split_like_names,
)
from eyespot.data.plausibility.pieces import pieces_of_images
from eyespot.data.plausibility.position import masks_elsewhere
from eyespot.data.plausibility.shortcuts import class_from_border, class_from_file
from eyespot.data.plausibility.values import objects_too_large, scales_apart
from eyespot.data.plausibility.variants import augmented_copies, channels_as_images
from eyespot.data.plausibility.volumes import orientation_unknown, voxel_sizes_apart
from eyespot.data.surveys.survey import Problem, Survey

CHECKS: tuple[Callable[[Survey], Iterable[Problem]], ...] = (
    split_like_names,
    same_folders_in_classes,
    same_words_in_classes,
    numbers_as_classes,
    several_classes_in_one,
    groups_across_splits,
    split_lists,
    class_from_file,
    class_from_border,
    objects_too_large,
    inverted_among_others,
    one_mask_for_many,
    two_masks_for_one,
    stray_values,
    masks_elsewhere,
    scales_apart,
    voxel_sizes_apart,
    orientation_unknown,
)


OF_GROUPS = (folders_of_images, channels_as_images, augmented_copies, pieces_of_images)
"""Checks that are answered where the user has named groups."""


def check_plausibility(survey: Survey, grouped: bool = False) -> None:
    """Add what is doubtful to the problems of a survey.

    grouped   whether the user has named the groups of images that stay on one side of the split
    """
    for check in (*CHECKS, *(() if grouped else OF_GROUPS)):
        survey.add_problems(check(survey))
        survey.checks.append(check.__name__)
