"""The job of POST /v1/transform: what is predicted of a changed image, by the changes of `eyespot invariance`. Needs torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from eyespot.data.header import Array
from eyespot.invariances.changes import MEANING, Catalogue, Change
from eyespot.invariances.original import Original, original_of, prepare
from eyespot.prediction.predictions import MaskPrediction, Prediction
from eyespot.prediction.predictor import Predictor
from eyespot.serving.body import shown
from eyespot.serving.limits import Refusal
from eyespot.serving.predict import Document, of_class, of_mask, predict_array
from eyespot.serving.views import view


def catalogue(predictor: Predictor, size: float | None = None) -> list[Change]:
    """The changes for images of so many samples along the longest axis."""
    side = predictor.card.preprocessing["side"]
    of_positions = predictor.output.of_positions
    dim = predictor.preprocessing.dim
    return Catalogue(dim, size or float(side), 0 if of_positions else side).changes


def as_document(change: Change) -> Document:
    """A change, as the page shows it: a switch, a choice of severities, or a range, which may go either way."""
    return {
        "name": change.name,
        "meaning": MEANING[change.name],
        "kind": kind_of(change),
        "unit": change.unit,
        "severities": list(change.severities),
        "usual": change.standard,
        "either_way": change.trials == 2,
    }


def kind_of(change: Change) -> str:
    """How its severity is chosen."""
    if len(change.severities) == 1:
        return "switch"
    return "range" if change.ordered else "choice"


class Ready(NamedTuple):
    """The changed image: as it is shown, and as the network gets it"""

    shown: Array
    array: Array


@dataclass(frozen=True)
class Transform:
    """Change an image by NAME:SEVERITY, one after the other, and predict it. Raises Refusal for what is not a change."""

    predicts: ClassVar[bool] = True
    predictor: Predictor
    changes: Sequence[str]

    def __post_init__(self) -> None:
        known = {change.name: change for change in catalogue(self.predictor)}
        if len(self.changes) > len(known):
            raise Refusal(
                400,
                f"the request has {len(self.changes)} changes: give each of the {len(known)} once at most",
            )
        for name, severity in self.wanted():
            if name not in known:
                raise Refusal(400, f"there is no change {shown(name)!r}: this server has {', '.join(known)}")
            refuse_severity(known[name], severity)

    def wanted(self) -> list[tuple[str, float]]:
        """Names and severities. Raises Refusal for what is not written so."""
        pairs = []
        for text in self.changes:
            name, _, severity = text.partition(":")
            try:
                pairs.append((name, float(severity or 1)))
            except ValueError as error:
                raise Refusal(
                    400, f"change is {shown(text)!r}: write NAME:SEVERITY, such as rotate:15"
                ) from error
        return pairs

    def read(self, name: str, content: bytes) -> Ready:
        """See `Job`."""
        original = original_of(content, 0, self.predictor.preprocessing)
        known = {c.name: c for c in catalogue(self.predictor, max(original.array.shape[:-1]))}
        for name, severity in self.wanted():
            if severity:
                original = replace(original, array=changed(known[name], original, severity))
        array = prepare(original, original.array, self.predictor.preprocessing)
        return Ready(original.array, array)

    def compute(self, ready: Ready) -> Prediction | MaskPrediction:
        """See `Job`."""
        return predict_array(self.predictor, ready.array)

    def finish(self, ready: Ready, computed: Prediction | MaskPrediction) -> Document:
        """See `Job`."""
        if isinstance(computed, Prediction):
            return {**of_class(computed), "view": view(ready.shown)}
        return {**of_mask(computed, self.predictor.classes), "view": view(ready.shown, computed.labels)}


def refuse_severity(change: Change, severity: float) -> None:
    """Raises Refusal for a severity that a change does not have."""
    most = max(change.severities)
    least = -most if change.trials == 2 else 0.0
    known = severity == 0 or severity in change.severities
    if not (least <= severity <= most if kind_of(change) == "range" else known):
        raise Refusal(400, f"the severity of {change.name} is {severity:g}: give {least:g} to {most:g}")


def changed(change: Change, original: Original, severity: float) -> Array:
    """The array, changed towards the side that the sign of the severity says where there are two."""
    trial = 0
    if change.trials == 2:
        trial = int(change.random(original, 0)[1] != (1 if severity > 0 else -1))
    return change.apply([original], abs(severity), trial)[0]
