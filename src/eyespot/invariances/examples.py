"""Images whose prediction a change turns from right to wrong, before and after; of masks, those that change most."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from eyespot.data.header import Array, Unreadable
from eyespot.data.masks.multilabel import unpack
from eyespot.invariances.assess import Assessed
from eyespot.invariances.of_masks import moved_labels
from eyespot.invariances.original import Original, read_original
from eyespot.invariances.result import Invariance
from eyespot.invariances.views import View
from eyespot.overlays import with_mask
from eyespot.pictures import embedded, to_display, wide_curves
from eyespot.short_names import short_names

SHOWN = 3
"""Images of a change that are shown."""
TILE = 128


@dataclass(frozen=True)
class Example:
    """pictures   (address, caption) in their order"""

    name: str
    pictures: list[tuple[str, str]]


def examples_of(result: Invariance, a: Assessed) -> list[Example]:
    """Of one change, at the severity that stands for it."""
    if result.images is None:
        return []
    if result.images.predictor.output.of_positions:
        return list(_of_masks(result, a))
    return list(_of_classes(result, a))


def _of_classes(result: Invariance, a: Assessed) -> Iterator[Example]:
    images = result.images
    measurement = result.measurement
    before = measurement.predicted
    view = View(a.measured.change, a.measured.change.severities[a.at])
    after = measurement.changed[view.key]
    correct = np.ones(len(before), bool) if images.labels is None else before == images.labels
    classes = images.predictor.classes
    names = short_names(images.paths)
    for i in spread(np.flatnonzero(correct & (after != before)), before):
        try:
            original = read_original(images.paths[i], i, images.predictor.preprocessing)
        except Unreadable:
            continue
        (changed,) = view.change.apply([original], view.severity)
        pictures = [
            (picture(original.array), f"predicted {classes[before[i]]}"),
            (picture(changed), f"changed: {classes[after[i]]}"),
        ]
        yield Example(names[i], pictures)


def spread(rows: Any, classes: Any) -> list[int]:
    """A few of the rows, first of classes that differ."""
    chosen: list[int] = []
    for distinct in (True, False):
        for row in rows.tolist():
            is_new = all(classes[row] != classes[other] for other in chosen)
            if row not in chosen and (is_new or not distinct) and len(chosen) < SHOWN:
                chosen.append(row)
    return chosen


def _of_masks(result: Invariance, a: Assessed) -> Iterator[Example]:
    images = result.images
    view = View(a.measured.change, a.measured.change.severities[a.at])
    same = a.measured.same[a.at]
    output = images.predictor.output
    k = len(images.predictor.classes)
    names = short_names(images.paths)
    for i in np.argsort(same, kind="stable")[: SHOWN - 1].tolist():
        if same[i] == 1:
            return
        original = Original(np.array(images.pixels[int(images.rows[i])]), i)
        (changed,) = view.change.apply([original], view.severity)
        expected, _ = moved_labels(view, original, output.labels(original.array))
        masks = (
            (expected, "mask of the unchanged image, changed"),
            (output.labels(changed), f"its own mask: {same[i]:.1%} of pixels alike"),
        )
        pictures = [(picture(changed), "changed image")]
        for labels, caption in masks:
            planes = unpack(labels, k) if output.multilabel else labels
            pictures.append((picture(changed, planes, output.multilabel), caption))
        yield Example(names[i], pictures)


def picture(array: Array, labels: Array | None = None, overlap: bool = False) -> str:
    """The data URL of a picture that is large enough to be seen, with a mask over it if there is one.

    labels, overlap   as in `overlays.with_mask`
    """
    is_signal = (
        array.ndim == 2 and labels is not None
    )  # whose curves have to lie below the classes at their times
    drawn = wide_curves(array) if is_signal else to_display(np.ascontiguousarray(array))
    if max(drawn.size) < TILE:
        longest = max(drawn.size)
        size = [max(1, round(TILE * n / longest)) for n in drawn.size]
        drawn = drawn.resize((size[0], size[1]), Image.Resampling.NEAREST)
    drawn.thumbnail((2 * TILE, 2 * TILE))
    return embedded(drawn if labels is None else with_mask(drawn, labels, overlap))
