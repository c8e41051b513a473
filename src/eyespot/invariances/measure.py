"""Measure what may change in an image without changing the prediction."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from eyespot.config import LayoutSettings
from eyespot.errors import UserError, nearest
from eyespot.evaluation.run_split import run_of
from eyespot.invariances.assess import assess, flag_of
from eyespot.invariances.bands import shares, units_of
from eyespot.invariances.causes import Facts, causes_of
from eyespot.invariances.changes import NAMES, Catalogue, Change
from eyespot.invariances.contract import Entry, judge_contract, lut, read_contract, with_severity
from eyespot.invariances.controls import centred, with_random_weights
from eyespot.invariances.images import Images, images_of
from eyespot.invariances.layers import NO_NETWORK, layers_of
from eyespot.invariances.measured import Measurement
from eyespot.invariances.of_classes import Classes, measure_classes
from eyespot.invariances.of_masks import measure_masks
from eyespot.invariances.outliers import outliers_of
from eyespot.invariances.result import Invariance
from eyespot.invariances.sawtooth import sawtooth_of
from eyespot.invariances.verdict import margin_of
from eyespot.invariances.views import View
from eyespot.metrics.intervals import percent, proportion
from eyespot.prediction.load import load
from eyespot.prediction.predictor import Predictor


def invariance(
    run: Any,
    data: str | os.PathLike | None = None,
    *,
    changes: Sequence[str] | None = None,
    contract: str | os.PathLike | None = None,
    most: int | None = None,
    split: str | None = None,
    device: str | None = None,
    **settings: Unpack[LayoutSettings],
) -> Invariance:
    """What may change in an image without changing the prediction of a run: curves, bands and a verdict for each change.

    run       a run folder, a model file or a `Run`
    data      images with the model's classes, or with masks; the run's test or validation set if not given; a folder of images
              without labels gives consistency only
    changes   names, such as ["hflip", "shift"]; those of the contract, or else all that the images have, if not given
    contract  a TOML file with a table for each change: required, forbidden, up_to, swaps, margin
    most      images at most, chosen at random
    split     "validation" or "test", as in `evaluate`
    device    where the network runs
    settings  how the data set is read, as in `evaluate`

    Raises UserError for changes that the images do not have, for data of another task, and for a contract with names that are
    not known.
    """
    folder = getattr(run, "folder", run)
    predictor = load(folder, device=device)
    names = NAMES[predictor.preprocessing.dim]
    entries = read_contract(Path(contract), names, predictor.classes) if contract else []
    for name in changes or ():
        check_name(name, predictor.preprocessing.dim)
    chosen = images_of(predictor, run_of(folder), data, dict(settings), most, split)
    if entries and changes is None:
        changes = [entry.change for entry in entries]
    wanted = list(dict.fromkeys([*(changes or names), *(entry.change for entry in entries)]))
    return measured_on(chosen, str(folder), changes_of(chosen, wanted, bool(changes)), entries)


def measured_on(
    images: Images, run: str, changes: Sequence[Change], entries: Sequence[Entry] = ()
) -> Invariance:
    """The result for images that were read."""
    predictor = images.predictor
    by_change = {entry.change: entry for entry in entries}
    changes = [with_severity(c, by_change[c.name]) if c.name in by_change else c for c in changes]
    became = {entry.change: entry.became(predictor.classes) for entry in entries}
    swaps = {name: classes for name, classes in became.items() if classes is not None}
    random = with_random_weights(predictor)
    if predictor.output.of_positions:
        tables = {name: lut(classes, predictor.output.multilabel) for name, classes in swaps.items()}
        measurement = measure_masks(images, changes, random, tables)
    else:
        measurement = measure_classes(images, changes, centred(random.logits) if random else None, swaps)
    result = result_of(images, run, measurement)
    if entries:
        result = with_contract(result, entries, swaps)
    return with_layers(with_causes(result))


def with_layers(result: Invariance) -> Invariance:
    """The result with how far the features of changed images are from the unchanged ones', layer by layer."""
    predictor = result.images.predictor
    if predictor.engine is None or result.flag:
        return result
    if not hasattr(predictor.engine, "with_network"):
        return replace(result, notes=(*result.notes, NO_NETWORK))
    return replace(result, layers=layers_of(result.images, result.changes))


