"""Classes that can be told without looking at the content: a network learns that first, and fails elsewhere."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array, Header
from eyespot.data.surveys.survey import WARNING, Problem, Survey

TOLD = 0.95
"""Recall and precision from which a class counts as told by a feature."""
FEWEST = 8
"""Samples of a class, and of all others, from which the rule is more than chance."""
FEWEST_OF_MANY = 4
"""Samples of a class from which it is judged if there are many of the others."""
SHOWN = 4
"""Classes that a doubt names."""
LOOKED_AT = 512
"""Most samples whose pixels are looked at."""


def class_from_file(survey: Survey) -> Iterator[Problem]:
    """Classes that the size, the format or the type of the files gives away."""
    if survey.task != "classification":
        return
    features = {
        "format": [h.kind for h in survey.headers],
        "size": [h.size for h in survey.headers],
        "number of channels": [_channels(h) for h in survey.headers],
        "depth": [h.depth for h in survey.headers],
        "spacing": [h.spacing for h in survey.headers],
        "number of pages": [h.frames for h in survey.headers],
    }
    told: dict[str, list[str]] = {}
    areas = np.array([float(np.prod(h.shape)) for h in survey.headers])
    shapes = np.array([h.shape[-1] / h.shape[0] for h in survey.headers])
    for k, name in enumerate(survey.classes):
        own = survey.labels == k
        if not enough(own):
            continue
        feature = next((f for f, values in features.items() if told_by(values, own)), None)
        if feature is None and (told_by_threshold(areas, own) or told_by_threshold(shapes, own)):
            feature = "size"
        if feature:
            told.setdefault(f"the {feature} of the files", []).append(name)
    yield from _problems(survey, told)


def class_from_border(survey: Survey) -> Iterator[Problem]:
    """Classes that a margin of one value gives away, such as padding."""
    n = len(survey.labels)
    if survey.task != "classification" or survey.preprocessing.dim != 2 or n < 2 * FEWEST:
        return
    rows = np.linspace(0, n - 1, min(n, LOOKED_AT)).astype(int)
    if len({survey.headers[int(row)].shape for row in rows}) > 1 and survey.preprocessing.fit == "pad":
        return  # the margins are eyespot's own
    told: dict[str, list[str]] = {}
    borders = [_border(survey.images.pixels[int(row)]) for row in rows]
    for k, name in enumerate(survey.classes):
        own = survey.labels[rows] == k
        if enough(own) and told_by(borders, own):
            told.setdefault("a margin of one value", []).append(name)
    yield from _problems(survey, told)


def enough(own: NDArray[np.bool_]) -> bool:
    """Whether a class has so many samples, or others so many more, that a rule for all of them is more than chance."""
    n = len(own)
    k = int(own.sum())
    return FEWEST_OF_MANY <= k <= n - FEWEST_OF_MANY and comb(n, k) >= comb(2 * FEWEST, FEWEST)


def _problems(survey: Survey, told: dict[str, list[str]]) -> Iterator[Problem]:
    """One doubt for each feature.

    told   the classes that a feature gives away
    """
    for feature, names in told.items():
        shown = ", ".join(map(repr, names[:SHOWN])) + ", ..." * (len(names) > SHOWN)
        classes = f"the class {shown}" if len(names) == 1 else f"the classes {shown}"
        text = (
            f"{feature} alone tells {classes}: a network may learn that and not what the {survey.word}s show; save all "
            f"{survey.word}s alike"
        )
        yield Problem(WARNING, text)


def _channels(header: Header) -> str:
    return f"{header.channels} {' '.join(header.notes)}"


def _border(image: Array) -> str:
    """Which sides of an image (H, W, C) have a margin of one value, and whether it is dark or bright."""
    sides = {"top": image[:2], "bottom": image[-2:], "left": image[:, :2], "right": image[:, -2:]}
    flat = [side for side, pixels in sides.items() if (pixels == pixels[0, 0]).all()]
    if not flat:
        return ""
    middle = (float(image.min()) + float(image.max())) / 2
    return f"{' '.join(flat)} {'bright' if sides[flat[0]].mean() > middle else 'dark'}"


def told_by(values: Sequence[Hashable], own: NDArray[np.bool_]) -> bool:
    """Whether the values that are mostly of the class are nearly all of it, and hardly of others."""
    total = Counter(values)
    if len(total) == 1 or len(total) > len(values) / 4:
        return False
    inside = Counter(value for value, mine in zip(values, own, strict=True) if mine)
    chosen = [value for value, n in inside.items() if n >= TOLD * total[value]]
    return sum(inside[value] for value in chosen) >= TOLD * own.sum()


def told_by_threshold(values: NDArray[np.floating], own: NDArray[np.bool_]) -> bool:
    """Whether a threshold separates the class from all others, but for a twentieth of each."""
    mine = values[own]
    others = values[~own]
    above = np.quantile(mine, 1 - TOLD) > np.quantile(others, TOLD)
    below = np.quantile(mine, TOLD) < np.quantile(others, 1 - TOLD)
    return bool(above or below)
