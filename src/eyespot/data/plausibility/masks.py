"""Doubts about the masks of a data set among themselves: inverted ones, copies of one, and values by mistake."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from eyespot.data.masks.mapping import VOID
from eyespot.data.surveys.survey import WARNING, PairSurvey, Problem, Survey
from eyespot.plurals import count

INSIDE = 0.2
"""Share of an image's margin up to which objects lie within the image."""
AROUND = 0.8
"""The share from which the object lies all around, as the background of others does."""
AGREE = 0.9
"""Share of the other masks whose objects are all brighter than their background, or all darker."""
FEWEST = 4
"""Masks below which nothing is usual."""
COPIES = 0.5
"""Share of the masks that are one and the same from which they are doubted."""
LOOKED_AT = 256
"""Most masks that are compared."""
SAMPLES = 1 << 16
"""Pixels of an image from which its brightness is taken; of larger ones, every second or third along each axis."""
STRAY = 16
"""Pixels in all masks up to which a value may be there by mistake."""
IN_FEW = 0.1
"""Share of the masks in which it is at most."""


def inverted_among_others(survey: Survey) -> Iterator[Problem]:
    """Masks whose object is what in others is background: it lies all around, and is dark where others are bright."""
    if not isinstance(survey, PairSurvey) or survey.mapping.multilabel or len(survey.classes) != 2:
        return
    margins = np.array([_margin(survey.images.labels[row]) for row in range(len(survey.labels))])
    inside = np.flatnonzero((margins <= INSIDE) & (survey.shares[:, 1] > 0))
    around = np.flatnonzero((margins >= AROUND) & (survey.shares[:, 1] > 0.5))
    if len(inside) < FEWEST or not len(around):
        return
    signs = [_sign(survey, int(row)) for row in inside[:LOOKED_AT]]
    sign = int(np.sign(sum(signs)))
    if signs.count(sign) < AGREE * len(signs):
        return
    files = tuple(survey.path(int(row)) for row in around if _sign(survey, int(row)) == -sign)
    if files:
        text = (
            f"{count(len(files), 'mask')} may be inverted: {survey.classes[1]!r} lies all around in {'it' if len(files) == 1 else 'them'}, and is "
            f"{'darker' if sign > 0 else 'brighter'} than {survey.classes[0]!r}, the reverse of the others"
        )
        yield Problem(WARNING, text, files)


def _margin(labels: NDArray[np.uint8]) -> float:
    """The share of the outermost pixels that are object."""
    sides = [np.take(labels, [0, -1], axis).ravel() for axis in range(labels.ndim)]
    return float((np.concatenate(sides) == 1).mean())


def _sign(survey: PairSurvey, row: int) -> int:
    """1 where the object is brighter than its background, -1 where it is darker, 0 where one of them is missing."""
    labels = survey.images.labels[row]
    step = int(np.ceil((labels.size / SAMPLES) ** (1 / labels.ndim)))
    places = (slice(None, None, step),) * labels.ndim
    grey = survey.images.pixels[row][places].astype(np.float64).mean(-1)
    inside = grey[labels[places] == 1]
    outside = grey[labels[places] == 0]
    if not inside.size or not outside.size:
        return 0
    return int(np.sign(inside.mean() - outside.mean()))


def one_mask_for_many(survey: Survey) -> Iterator[Problem]:
    """Many images that differ, and have one and the same mask, in which something is marked."""
    if not isinstance(survey, PairSurvey):
        return
    rows: dict[str, list[int]] = defaultdict(list)
    looked_at = range(len(survey.labels))[:LOOKED_AT]
    for row in looked_at:
        labels = survey.images.labels[row]
        if labels.min() != labels.max():
            rows[hashlib.sha256(labels.tobytes() + str(labels.shape).encode()).hexdigest()].append(row)
    most = max(rows.values(), key=len, default=[])
    if len({int(survey.alike[row]) for row in most}) < max(FEWEST, COPIES * len(looked_at)):
        return
    text = f"{len(most)} of {count(len(looked_at), 'mask')} are one and the same, and their images differ: are these the masks?"
    yield Problem(WARNING, text, tuple(survey.path(row) for row in most))


def two_masks_for_one(survey: Survey) -> Iterator[Problem]:
    """Files of images that are equal byte for byte, and have masks that differ."""
    if not isinstance(survey, PairSurvey):
        return
    rows: dict[bytes, list[int]] = defaultdict(list)
    for row, header in enumerate(survey.headers):
        rows[header.digest].append(row)
    masks = survey.images.labels
    pairs = [
        (same[0], other)
        for same in rows.values()
        for other in same[1:]
        if not np.array_equal(masks[same[0]], masks[other])
    ]
    if pairs:
        files = tuple(f"{survey.path(a)} = {survey.path(b)}" for a, b in pairs)
        text = f"{count(len(pairs), 'pair')} of equal {survey.word}s {'has' if len(pairs) == 1 else 'have'} masks that differ; keep one of each"
        yield Problem(WARNING, text, files)


def stray_values(survey: Survey) -> Iterator[Problem]:
    """Classes of a few pixels in one mask among many: values by mistake."""
    if not isinstance(survey, PairSurvey) or len(survey.labels) < FEWEST:
        return
    few = max(1, IN_FEW * len(survey.labels))
    for k, name in enumerate(survey.classes):
        rows = np.flatnonzero(survey.shares[:, k])
        if 0 < len(rows) <= few:
            pixels = sum(_pixels(survey, int(row), k) for row in rows)
            if pixels <= STRAY:
                text = (
                    f"the class {name!r} has {count(pixels, 'pixel')} in all: if it is there by mistake, give these pixels another value, or "
                    f"ignore the value with --void"
                )
                yield Problem(WARNING, text, tuple(survey.path(int(row)) for row in rows))


def _pixels(survey: PairSurvey, row: int, k: int) -> int:
    labels = survey.images.labels[row]
    inside = (labels >> k) & 1 if survey.mapping.multilabel else labels == k
    return int(np.count_nonzero(inside & (labels != VOID)))
