"""How images are fitted to one size where padding would give a class away: a network learns the border first."""

from collections.abc import Mapping

import numpy as np

from eyespot.data.header import Header
from eyespot.data.plausibility.shortcuts import enough, told_by, told_by_threshold
from eyespot.data.sources.samples import Source

LONGEST = 1.5
"""Longer side over the shorter one, of nearly all images, up to which the middle shows most of an image."""


def fit_without_padding(source: Source, headers: Mapping[int, Header]) -> tuple[str, str] | None:
    """How images are fitted in place of padding them, and why; None where the shape of images tells no class.

    headers   of the samples at these positions, which are images
    """
    ratios = np.array([header.shape[-1] / header.shape[0] for header in headers.values()])
    labels = np.array([source.samples[i].label for i in headers])
    for name in source.classes:
        own = labels == name
        if enough(own) and (told_by(ratios.tolist(), own) or told_by_threshold(ratios, own)):
            longer = np.quantile(np.maximum(ratios, 1 / ratios), 0.95)
            fit = "crop" if longer <= LONGEST else "stretch"
            return (
                fit,
                f"the shape of images tells the class {name!r}, and so would padding (otherwise: --fit pad)",
            )
    return None
