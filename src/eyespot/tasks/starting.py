"""What the training of classes starts from, where the user left it open."""

from typing import NamedTuple

from eyespot.config import NO_WEIGHTS, Config
from eyespot.console import say
from eyespot.data.surveys.photographs import is_decided, not_photographs
from eyespot.data.surveys.survey import Survey
from eyespot.environment import offline
from eyespot.errors import UserError
from eyespot.weights.attempt import MOST
from eyespot.weights.published import IMAGENET, MEGABYTES, fetch_in_time, location

SMALLEST = "resnet18"
"""The smallest network with published weights."""
LEAST_MINUTES = 1.0
"""With less, a narrow network from nothing is what can be trained. Not measured."""
SHARE = 0.1
"""Of the minutes, for fetching weights at the most."""


class Start(NamedTuple):
    """The value of start_from, whether the head is trained first, and the reason."""

    weights: str
    fine_tune: bool
    reason: str


def usual_start(survey: Survey, config: Config) -> Start:
    """Published weights for photographs, if they are in the cache or come within seconds; else nothing."""
    reason = is_decided(config) or not_photographs(survey) or _too_short(config)
    if reason:
        return Start(NO_WEIGHTS, False, reason)
    preset = config.model or SMALLEST
    try:
        if location(preset) is not None:
            return Start(IMAGENET, True, "photographs, and the weights are in the cache")
        _fetch(preset, config.minutes)
    except UserError as error:
        return Start(NO_WEIGHTS, False, missing(preset, getattr(error, "reason", str(error))))
    return Start(IMAGENET, True, "photographs, and the weights were fetched")


def missing(preset: str, reason: str) -> str:
    """What it costs to have no published weights, and how to get them."""
    return (
        f"no published weights ({reason}), which costs accuracy with few images; "
        f"get them with: eyespot weights fetch {preset}"
    )


def _too_short(config: Config) -> str:
    short = config.minutes is not None and config.minutes < LEAST_MINUTES
    return f"under {LEAST_MINUTES:g} minute is too short for published weights" if short else ""


def _fetch(preset: str, minutes: float | None) -> None:
    most = MOST if minutes is None else min(MOST, 60 * minutes * SHARE)
    if not offline():
        say(
            f"fetching published weights of {preset}, {MEGABYTES.get(preset, 0)} MB, if they come within {most:g} seconds"
        )
    fetch_in_time(preset, most)
