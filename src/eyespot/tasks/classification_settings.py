"""Network, augmentation, batch and recipe for data sets of classes, where the user left them open."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eyespot.augment.geometry import Flip, Shift
from eyespot.augment.pipeline import parse
from eyespot.augment.transform import Transform
from eyespot.config import Config, Settle
from eyespot.data.surveys.classes import IMBALANCE
from eyespot.data.surveys.survey import Survey
from eyespot.errors import UserError
from eyespot.models import WHITENED
from eyespot.recipe import ALTERNATE, EMA, LABEL_SMOOTHING, MUON, TTA_FLIP, TTA_SHIFT, WHITEN, parse_recipe
from eyespot.tasks.augmentation import sided_classes, transforms_for
from eyespot.tasks.batches import views
from eyespot.tasks.growth import usual_growth
from eyespot.tasks.mirrored import mirroring_changes_class
from eyespot.tasks.starting import usual_start
from eyespot.weights.card import read_card
from eyespot.weights.published import IMAGENET
from eyespot.weights.start import find

TINY = 16
"""Samples along an axis below which the network of this name is the better choice."""
SMALL = 64
"""Samples along an axis up to which the network of this name is the better choice."""
VALUES = 2**20
"""Positions in a batch, at the most."""
TTA_SHARE = 0.03
"""The share of the time, at the most, that predictions for shifted images may take: more training is worth more."""
TTA_FLIP_SHARE = 0.1
"""The same for predictions for mirrored images."""


def choose(survey: Survey, config: Config, settle: Settle, train: NDArray[np.int64]) -> Config:
    """The network, the changes and the batch, each as typed or with its reason."""
    preprocessing = survey.preprocessing
    for name in ("loss", "void"):
        if getattr(config, name) is not None:
            raise UserError(
                f"{name} is for images with masks, and {survey.source.name} has classes: leave it out"
            )
    start = usual_start(survey, config)
    start_from = settle("start_from", start.weights, start.reason)
    config = replace(config, start_from=start_from, fine_tune=config.fine_tune or start.fine_tune)
    model = settle("model", *usual_model(preprocessing.size, None if config.model else config.weights))
    augment = settle("augment", *usual_augment(survey, train))
    _check_views(transforms_for(augment, survey), config)  # a mistake is said before anything is timed
    usual = min(512 if model in WHITENED else 64, max(16, VALUES // preprocessing.size**preprocessing.dim))
    fitting = int(2 ** np.floor(np.log2(max(len(train) / 10, 1))))
    reason = f"at least 10 steps per epoch, at most {usual} {survey.word}s for {model}"
    batch = min(settle("batch", max(16, min(usual, fitting)), reason), len(train))
    return replace(
        config, model=model, size=preprocessing.size, fit=preprocessing.fit, augment=augment, batch=batch
    )


def _check_views(transforms: list[Transform], config: Config) -> None:
    """Raises UserError where predictions would be averaged over a mirror image that is of another class."""
    swaps = any(isinstance(transform, Flip) and transform.swaps for transform in transforms)
    if swaps and TTA_FLIP in parse_recipe(config.recipe or ""):
        raise UserError(
            f"recipe part {TTA_FLIP!r} averages mirror images, whose classes are swapped: leave it out"
        )


def usual_augment(survey: Survey, train: NDArray[np.int64]) -> tuple[str, str]:
    """Transforms that keep the class, and why: mirroring for colour photographs whose classes it leaves alone."""
    photo = survey.preprocessing.channels == 3 and survey.preprocessing.dim == 2
    if not photo:
        return "shift(0.06)", f"a mirrored {survey.word} may mean something else"
    if sides := sided_classes(survey.classes):
        return "shift(0.06)", f"a mirrored {survey.word} of {sides[0]} is one of {sides[1]}"
    if mirroring_changes_class(survey, train):
        return "shift(0.06)", "mirrored images look like another class"
    return "flip|shift(0.06)", "mirrored images do not look like another class"


def usual_recipe(config: Config, epochs: float, view: float = 0.0) -> tuple[str, str]:
    """The parts of training for so many passes over full-size images; and why.

    view   the share of the time in which one view of all images is predicted
    """
    growth = usual_growth(epochs)
    new = (
        config.weights is None
    )  # weights that know something keep their first layer, and tuning has its own rates
    parts = [WHITEN] * (new and config.model in WHITENED) + [MUON] * (not config.fine_tune)
    parts += [growth] * bool(growth) + [EMA, LABEL_SMOOTHING]
    operations = parse(config.augment or "")
    kinds = {type(operation) for operation in operations}
    mirrored = Flip() in operations
    parts += [ALTERNATE] * mirrored + [TTA_FLIP] * (mirrored and view <= TTA_FLIP_SHARE)
    # Three times the predictions are little of a long run's time; of a short one's, training is the better use.
    more = len(views(mirrored, True)) - len(views(mirrored, False))
    worth = growth != "grow_short" and more * view <= TTA_SHARE
    parts += [TTA_SHIFT] * (Shift in kinds and worth and config.model in WHITENED)
    reason = f"{growth or 'full size'}, as about {epochs:.1f} epochs at full size would fit"
    return "|".join(parts), reason


def usual_model(size: int, start_from: str | None) -> tuple[str, str]:
    """The preset for images of this size, or of the weights to start from; and why."""
    if start_from is None:
        if size < TINY:
            return "tiny", f"under {TINY} samples along an axis"
        kind = "small" if size <= SMALL else "resnet18"
        return kind, f"{'up to' if kind == 'small' else 'over'} {SMALL} samples along an axis"
    if start_from == IMAGENET:
        return "resnet18", "the smallest with published weights"
    path = find(start_from, "")
    try:
        return read_card(path).preset, f"the network of {path}"
    except UserError as error:
        raise UserError(
            f"{path} does not tell which network its weights are of: name it with --model"
        ) from error


def class_weights(labels: NDArray[np.int64], classes: int) -> tuple[tuple[float, ...] | None, str]:
    """Weights 1 / sqrt(count), of mean 1 over the images, where classes differ much in size."""
    counts = np.bincount(labels, minlength=classes)
    ratio = counts.max() / max(1, counts.min())
    if ratio < IMBALANCE:
        return None, f"none: the largest class has {ratio:.1f} times the images of the smallest"
    weights = 1 / np.sqrt(np.maximum(counts, 1))
    weights = weights * counts.sum() / (weights * counts).sum()
    return tuple(
        weights.tolist()
    ), f"1 / sqrt(images): the largest class has {ratio:.1f} times the images of the smallest"
