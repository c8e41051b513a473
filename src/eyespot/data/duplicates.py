"""What occurs twice: exactly (the same file), or nearly (the same picture, saved again)."""

import math
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array, Header

CELLS = {1: 256, 2: 16, 3: 16}
"""Cells of a thumbnail along each axis, at the most, by the number of axes."""
ALIKE = 0.995
"""Correlation of two thumbnails above which two images count as nearly the same."""
CLOSE = 2.02 * (1 - ALIKE)
"""The squared distance of two such thumbnails, at the most, with a margin for rounding."""
FLAT = 0.02
"""Below this spread of grey values, of a range of 1, thumbnails of different images look alike."""


def thumbnail(array: Array) -> NDArray[np.float32]:
    """(*S, C) -> (T,) of one image. See `thumbnails`."""
    return thumbnails(array[None])[0]


def thumbnails(arrays: Array) -> NDArray[np.float32]:
    """(N, *S, C) -> (N, T) means over cells of mean 0; of length 1, or all 0 if they have no contrast to compare.

    Colours are averaged: 256 grey values of an image. More channels than that are kept apart.
    """
    channels = arrays.shape[-1]
    most = CELLS[arrays.ndim - 2]
    if channels <= 4:  # one addition per channel: several times faster than a mean over so short an axis
        values = arrays[..., 0].astype(np.float32)
        for c in range(1, channels):
            values += arrays[..., c]
        values /= channels
    else:
        values = arrays.astype(np.float32)
    for axis, n in enumerate(arrays.shape[1:-1], 1):
        edges = np.linspace(0, n, min(most, n) + 1).astype(int)
        cells = np.add.reduceat(values, edges[:-1], axis)
        values = cells / np.diff(edges).reshape([-1 if k == axis else 1 for k in range(cells.ndim)])
    top = 1.0 if arrays.dtype.kind == "f" else float(np.iinfo(arrays.dtype).max)
    flat = values.reshape(len(arrays), math.prod(values.shape[1:])).astype(np.float32) / np.float32(top)
    flat -= flat.mean(1, keepdims=True)
    spread = flat.std(1, keepdims=True)
    compared = spread >= FLAT
    return np.where(compared, flat / np.where(compared, spread * flat.shape[1] ** 0.5, 1), 0).astype(
        np.float32
    )


def exact(headers: dict[int, Header]) -> list[list[int]]:
    """Groups of samples whose files are equal byte for byte."""
    by_digest: dict[bytes, list[int]] = defaultdict(list)
    for i, header in headers.items():
        by_digest[header.digest].append(i)
    return [group for group in by_digest.values() if len(group) > 1]


def near(thumbs: NDArray[np.float32], detail: int) -> NDArray[np.int64]:
    """Pairs (P, 2) of rows that show nearly the same picture.

    Rows are sorted by each of 16 random projections in turn and compared with their 8 neighbours in that order, so
    the cost grows as N log N; a pair this alike is next to itself in almost every order.
    detail   the images' own size in pixels: below 12, different images have equal thumbnails, and none is reported
    """
    if len(thumbs) < 2 or detail < 12:
        return np.empty((0, 2), np.int64)
    directions = np.random.default_rng(0).standard_normal((thumbs.shape[1], 16)).astype(np.float32)
    keys = thumbs @ directions  # (N, 16)
    places = (
        thumbs @ np.linalg.qr(directions)[0]
    )  # (N, 16): never further apart than the thumbnails, and cheaper
    pairs = []
    for key in keys.T:
        order = np.argsort(key, kind="stable")
        sorted_key = key[order]
        sorted_places = places[order]
        for step in range(1, min(9, len(order))):
            apart = sorted_places[step:] - sorted_places[:-step]
            close = np.einsum("ij,ij->i", apart, apart) < CLOSE
            close &= sorted_key[step:] - sorted_key[:-step] < 0.2  # alike thumbnails differ by less than 0.1
            a = order[:-step][close]
            b = order[step:][close]
            alike = _alike(thumbs, a, b)
            pairs.append(np.sort(np.stack([a[alike], b[alike]], 1), axis=1))
    return np.unique(np.concatenate(pairs), axis=0)


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
