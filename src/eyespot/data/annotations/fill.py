"""From outlines to pixels: a pixel is inside where its middle is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eyespot.data.annotations.draw import Area
from eyespot.data.annotations.outlines import Outline, Runs
from eyespot.data.header import Unreadable
from eyespot.plurals import count

BEYOND = 0.05
"""Shares of an image's width and height by which outlines often leave it."""
Box = tuple[int, int, int, int]
"""top, left, bottom, right"""


def area_of(outline: Outline, shape: tuple[int, int], scale: tuple[float, float], ignored: bool) -> Area:
    """The pixels of an outline in an image (H, W). Raises Unreadable for runs that do not fit.

    scale   pixels per unit of x and of y
    """
    beyond = False
    if outline.runs is not None:
        inside, start = _fill_runs(outline.runs, shape)
    else:
        points = [np.reshape(np.asarray(p, float), (-1, 2)) * scale for p in outline.polygons if len(p) >= 6]
        inside, start = fill_polygons(points, shape)
        beyond = any(_leaves(polygon, shape) for polygon in points)
    return Area(outline.name, inside, start, outline.order, ignored, beyond)


def _leaves(points: NDArray[np.float64], shape: tuple[int, int]) -> bool:
    """Whether a corner is further from the image than a careless click is"""
    size = np.array(shape[::-1])
    margin = 2 + BEYOND * size
    return bool(((points < -margin) | (points > size + margin)).any())


def fill_polygons(
    polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The pixels in any of the polygons (P, 2) of x and y, within their bounding box, and where in the image that begins.

    Polygons that share an edge share no pixel.
    """
    if not polygons:
        return np.zeros((0, 0), bool), (0, 0)
    corners = np.concatenate(polygons)
    low = np.clip(np.floor(corners.min(0)), 0, shape[::-1]).astype(int)
    high = np.clip(np.ceil(corners.max(0)), 0, shape[::-1]).astype(int)
    box = (int(low[1]), int(low[0]), int(high[1]), int(high[0]))
    inside = np.zeros((max(0, box[2] - box[0]), max(0, box[3] - box[1])), bool)
    if inside.size:
        for points in polygons:
            inside |= _fill_one(points, box)
    return inside, box[:2]


def _fill_one(points: NDArray[np.float64], box: Box) -> NDArray[np.bool_]:
    """Even-odd rule along each row: an edge that crosses the row changes all pixels to the right of it."""
    top, left, bottom, right = box
    x, y = points.T
    x_next = np.roll(x, -1)
    y_next = np.roll(y, -1)
    first = np.clip(np.ceil(np.minimum(y, y_next) - 0.5), top, bottom).astype(int)
    last = np.clip(np.ceil(np.maximum(y, y_next) - 0.5), top, bottom).astype(int)
    rows_of_edge = last - first
    edge = np.repeat(np.arange(len(x)), rows_of_edge)
    place = np.arange(len(edge)) - np.repeat(np.cumsum(rows_of_edge) - rows_of_edge, rows_of_edge)
    row = first[edge] + place
    slope = (x_next[edge] - x[edge]) / (y_next[edge] - y[edge])
    crossing = x[edge] + (row + 0.5 - y[edge]) * slope
    column = np.clip(np.ceil(crossing - 0.5), left, right).astype(int)
    changes = np.zeros((bottom - top, right - left + 1), np.int32)
    np.add.at(changes, (row - top, column - left), 1)
    return (np.cumsum(changes, 1)[:, :-1] & 1).astype(bool)


def _fill_runs(runs: Runs, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    height, width = runs.shape
    lengths = np.asarray(runs.lengths, np.int64)
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise Unreadable(
            f"the runs of an object have {count(lengths.sum(), 'pixel')}, and {width} x {height} are needed"
        )
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    inside = flat.reshape(width, height).T if runs.by_column else flat.reshape(height, width)
    top, left = runs.start
    if top < 0 or left < 0 or top + height > shape[0] or left + width > shape[1]:
        raise Unreadable(
            f"the runs of an object cover {width} x {height} pixels from {left}, {top} on, and the image is {shape[1]} x {shape[0]}"
        )
    return inside, (top, left)


def lengths_of_text(text: str) -> list[int]:
    """The lengths of runs that COCO writes as text: five bits a character, from the third on as differences.

    Raises ValueError for text that is cut short or has other characters.
    """
    lengths: list[int] = []
    value = 0
    bits = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"the character {character!r}")
        value |= (code & 0x1F) << bits
        bits += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << bits
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = 0
        bits = 0
    if bits:
        raise ValueError("the text is cut short")
    return lengths
