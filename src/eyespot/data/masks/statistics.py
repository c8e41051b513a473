"""What the masks of a data set hold: values, how often, in how many pieces, and what lies along their edges."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.masks.mapping import COLOUR, GREY, VOID
from eyespot.data.masks.soft_edges import Edges, edges_of
from eyespot.errors import UserError
from eyespot.labels import are_small, neighbours

BUDGET = 8
"""Pieces are counted in boxes around the values, until these have so many times the pixels of the mask."""


@dataclass(frozen=True)
class MaskValues:
    """What a mask holds.

    shape      (*S)
    counts     how often each value occurs
    kind       of the file: see `mask_pixels.read_mask`
    channels   of the file
    pieces     in how many connected pieces a value lies, for values other than the background
    touching   whether two of them have pixels side by side; 255 and values below 0 may be void, and are not looked at
    edges      what lies along the edges
    """

    shape: tuple[int, ...]
    counts: dict[int, int]
    kind: str = ""
    channels: int = 1
    pieces: dict[int, int] = field(default_factory=dict)
    touching: bool = False
    edges: Edges = field(default_factory=Edges)


def describe(values: NDArray[np.int64], kind: str = "") -> MaskValues:
    """What a mask (*S) holds."""
    distinct, places, counts = _distinct(values)
    table = dict(zip(distinct.tolist(), counts.tolist(), strict=True))
    pieces = _pieces(places, distinct)
    return MaskValues(values.shape, table, kind, 1, pieces, _touching(places, distinct), edges_of(values))


def _distinct(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """The values that occur, the place of each pixel's among them (*S), and how often each occurs."""
    if are_small(values):
        counts = np.bincount(values.ravel())
        distinct = np.flatnonzero(counts)
        places = np.zeros(len(counts), np.int32)
        places[distinct] = np.arange(len(distinct))
        return distinct, places[values], counts[distinct]
    distinct, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return distinct, inverse.reshape(values.shape).astype(np.int32), counts


def background_of(values: Iterable[int]) -> int:
    """The value that stands for nothing: 0, or black, or the lowest."""
    values = set(values)
    return next((value for value in (0, COLOUR) if value in values), min(values))


def _pieces(places: NDArray[np.int32], distinct: NDArray[np.int64]) -> dict[int, int]:
    """The connected pieces, over corners too, of each value but the background; of the first ones, if there are too many."""
    from scipy import ndimage

    corners = np.ones([3] * places.ndim)
    background = background_of(distinct.tolist())
    pieces: dict[int, int] = {}
    left = BUDGET * places.size
    for place, box in enumerate(ndimage.find_objects(places + 1)):
        value = int(distinct[place])
        if value == background:
            continue
        left -= places[box].size
        if left < 0:
            break
        labelled: Any = ndimage.label(places[box] == place, corners)
        pieces[value] = labelled[1]
    return pieces


def _touching(places: NDArray[np.int32], distinct: NDArray[np.int64]) -> bool:
    counted = (distinct >= 0) & (distinct != VOID) & (distinct != background_of(distinct.tolist()))
    inside = counted[places]
    return any(
        bool(((places[a] != places[b]) & inside[a] & inside[b]).any()) for a, b in neighbours(places.ndim)
    )


def total_counts(masks: dict[str, MaskValues]) -> Counter[int]:
    """How often each value occurs in all masks."""
    total: Counter[int] = Counter()
    for mask in masks.values():
        total.update(mask.counts)
    return total


def as_colours(masks: dict[str, MaskValues]) -> dict[str, MaskValues]:
    """Where some masks hold colours, the grey values of others are colours too.

    Raises UserError where others hold palette indices or larger numbers.
    """
    coloured = [name for name, mask in masks.items() if max(mask.counts) >= COLOUR]
    numbers = {name: mask for name, mask in masks.items() if max(mask.counts) < COLOUR}
    if not coloured:
        return masks
    for name, mask in numbers.items():
        if mask.kind == "palette" or min(mask.counts) < 0 or max(mask.counts) > 255:
            raise UserError(
                f"{len(coloured)} of the masks hold colours ({coloured[0]}) and {name} holds numbers: give masks of one kind"
            )
    return masks | {name: _coloured(mask) for name, mask in numbers.items()}


def _coloured(mask: MaskValues) -> MaskValues:
    def colour(table: dict[int, int]) -> dict[int, int]:
        return {COLOUR + value * GREY: n for value, n in table.items()}

    edges = replace(mask.edges, solid=colour(mask.edges.solid), between={}, direct={})
    return replace(mask, counts=colour(mask.counts), pieces=colour(mask.pieces), edges=edges)