def with_causes(result: Invariance) -> Invariance:
    """The result with why predictions change, and what to do."""
    images = result.images
    card = images.predictor.card
    of_classes = not images.predictor.output.of_positions
    shifts = of_classes and any(a.name == "shift" for a in result.changes) and not result.flag
    sawtooth = sawtooth_of(images) if shifts and card.preprocessing.get("dim", 2) == 2 else None
    plan = getattr(card, "plan", {})
    units = units_of(result.n, images.groups)
    scale = images.predictor.preprocessing.size / max(1, images.longest)
    augment = plan.get("augment") or "none"
    data = plan.get("data", "DATA")
    facts = Facts(augment, data, units, result.outliers, sawtooth, scale)
    return replace(result, causes=causes_of(result.changes, facts), sawtooth=sawtooth)


def with_contract(result: Invariance, entries: Sequence[Entry], swaps: Mapping[str, Classes]) -> Invariance:
    """The result with whether the contract holds, and with what is over-invariant by it."""
    units = units_of(result.n, result.images.groups)
    measured = {a.name: a.measured for a in result.changes}
    judgement = judge_contract(entries, measured, units, result.flag, result.word)
    stays = {j.entry.change: j.why for j in judgement.entries if j.broken and j.entry.forbidden}
    if result.measurement.predicted is not None:
        stays |= {name: why for name, c in swaps.items() if (why := unswapped(result.measurement, name, c))}
    changes = [
        replace(a, verdict=replace(a.verdict, status="over-invariant", why=stays[a.name]))
        if a.name in stays
        else a
        for a in result.changes
    ]
    return replace(result, changes=changes, contract=judgement)


def unswapped(measurement: Measurement, name: str, became: Classes) -> str:
    """Where most predictions of classes that a change exchanges stay as they were, a sentence about it."""
    change = next(m.change for m in measurement.changes if m.change.name == name)
    assert measurement.predicted is not None and measurement.changed is not None
    before = measurement.predicted
    concerned = became[before] != before
    if not concerned.any():
        return ""
    after = measurement.changed[View(change, change.standard).key]
    stays = (after == before)[concerned]
    score = proportion(int(stays.sum()), len(stays))
    if score["low"] <= 0.5:
        return ""
    return f"of the classes that it exchanges, {percent(score)} of predictions stay as they are"


def result_of(images: Images, run: str, measurement: Measurement) -> Invariance:
    """The numbers with their intervals."""
    n = len(images.paths)
    units = units_of(n, images.groups)
    before = measurement.before
    outliers = []
    if images.labels is not None and not flag_of(measurement):
        # Their chances are those of independent images, which images of one group are not.
        independent = images.groups is None
        outliers = outliers_of(measurement, images.labels, images.predictor.classes) if independent else []
    return Invariance(
        run=run,
        data=images.name,
        word=images.word,
        n=n,
        groups=units.n if units.grouped else None,
        changes=assess(measurement, units),
        margin=margin_of(measurement),
        accuracy=None if before is None else shares(before[None], units)[0],
        metric=images.predictor.output.metric[1],
        constant=measurement.constant,
        flag=flag_of(measurement),
        outliers=outliers,
        causes=[],
        notes=(*measurement.notes, *images.notes),
        errors=images.errors or {},
        images=images,
        measurement=measurement,
    )


def changes_of(images: Images, names: Sequence[str], asked: bool = True) -> list[Change]:
    """The changes of these names. asked   whether UserError is raised for those that the images do not have"""
    predictor: Predictor = images.predictor
    preprocessing = predictor.preprocessing
    dim = preprocessing.dim
    side = predictor.card.preprocessing["side"]
    planes = [spacing[-2:] for spacing in images.spacings if len(spacing) == dim > 1]
    turns = all(max(plane) <= 1.01 * min(plane) for plane in planes)
    catalogue = Catalogue(
        dim, images.longest or float(side), 0 if predictor.output.of_positions else side, turns
    )
    known = {change.name: change for change in catalogue.changes}
    for name in names if asked else ():
        if name not in known:
            raise UserError(
                f"{name} needs equal spacing in the plane, which these {images.word}s do not have"
            )
    return [known[name] for name in names if name in known]


def check_name(name: str, dim: int) -> None:
    """Raises UserError for a change that images of so many axes do not have."""
    if name in NAMES[dim]:
        return
    every = list(dict.fromkeys(name for names in NAMES.values() for name in names))
    if name in every:
        kind = {1: "signals", 2: "images", 3: "volumes"}[dim]
        raise UserError(f"{kind} have no {name}; their changes are {', '.join(NAMES[dim])}")
    raise UserError(f"there is no change {name!r}; {nearest(name, NAMES[dim])}")
