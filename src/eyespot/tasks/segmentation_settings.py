"""Network, crop size, loss, augmentation, batch and recipe for images with masks, where the user left them open."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eyespot.augment.mixing import Mixup
from eyespot.augment.policies import Trivial
from eyespot.config import Config, Settle
from eyespot.data.surveys.survey import PairSurvey
from eyespot.errors import UserError
from eyespot.recipe import EMA, MUON, parse_recipe
from eyespot.tasks.augmentation import sided_classes, transforms_for
from eyespot.tasks.classification_settings import usual_model
from eyespot.tasks.losses import parse_loss

CROP = {1: 1024, 2: 192, 3: 32}
"""Samples along each axis of a crop, at the most, by the number of axes."""
USUAL: dict[int | str, str] = {
    1: "scale(0.9,1.1)|brightness(0.2)|noise(0.05)",
    2: "flip_axes|rotate90|elastic(10)|brightness(0.2)|contrast(0.2)",
    3: "flip_axes|rotate90|brightness(0.2)|contrast(0.2)",
    "photo": "flip|scale(0.8,1.25)|brightness(0.2)|contrast(0.2)",
}
"""The changes that are usual, by the number of axes, and for photographs."""
WHY = "a scan looks as right from any side, bent a little, in other light (U-Net's)"
PARTS = {MUON, EMA}
"""Of the recipe, what training with masks knows."""


def usual_recipe(config: Config, epochs: float, view: float = 0.0) -> tuple[str, str]:
    """The parts of training for masks; and why."""
    return EMA if config.fine_tune else f"{MUON}|{EMA}", "as for classes; growing crops are not tried"


def usual_loss(survey: PairSurvey) -> tuple[str, str]:
    """The loss that fits the masks; and why."""
    if survey.mapping.multilabel:
        return "bce+dice", "every class on its own, at every pixel and as a whole"
    if survey.mapping.has_objects:
        return "border+dice", "lines between touching objects count more (U-Net's weights)"
    return "ce+dice", "every pixel, and every class"


def usual_augment(survey: PairSurvey, train: NDArray[np.int64]) -> tuple[str, str]:
    """Transforms that keep what the masks say, and why."""
    dim = survey.preprocessing.dim
    photo = survey.preprocessing.channels == 3
    usual = USUAL["photo" if photo and dim == 2 else dim]
    reason = "photographs: mirrored, nearer or further, in other light" if photo else WHY
    if sides := sided_classes(survey.classes):
        usual = "|".join(name for name in usual.split("|") if name not in ("flip", "flip_axes"))
        reason = f"not mirrored, as {sides[0]} would become {sides[1]}; otherwise as usual for scans"
    return usual, reason


def _check_augment(augment: str, loss: str, survey: PairSurvey) -> None:
    """Raises UserError for transforms that masks do not have."""
    transforms = transforms_for(augment, survey)
    if any(isinstance(transform, Mixup) for transform in transforms):
        raise UserError(
            "augment 'mixup' mixes classes, and a pixel of a mask has one: use cutmix, or leave it out"
        )
    if any(isinstance(transform, Trivial) for transform in transforms) and "border" in loss:
        raise UserError(
            f"augment 'trivial' changes places and values at once, which the border weights of the loss {loss} cannot "
            "follow: give --loss ce+dice, or name the transforms"
        )


def choose(survey: PairSurvey, config: Config, settle: Settle, train: NDArray[np.int64]) -> Config:
    """The network, the crop, the changes and the batch, each as typed or with its reason."""
    dim = survey.preprocessing.dim
    others = sorted(parse_recipe(config.recipe or "none") - PARTS)
    if others:
        raise UserError(
            f"recipe part {others[0]!r} is not for masks, which know {' and '.join(sorted(PARTS))}"
        )
    narrow = ("unet_narrow", "the U-Net with a quarter of the paper's width, which a CPU can train")
    usual = (
        ("unet_bn", "the U-Net with the paper's widths")
        if (config.device or "").startswith("cuda")
        else narrow
    )
    of_weights = config.weights is not None and config.model is None
    model = settle("model", *(usual_model(0, config.weights) if of_weights else usual))
    longest = int(np.median([max(survey.images.labels[i].shape) for i in train]))
    size = settle("size", min(CROP[dim], -(-longest // 16) * 16), "crops of this size from the images")
    loss = settle("loss", *usual_loss(survey))
    parse_loss(loss, survey.mapping.multilabel)
    augment = settle("augment", *usual_augment(survey, train))
    _check_augment(augment, loss, survey)
    batch = settle("batch", max(2, min(16, 2**19 // size**dim)), "crops per step")
    return replace(
        config, model=model, size=size, fit=survey.preprocessing.fit, augment=augment, batch=batch, loss=loss
    )
