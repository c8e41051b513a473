"""Changes of images whose class is predicted: the predictor is asked for logits, and for nothing else."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eyespot.console import track
from eyespot.data.header import Array, Unreadable
from eyespot.errors import UserError
from eyespot.invariances.changes import Change
from eyespot.invariances.images import Images
from eyespot.invariances.measured import Measured, Measurement, Values
from eyespot.invariances.original import Original, prepare, read_original
from eyespot.invariances.views import View, views_of
from eyespot.plurals import count
from eyespot.prediction.output import NOT_FINITE

BATCH = 128
Classes = NDArray[np.int64]
Key = tuple[str, str, float, int]
Logits = Callable[[Array], NDArray[np.float32]]
UNCHANGED: Key = ("", "", 0.0, 0)
VARIED = 20
"""So many images are taken to be of several classes, whatever their labels."""
NONE = -1
"""In place of a class, where an image has no such view."""
UNDECIDED = -2
"""In place of a class, where the network's result is not finite."""
Swaps = Mapping[str, NDArray[np.int64]]
"""By the name of a change: the class (K,) that each class becomes."""


def measure_classes(
    images: Images, changes: Sequence[Change], random: Logits | None = None, swaps: Swaps | None = None
) -> Measurement:
    """Predict all images unchanged and in every view.

    random  logits of the same network with random weights, or None
    """
    views = [view for change in changes for view in views_of(change)]
    predicted, of_random, prepared = predict_views(images, views, random)
    measured = [
        measured_of(change, images.labels, predicted, of_random, (swaps or {}).get(change.name))
        for change in changes
    ]
    base = predicted[UNCHANGED]
    n = len(base)
    notes = (
        f"note: {count(prepared, 'file')} of {n:,} {'is' if prepared == 1 else 'are'} much larger than the network's input, so the changes "
        "act on that input",
    ) * bool(prepared)
    labels = images.labels
    constant = None if labels is None else float(np.bincount(labels).max() / n)
    before = None if labels is None else (base == labels).astype(float)
    varied = n >= VARIED or (labels is not None and len(np.unique(labels)) > 1)
    is_constant = varied and len(np.unique(base)) == 1
    return Measurement(measured, constant, is_constant, before, base, predicted, notes)


def predict_views(
    images: Images, views: Sequence[View], random: Logits | None
) -> tuple[dict[Key, Classes], dict[Key, Classes], int]:
    """The predicted classes by view, also with random weights, and how many images were changed at the network's size."""
    n = len(images.paths)
    predicted = {key: np.full(n, NONE) for key in (UNCHANGED, *(view.key for view in views))}
    usual = [view.key for view in views if view.is_usual]
    of_random = {key: np.full(n, NONE) for key in (UNCHANGED, *usual)} if random else {}
    starts = range(0, n, BATCH)
    steps = ((start, view) for start in starts for view in (None, *views))
    originals: list[Original] = []
    prepared = 0
    for start, view in track(steps, len(starts) * (len(views) + 1), "predicting changed images, batches"):
        rows = np.arange(start, min(n, start + BATCH))
        if view is None:
            originals = [_read(images, int(i)) for i in rows]
            prepared += sum(o.prepared for o in originals)
        arrays = view.of(originals) if view else [o.array for o in originals]
        key = view.key if view else UNCHANGED
        inputs, chosen = _inputs(images, originals, arrays)
        predicted[key][rows[chosen]] = classes_of(images.predictor.logits, inputs)
        if (undecided := np.flatnonzero(predicted[key][rows[chosen]] == UNDECIDED)).size:
            path = images.paths[int(rows[chosen][undecided[0]])]
            raise UserError(f"{path}: {NOT_FINITE}; leave it out")
        if random and key in of_random:
            of_random[key][rows[chosen]] = classes_of(random, inputs)
    return predicted, of_random, prepared


def _read(images: Images, index: int) -> Original:
    try:
        return read_original(images.paths[index], index, images.predictor.preprocessing)
    except Unreadable as reason:  # it was read before, so it changed since
        raise RuntimeError(f"{images.paths[index]} can no longer be read: {reason}") from reason


def _inputs(
    images: Images, originals: Sequence[Original], arrays: Sequence[Array | None]
) -> tuple[list[Array], NDArray[np.int64]]:
    """What the network gets, and of which originals"""
    preprocessing = images.predictor.preprocessing
    chosen = [i for i, array in enumerate(arrays) if array is not None]
    inputs = [prepare(originals[i], arrays[i], preprocessing) for i in chosen]  # type: ignore[arg-type]
    return inputs, np.array(chosen, np.int64)


def classes_of(logits: Logits, inputs: Sequence[Array]) -> Classes:
    """The predicted class of each; UNDECIDED where the logits are not finite."""
    if not inputs:
        return np.empty(0, np.int64)
    values = logits(np.stack(inputs))
    return np.where(np.isfinite(values).all(1), values.argmax(1), UNDECIDED)


def measured_of(
    change: Change,
    labels: Classes | None,
    predicted: Mapping[Key, Classes],
    of_random: Mapping[Key, Classes],
    swap: NDArray[np.int64] | None = None,
) -> Measured:
    """One change. swap   (K,) what each class becomes by it; None where it stays"""

    def became(classes: Classes) -> Classes:
        return classes if swap is None else swap[classes]

    base = predicted[UNCHANGED]
    expected = became(base)
    curve = np.stack([predicted[View(change, s).key] for s in change.severities])
    trials = np.stack(
        [
            predicted[View(change, change.standard, trial=trial).key]
            for trial in range(change.trials if change.ordered else 1)
        ]
    )
    right = before = trials_right = None
    if labels is not None:
        right = (curve == became(labels)).astype(float)
        before = np.repeat((base == labels).astype(float)[None], len(curve), 0)
        trials_right = (trials == became(labels)).astype(float)
    usual = curve[change.usual()]
    return Measured(
        change,
        (curve == expected).astype(float),
        right,
        before,
        (trials == expected).astype(float),
        chance(expected, usual),
        trials_right,
        _back(change, predicted),
        _inner(change, predicted, expected),
        _random(change, of_random),
    )


def chance(one: Classes, other: Classes) -> float:
    """How often two predictions agree that have these classes as often and nothing else in common."""
    k = int(max(one.max(), other.max())) + 1
    shares = [np.bincount(classes, minlength=k) / len(classes) for classes in (one, other)]
    return float(shares[0] @ shares[1])


def _back(change: Change, predicted: Mapping[Key, Classes]) -> Values | None:
    keys = [View(change, s, "back").key for s in change.severities]
    if keys[0] not in predicted:
        return None
    return np.stack([predicted[key] == predicted[UNCHANGED] for key in keys]).astype(float)


def _inner(change: Change, predicted: Mapping[Key, Classes], expected: Classes) -> Values | None:
    keys = [View(change, change.standard, kind).key for kind in ("inner", "whole", "changed")]
    if keys[0] not in predicted:
        return None
    inner, whole, filled = (predicted[key] for key in keys)
    has_crop = inner != NONE
    if not has_crop.any():
        return None
    return np.stack([inner == whole, filled == expected])[:, has_crop].astype(float)


def _random(change: Change, of_random: Mapping[Key, Classes]) -> Values | None:
    key = View(change, change.standard).key
    if key not in of_random:
        return None
    return (of_random[key] == of_random[UNCHANGED]).astype(float)
