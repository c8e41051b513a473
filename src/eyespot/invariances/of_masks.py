"""Changes of images whose mask is predicted: predict(change(image)) compared with change(predict(image)), pixel by pixel.

Only pixels are compared that come from inside the image; the unit of all numbers is the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from eyespot.console import track
from eyespot.data.header import Array, Unreadable
from eyespot.data.masks.mapping import VOID
from eyespot.data.masks.multilabel import unpack
from eyespot.errors import UserError
from eyespot.invariances.changes import Change, Mirror, Move, Turn
from eyespot.invariances.images import Images
from eyespot.invariances.measured import Measured, Measurement
from eyespot.invariances.original import Original
from eyespot.invariances.views import View, views_of
from eyespot.prediction.predictor import Predictor

Labels = NDArray[np.uint8]
MIDDLE = 0.25
"""The share of each axis that is left out at both ends for what is far from the border."""


@dataclass
class Rows:
    """The numbers of each image, in order, for one view."""

    same: list[float] = field(default_factory=list)
    overlap: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    middle: list[float] = field(default_factory=list)
    random: list[float] = field(default_factory=list)


def measure_masks(
    images: Images, changes: Sequence[Change], random: Predictor | None = None, swaps: dict | None = None
) -> Measurement:
    """Predict all images unchanged and in every view. random   the same network with random weights, or None"""
    views = [view for change in changes for view in views_of(change, crops=False)]
    rows = {view.key: Rows() for view in views}
    pixels = np.zeros(len(images.predictor.classes) + 1)
    constant: list[float] = []
    counts: list[NDArray[np.float64]] = []
    n = len(images.paths)
    work = ((i, view) for i in range(n) for view in (None, *views))
    of_image: _Image | None = None
    for i, view in track(work, n * (len(views) + 1), "predicting changed images"):
        try:
            if view is None:
                of_image = _Image(images, i, random)
                counts.append(of_image.counts(of_image.predicted))
                constant.append(of_image.constant())
            else:
                assert of_image is not None
                of_image.compare(view, rows[view.key], (swaps or {}).get(view.change.name))
        except Unreadable as reason:
            raise UserError(f"{images.paths[i]}: {reason}; leave it out") from reason
    pixels = np.stack(counts).sum(0)
    shares = pixels / pixels.sum()
    measured = [_measured(change, rows, float(shares @ shares)) for change in changes]
    before = np.array(rows[views[0].key].before)
    return Measurement(measured, float(np.mean(constant)), int((pixels > 0).sum()) == 1, before)


class _Image:
    """One image, its mask and what is predicted of it unchanged."""

    def __init__(self, images: Images, i: int, random: Predictor | None):
        assert images.rows is not None and images.pixels is not None and images.masks is not None
        row = int(images.rows[i])
        spacing = images.spacings[i] if images.spacings else ()
        self.original = Original(np.array(images.pixels[row]), i, spacing)
        self.truth: Labels = np.array(images.masks[row])
        self.predictor = images.predictor
        self.predicted: Labels = self.predictor.output.labels(self.original.array)
        self.random = random
        self.of_random = random.output.labels(self.original.array) if random else None

    @property
    def k(self) -> int:
        return len(self.predictor.classes)

    @property
    def multilabel(self) -> bool:
        return self.predictor.output.multilabel

    def counts(self, labels: Labels) -> NDArray[np.float64]:
        """(K,) pixels of each class, or (2^K,) of each combination"""
        return np.bincount(labels.ravel(), minlength=256).astype(float)

    def constant(self) -> float:
        """The mean IoU of the most frequent class everywhere."""
        values = np.bincount(self.truth[self.truth != VOID], minlength=1)
        everywhere = np.full_like(self.truth, int(values.argmax()))
        return self.iou(self.truth, everywhere, self.truth != VOID, of_first=True)

    def compare(self, view: View, rows: Rows, swap: Labels | None) -> None:
        """Add the numbers of a view."""
        (array,) = view.of([self.original])
        assert array is not None
        labels = self.predictor.output.labels(array)
        if view.kind == "back":
            assert isinstance(view.change, Move)
            valid = view.change.inside(self.original, view.severity, inverse=True)
            rows.same.append(_share(labels == self.predicted, valid))
            return
        expected, valid = self.moved(view, self.predicted, swap)
        truth, _ = self.moved(view, self.truth, swap)
        rows.same.append(_share(labels == expected, valid))
        rows.middle.append(_share(labels == expected, valid & _middle(valid.shape)))
        rows.overlap.append(self.iou(expected, labels, valid))
        counted = valid & (truth != VOID)
        rows.right.append(self.iou(truth, labels, counted, of_first=True))
        rows.before.append(self.iou(truth, expected, counted, of_first=True))
        if self.random is not None and view.is_usual:
            assert self.of_random is not None
            random, _ = self.moved(view, self.of_random, None)
            rows.random.append(_share(self.random.output.labels(array) == random, valid))

    def moved(self, view: View, labels: Labels, swap: Labels | None) -> tuple[Labels, NDArray[np.bool_]]:
        """The changed labels, and which of their pixels come from inside the image"""
        labels, valid = moved_labels(view, self.original, labels)
        return (labels if swap is None else swap[labels]), valid

    def iou(self, one: Labels, other: Labels, valid: NDArray[np.bool_], of_first: bool = False) -> float:
        """The mean over classes that occur in either, or in the first; 1 where none does"""
        values = []
        for a, b in zip(self.planes(one[valid]), self.planes(other[valid]), strict=True):
            if (a if of_first else a | b).any():
                values.append((a & b).sum() / (a | b).sum())
        return float(np.mean(values)) if values else 1.0

    def planes(self, labels: Labels) -> list[NDArray[np.bool_]]:
        """For each class, where it is"""
        if self.multilabel:
            return [plane.astype(bool) for plane in unpack(labels, self.k)]
        return [labels == k for k in range(self.k)]


def moved_labels(view: View, original: Original, labels: Labels) -> tuple[Labels, NDArray[np.bool_]]:
    """The labels of an image as a view moves them, and which of their pixels come from inside the image."""
    change = view.change
    if isinstance(change, Mirror | Turn):
        labels = change.moved(labels, view.severity, labels.ndim)
        return labels, np.ones(labels.shape, bool)
    if not isinstance(change, Move):
        return labels, np.ones(labels.shape, bool)
    warp = change.warp([original], view.severity, view.trial)
    given = torch.from_numpy(np.ascontiguousarray(labels))[None]
    moved = warp.apply(given[:, None].float(), given)[1]
    assert moved is not None
    return moved[0].numpy(), change.inside(original, view.severity, view.trial)


def _share(equal: NDArray[np.bool_], valid: NDArray[np.bool_]) -> float:
    return float(equal[valid].mean()) if valid.any() else 1.0


def _middle(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where pixels are far from the border"""
    inside = np.zeros(shape, bool)
    inside[tuple(slice(int(MIDDLE * n), n - int(MIDDLE * n)) for n in shape)] = True
    return inside


def _measured(change: Change, rows: dict, chance: float) -> Measured:
    of = [rows[View(change, s).key] for s in change.severities]
    trials = [
        rows[View(change, change.standard, trial=t).key]
        for t in range(change.trials if change.ordered else 1)
    ]
    back: Array | None = None
    if isinstance(change, Move):
        back = np.array([rows[View(change, s, "back").key].same for s in change.severities])
    usual = of[change.usual()]
    return Measured(
        change,
        np.array([r.same for r in of]),
        np.array([r.right for r in of]),
        np.array([r.before for r in of]),
        np.array([r.same for r in trials]),
        chance,
        np.array([r.right for r in trials]),
        back,
        np.array([usual.middle, usual.same]) if isinstance(change, Move) else None,
        np.array(usual.random) if usual.random else None,
        overlap=np.array([r.overlap for r in of]),
    )
