"""Arrays that say what each pixel is, in any number of dimensions: void, objects, their borders."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

VOID = -100
"""The label of a pixel that nobody labelled: it is not learnt and not scored."""

MOST_COUNTED = 1 << 16
"""Values below this are counted in a table, which is faster than sorting them."""
Labels = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]


def are_small(values: Labels) -> bool:
    """Whether values can be counted in a table."""
    return values.size > 0 and int(values.min()) >= 0 and int(values.max()) < MOST_COUNTED


def value_counts(values: Labels) -> dict[int, int]:
    """How often each value occurs."""
    if are_small(values):
        counts = np.bincount(values.ravel())
        distinct = np.flatnonzero(counts)
        counts = counts[distinct]
    else:
        distinct, counts = np.unique(values, return_counts=True)
    return dict(zip(distinct.tolist(), counts.tolist(), strict=True))


def components(mask: NDArray[Any]) -> NDArray[np.int64]:
    """Ids 1, 2, ... of the connected components (over faces) of what is above 0; void stays void, the rest is 0."""
    from scipy import ndimage

    labelled: Any = ndimage.label(mask > 0)
    return np.where(mask == VOID, VOID, labelled[0].astype(np.int64))


def border(inside: Mask, valid: Mask) -> Mask:
    """Pixels inside that have a face neighbour outside; void and what lies beyond the array are neither."""
    out = np.zeros_like(inside)
    for first, second in neighbours(inside.ndim):
        differ = (inside[first] != inside[second]) & valid[first] & valid[second]
        out[first] |= differ & inside[first]
        out[second] |= differ & inside[second]
    return out


def thinned(ids: Labels) -> Labels:
    """Objects grown over the background, each pixel to the nearest, until one line of background is between any two."""
    from scipy import ndimage

    if not (ids > 0).any():
        return ids
    transform: Any = ndimage.distance_transform_edt(ids <= 0, return_indices=True)
    distance, nearest = transform
    grown = ids[tuple(nearest)]
    line = np.zeros(ids.shape, bool)
    for one, other in (pair[::step] for pair in neighbours(ids.ndim) for step in (1, -1)):
        further = (distance[one] > distance[other]) | (
            (distance[one] == distance[other]) & (grown[one] > grown[other])
        )
        line[one] |= (grown[one] != grown[other]) & further
    return np.where(line & (ids <= 0), 0, grown)


def border_weights(mask: NDArray[Any], w0: float = 10, sigma: float = 5) -> NDArray[np.float32]:
    """U-Net's extra weight of background between objects: w0 exp(-(d1 + d2)^2 / (2 sigma^2)), 0 in objects.

    d1 and d2 are the distances in pixels to the two nearest objects. A mask of one value above 0 is split into its
    components. The paper's w(x) is this plus the weight of the pixel's class (Ronneberger et al. 2015).
    """
    from scipy import ndimage

    ids = np.maximum(mask, 0).astype(np.int64)
    ids = components(ids) if ids.max(initial=0) == ids[ids > 0].min(initial=ids.max(initial=0)) else ids
    first = np.full(ids.shape, np.inf)
    second = np.full(ids.shape, np.inf)
    reach = int(np.ceil(5 * sigma))  # beyond it the weight is below w0 / 250,000
    for i, box in enumerate(ndimage.find_objects(ids), start=1):
        if box is None:
            continue
        around = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
        distance: Any = ndimage.distance_transform_edt(ids[around] != i)
        second[around] = np.minimum(second[around], np.maximum(first[around], distance))
        first[around] = np.minimum(first[around], distance)
    weights = w0 * np.exp(-((first + second) ** 2) / (2 * sigma**2))
    return np.where(ids > 0, 0, weights).astype(np.float32)


def neighbours(dim: int) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Along each axis, slices without the last sample and without the first: pairs of face neighbours"""
    whole = slice(None)
    before = slice(None, -1)
    after = slice(1, None)
    return [
        tuple(tuple(side if a == axis else whole for a in range(dim)) for side in (before, after))
        for axis in range(dim)
    ]  # type: ignore[return-value]
