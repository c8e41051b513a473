"""From what was measured by image to the numbers of each change, with intervals and a verdict."""

from dataclasses import dataclass

import numpy as np

from eyespot.invariances.bands import Units, shares
from eyespot.invariances.measured import Measured, Measurement, Values
from eyespot.invariances.verdict import MARGIN, Verdict, judge, loss_of, margin_of
from eyespot.metrics.intervals import Score


@dataclass(frozen=True)
class Trials:
    """Several directions at the standard severity: how many, and the share of images that are right (or the same, without
    labels) in all of them, and on average over them."""

    k: int
    worst: Score
    mean: Score


@dataclass(frozen=True)
class Border:
    """Consistency in a crop without invented pixels, and of the same images with the border filled by reflection."""

    inner: Score
    filled: Score

    @property
    def share(self) -> float:
        """What the border costs."""
        return self.inner["value"] - self.filled["value"]


@dataclass(frozen=True)
class Assessed:
    """The numbers of one change; lists are by severity."""

    measured: Measured
    verdict: Verdict
    same: list[Score]
    right: list[Score] | None
    harmful: list[Score] | None
    helpful: list[Score] | None
    floor: list[Score] | None
    overlap: list[Score] | None
    trials: Trials | None
    border: Border | None
    random: Score | None

    @property
    def name(self) -> str:
        return self.measured.change.name

    @property
    def at(self) -> int:
        """The position of the severity that stands for the change: the standard one, or the worst quarter turn."""
        change = self.measured.change
        if change.ordered:
            return change.usual()
        return int(np.argmax([score["value"] for score in self.verdict.drops]))


def assess(measurement: Measurement, units: Units) -> list[Assessed]:
    """All changes."""
    flag = flag_of(measurement)
    margin = margin_of(measurement)
    return [_assess(measured, units, margin, flag) for measured in measurement.changes]


def flag_of(measurement: Measurement) -> str:
    """Why no verdict can be given for this network, on these images; empty where one can be."""
    if measurement.is_constant:
        return "the network predicts the same for every image, so that nothing changes says nothing"
    if measurement.before is None or measurement.constant is None:
        return ""
    accuracy = float(measurement.before.mean())
    if accuracy - measurement.constant <= MARGIN / 2:
        return (
            f"the accuracy of {accuracy:.1%} is not above the {measurement.constant:.1%} of a constant predictor, so there is "
            "nothing to lose"
        )
    return ""


def _assess(measured: Measured, units: Units, margin: float, flag: str) -> Assessed:
    right = measured.right
    harmful = helpful = None
    if right is not None and measured.before is not None and measured.overlap is None:
        harmful = shares(((measured.before == 1) & (right == 0)).astype(float), units)
        helpful = shares(((measured.before == 0) & (right == 1)).astype(float), units)
    return Assessed(
        measured,
        judge(measured, units, margin, flag),
        shares(measured.same, units),
        None if right is None else shares(right, units),
        harmful,
        helpful,
        None if measured.back is None else shares(measured.back, units),
        None if measured.overlap is None else shares(measured.overlap, units),
        _trials(measured, units),
        _border(measured, units),
        None if measured.random is None else shares(measured.random[None], units)[0],
    )


def _trials(measured: Measured, units: Units) -> Trials | None:
    values = measured.trials if measured.trials_right is None else measured.trials_right
    if len(values) < 2:
        return None
    worst, mean = (shares(v[None], units)[0] for v in (values.min(0), values.mean(0)))
    return Trials(len(values), worst, mean)


def _border(measured: Measured, units: Units) -> Border | None:
    inner: Values | None = measured.inner
    if inner is None:
        return None
    if inner.shape[1] == len(units.place):
        return Border(*shares(inner, units))
    own = Units(np.arange(inner.shape[1]), inner.shape[1], False)
    return Border(*shares(inner, own)) if not units.grouped else None


def worst_loss(measured: Measured) -> Values:
    """(N,) the loss of each image at the severity where it is largest on average."""
    loss = loss_of(measured)
    return loss[int(loss.mean(1).argmax())]
