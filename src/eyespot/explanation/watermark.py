"""Is one small place of an image enough for a class? Tried by putting it into images of other classes.

A network that was trained on a tag, a watermark or a border names a class by it, whatever else an image shows (Lapuschkin et
al. 2019). A mean map shows where to look; what the place does to predictions says whether it is so.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.plurals import count

Predict = Callable[[Array], NDArray[np.int64]]
"""(N, *S, C) images as the network gets them -> (N,) positions of classes"""
Window = tuple[slice, ...]
SHARE = 4
"""A window is this share of each axis."""
FEWEST = 8
"""Images of the class and of others, at least."""
ENOUGH = 0.5
"""The share of other images that have to become the class by what it has in a window, beyond those that do by what others have."""


def suspicion(
    predict: Predict, position: int, name: str, mean: NDArray[np.float64], images: Array, others: Array
) -> str:
    """A sentence where a window away from the middle is enough for a class; else empty.

    images, others   (N, *S, C) predicted as the class at this position, and as others
    mean             (*S) the mean map of the class
    """
    if min(len(images), len(others)) < FEWEST:
        return ""
    for window in windows(mean, images, others):
        if variety(images)[window].mean() > variety(others)[window].mean():
            continue  # it is the others that have something there, and these lack it
        became = changed(predict, position, others, images, window)
        anyway = changed(predict, position, others, np.roll(others, 1, 0), window)
        if became - anyway > ENOUGH * len(others):
            area = np.prod([(s.stop - s.start) / n for s, n in zip(window, mean.shape, strict=True)])
            return (
                f"{became} of {count(len(others), 'image')} of other classes became {name} when only their {where(window, mean.shape)} "
                f"({area:.0%} of the image) is taken from {name}: look for a tag, a watermark or a border there"
            )
    return ""


def changed(predict: Predict, position: int, images: Array, donors: Array, window: Window) -> int:
    """How many images are predicted as the class with what others have in a window"""
    mixed = images.copy()
    place = (slice(None), *window)
    mixed[place] = donors[np.arange(len(images)) % len(donors)][place]
    return int((predict(mixed) == position).sum())


def windows(mean: NDArray[np.float64], images: Array, others: Array) -> Iterator[Window]:
    """Those to try: where the mean map speaks most for the class, and where its images are most alike and unlike others"""
    for values in (mean, sameness(images, others)):
        if values.max() > 0:
            yield largest(np.clip(values, 0, None))


def sameness(images: Array, others: Array) -> NDArray[np.float64]:
    """(*S) by how much the images (N, *S, C) of a class differ from others, less how much they differ from each other

    A tag is the same in nearly all images of a class and not there in others: positive. Objects differ among themselves.
    """
    return np.abs(np.median(images, 0) - np.median(others, 0)).mean(-1) - 4 * variety(images)


def variety(images: Array) -> NDArray[np.float64]:
    """(*S) by how much images (N, *S, C) differ from each other: the median distance from their median"""
    return np.median(np.abs(images - np.median(images, 0)), 0).mean(-1)


def largest(values: NDArray[np.float64]) -> Window:
    """The window with the largest sum, of those that do not lie in the middle, where objects do"""
    window = [max(1, round(n / SHARE)) for n in values.shape]
    sums = values
    for axis, n in enumerate(window):
        sums = np.lib.stride_tricks.sliding_window_view(sums, n, axis).sum(-1)
    middles = [(np.arange(k) + w / 2) / n for k, w, n in zip(sums.shape, window, values.shape, strict=True)]
    central = np.logical_and.reduce(np.meshgrid(*[(m > 1 / 4) & (m < 3 / 4) for m in middles], indexing="ij"))
    corner = np.unravel_index(int(np.where(central, -1, sums).argmax()), sums.shape)
    return tuple(slice(int(c), int(c) + n) for c, n in zip(corner, window, strict=True))


def where(window: Window, shape: tuple[int, ...]) -> str:
    """A window in words, such as "top right" """
    words = {1: (("start", "middle", "end"),), 2: (("top", "middle", "bottom"), ("left", "centre", "right"))}
    known = words.get(len(shape), (("first slices,", "middle slices,", "last slices,"), *words[2]))
    middles = [(s.start + s.stop) / 2 / n for s, n in zip(window, shape, strict=True)]
    return " ".join(w[min(2, int(3 * m))] for w, m in zip(known, middles, strict=True))
