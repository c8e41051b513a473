"""What occurs twice: exactly (the same file), or nearly (the same picture, saved again)."""

import math
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array, Header
from eyespot.parallel import cores

CELLS = {1: 256, 2: 16, 3: 16}
"""Cells of a thumbnail along each axis, at the most, by the number of axes."""
ALIKE = 0.995
"""Correlation of two thumbnails above which two images count as nearly the same."""
CLOSE = 2.02 * (1 - ALIKE)
"""The squared distance of two such thumbnails, at the most, with a margin for rounding."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""What red, green and blue add to the brightness, as in JPEG."""
NEIGHBOURS = 8
"""Nearest thumbnails with which each is compared."""
DIRECTIONS = 16
"""Numbers by which the nearest are looked up."""
FLAT = 0.02
"""Below this spread of grey values, of a range of 1, thumbnails of different images look alike."""
SAMPLED = 512
"""Rows from which the main directions of thumbnails with more cells are computed."""


def thumbnail(array: Array) -> NDArray[np.float32]:
    """(*S, C) -> (T,) of one image. See `thumbnails`."""
    return thumbnails(array[None])[0]


def thumbnails(arrays: Array) -> NDArray[np.float32]:
    """(N, *S, C) -> (N, T) means over cells of mean 0; of length 1, or all 0 if they have no contrast to compare.

    Colours become their brightness, which JPEG keeps and a grey copy has: 256 grey values of an image. Up to four other
    channels are averaged, and more are kept apart.
    """
    channels = arrays.shape[-1]
    dim = arrays.ndim - 2
    top = np.float32(1 if arrays.dtype.kind == "f" else np.iinfo(arrays.dtype).max)
    if channels > 4:
        cells = _cells(arrays.astype(np.float32), dim) / top
        return _of_length_1(cells, cells)
    means = _cells(_weighted(arrays, np.full(channels, 1 / channels, np.float32)), dim) / top
    if channels != 3 or dim != 2:
        return _of_length_1(means, means)
    return _of_length_1(_cells(_weighted(arrays, LUMA), dim) / top, means)


def _weighted(arrays: Array, weights: NDArray[np.float32]) -> Array:
    """(N, *S, C) -> (N, *S) one addition per channel: several times faster than a product with so short an axis"""
    values = weights[0] * arrays[..., 0]
    for c in range(1, arrays.shape[-1]):
        values += weights[c] * arrays[..., c]
    return values.astype(np.float32, copy=False)


def _cells(values: Array, dim: int) -> Array:
    """(N, *S) or (N, *S, C) -> (N, T) means over the cells of thumbnails with so many axes"""
    for axis in range(1, dim + 1):
        n = values.shape[axis]
        edges = np.linspace(0, n, min(CELLS[dim], n) + 1).astype(int)
        sums = np.add.reduceat(values, edges[:-1], axis)
        values = sums / np.diff(edges).reshape([-1 if k == axis else 1 for k in range(sums.ndim)])
    return values.reshape(len(values), math.prod(values.shape[1:])).astype(np.float32)


def _of_length_1(cells: Array, contrast: Array) -> NDArray[np.float32]:
    """Of mean 0 and length 1; 0 where neither these nor the means of the channels, `contrast` (N, T), have a spread."""
    cells = cells - cells.mean(1, keepdims=True)
    length = np.linalg.norm(cells, axis=1, keepdims=True)
    spread = np.maximum(cells.std(1, keepdims=True), contrast.std(1, keepdims=True))
    compared = (spread >= FLAT) & (length > 0)
    return np.where(compared, cells / np.where(compared, length, 1), 0).astype(np.float32)


def exact(headers: dict[int, Header]) -> list[list[int]]:
    """Groups of samples whose files are equal byte for byte."""
    by_digest: dict[bytes, list[int]] = defaultdict(list)
    for i, header in headers.items():
        by_digest[header.digest].append(i)
    return [group for group in by_digest.values() if len(group) > 1]


def near(thumbs: NDArray[np.float32], detail: int) -> NDArray[np.int64]:
    """Pairs (P, 2) of rows that show nearly the same picture.

    Each row is compared with its 8 nearest neighbours in the 16 directions in which the thumbnails differ most, where no
    pair is further apart than the thumbnails; and, so that many equal ones form a chain, with 8 in the order of one of
    these directions.
    detail   the images' own size in pixels: below 12, different images have equal thumbnails, and none is reported
    """
    none = np.empty((0, 2), np.int64)
    rows = np.flatnonzero(thumbs.any(1))  # those without contrast are not compared
    if len(rows) < 2 or detail < 12:
        return none
    compared = thumbs[rows]
    places = _main_directions(compared)
    pairs = np.concatenate([_nearest(places), _in_order(places[:, -1])])
    alike = _alike(compared, *pairs.T)
    pairs = rows[pairs[alike]]
    return np.unique(np.sort(pairs, axis=1), axis=0) if len(pairs) else none


def _main_directions(thumbs: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, T) -> (N, 16) projected on their first principal axes, the most important last"""
    centred = thumbs - thumbs.mean(0)
    if centred.shape[1] <= SAMPLED:
        _, axes = np.linalg.eigh(centred.T @ centred)
        return centred @ axes[:, -DIRECTIONS:]
    # The axes of volumes are those of some of them: a matrix of some rows is much smaller than one of all cells.
    sampled = centred[np.unique(np.linspace(0, len(centred) - 1, SAMPLED).astype(int))]
    _, combinations = np.linalg.eigh(sampled @ sampled.T)
    axes = sampled.T @ combinations[:, -DIRECTIONS:]
    lengths = np.linalg.norm(axes, axis=0)
    is_long = lengths > 1e-3 * lengths.max()  # others are rounding errors, and not orthogonal
    return centred @ np.where(is_long, axes / np.where(is_long, lengths, 1), 0)


def _nearest(places: NDArray[np.float32]) -> NDArray[np.int64]:
    """(P, 2) each row and its nearest neighbours, as far as they are close enough to be alike"""
    from scipy.spatial import KDTree

    tree = KDTree(places)
    neighbours = np.asarray(
        tree.query(places, NEIGHBOURS + 1, distance_upper_bound=CLOSE**0.5, workers=cores())[1]
    )
    rows, k = np.nonzero(neighbours < len(places))
    pairs = np.stack([rows, neighbours[rows, k]], 1)
    return pairs[pairs[:, 0] != pairs[:, 1]].astype(np.int64)


def _in_order(keys: NDArray[np.float32]) -> NDArray[np.int64]:
    """(P, 2) each row and those that follow it in the order of keys"""
    order = np.argsort(keys, kind="stable")
    steps = range(1, min(NEIGHBOURS + 1, len(order)))
    return np.concatenate([np.stack([order[:-step], order[step:]], 1) for step in steps])


def _alike(thumbs: NDArray[np.float32], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each pair correlates, in pieces that keep the copies small."""
    parts = [slice(i, i + 4096) for i in range(0, max(len(a), 1), 4096)]
    return np.concatenate([np.einsum("ij,ij->i", thumbs[a[p]], thumbs[b[p]]) > ALIKE for p in parts])


def clusters(n: int, pairs: list[list[int]]) -> NDArray[np.int64]:
    """(n,) the smallest index that each of n things is joined to by the groups given."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = [(group[0], other) for group in pairs for other in group[1:]]
    if not links:
        return np.arange(n)
    a, b = np.array(links).T
    _, labels = connected_components(coo_array((np.ones(len(a)), (a, b)), (n, n)), directed=False)
    _, first = np.unique(labels, return_index=True)
    return first[labels]
