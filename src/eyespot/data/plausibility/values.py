"""Doubts that the values of images and masks raise."""

from collections.abc import Iterator

import numpy as np

from eyespot.data.surveys.survey import WARNING, PairSurvey, Problem, Survey
from eyespot.plurals import count

LARGE = 0.8
"""Share of the pixels from which an object is more than one expects."""
APART = 100.0
"""Ratio of a file's mean absolute value to the median of all from which it is on another scale."""
LOOKED_AT = 256
"""Most samples whose values are looked at."""


def objects_too_large(survey: Survey) -> Iterator[Problem]:
    """Masks of which the object covers nearly everything may be inverted."""
    if not isinstance(survey, PairSurvey) or not survey.mapping.has_objects:
        return
    share = float(survey.shares[:, 1].mean())
    if share > LARGE:
        text = (
            f"{survey.classes[1]!r} covers {share:.0%} of the pixels: if the masks are inverted, so that their background "
            "is what you look for, invert them"
        )
        yield Problem(WARNING, text)


def scales_apart(survey: Survey) -> Iterator[Problem]:
    """Files whose values are a hundred times those of the others, or a hundredth."""
    n = len(survey.labels)
    rows = np.linspace(0, n - 1, min(n, LOOKED_AT)).astype(int) if n else np.empty(0, int)
    means = np.array(
        [float(np.abs(survey.images.pixels[int(row)].astype(np.float64)).mean()) for row in rows]
    )
    typical = float(np.median(means[means > 0])) if (means > 0).any() else 0.0
    if typical == 0:
        return
    unlike = (means > 0) & ((means >= APART * typical) | (means <= typical / APART))
    if unlike.any():
        files = tuple(survey.path(int(row)) for row in rows[unlike])
        verb = "has" if len(files) == 1 else "have"
        text = (
            f"{count(len(files), survey.word)} {verb} a mean value that differs a hundredfold from the others' "
            f"({means[unlike][0]:.3g} against {typical:.3g}): if they are on another scale, bring all to one"
        )
        yield Problem(WARNING, text, files)
