"""The job of POST /v1/explain: what the network looked at, as a picture that lies over the image. Needs torch."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyespot.errors import UserError
from eyespot.explanation.colours import AGAINST, FOR, scale_of, strongest_slice
from eyespot.explanation.explain import Explainer, Request
from eyespot.explanation.methods import METHODS
from eyespot.explanation.result import Explanation
from eyespot.explanation.score import has_gradients
from eyespot.explanation.subject import Subject, subject_of_content
from eyespot.prediction.predictor import Predictor
from eyespot.serving.body import shown as shown_text
from eyespot.serving.limits import Refusal
from eyespot.serving.views import as_png, shown, small, stretched

SLOW = ("rise",)
"""Methods that would keep the engine from all other requests for minutes."""


def methods_of(predictor: Predictor) -> list[str]:
    """The methods that a server has for a predictor: those of a torch network."""
    if not has_gradients(predictor.engine):
        return []
    return [name for name in METHODS if name not in SLOW]


@dataclass(frozen=True)
class Explain:
    """Explain an image. Raises Refusal for a method or class that there is not."""

    predicts: ClassVar[bool] = False
    predictor: Predictor
    method: str = "grad-cam"
    target: str | None = None
    check: bool = False

    def __post_init__(self) -> None:
        known = methods_of(self.predictor)
        if self.method not in known:
            have = ", ".join(known) or "none, since it has no torch network"
            raise Refusal(400, f"method is {shown_text(self.method)!r}, and this server has {have}")
        if self.target is not None and self.target not in self.predictor.classes:
            raise Refusal(400, f"there is no class {shown_text(self.target)!r}: see classes in /v1/model")

    def read(self, name: str, content: bytes) -> Subject:
        """See `Job`."""
        return subject_of_content(name, content, self.predictor.preprocessing)

    def compute(self, ready: Subject) -> Explanation:
        """See `Job`."""
        request = Request(self.method, self.target, check=self.check)
        try:
            return Explainer(self.predictor, request).of_subject(ready)
        except UserError as error:
            raise Refusal(422, str(error)) from error

    def finish(self, ready: Subject, computed: Explanation) -> dict[str, Any]:
        """See `Job`."""
        return {
            "method": computed.method,
            "target": computed.target,
            "predicted": computed.predicted,
            "layer": computed.layer,
            "label": computed.label,
            "why": computed.why,
            "meaning": computed.meaning,
            "warnings": computed.warnings,
            "notes": list(computed.notes),
            "view": _view(computed),
        }


def _view(explanation: Explanation) -> dict[str, Any]:
    """The image and the map over it; of a volume the slice with the largest value."""
    array = explanation.image
    values = explanation.map
    document: dict[str, Any] = {}
    if values.ndim == 3:
        document["slice"] = strongest_slice(values)
        array = array[document["slice"]]
        values = values[document["slice"]]
    document["picture"] = as_png(small(shown(array)))
    row = values.ndim == 1
    over = Image.fromarray(_transparent(values[None] if row else values))
    document["overlay"] = as_png(small(stretched(over) if row else over))
    return document


def _transparent(values: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W) -> (H, W, 4): the colour by the sign, and opaque by the share of the largest values"""
    share = np.clip(np.asarray(values, np.float64) / scale_of([values]), -1, 1)
    rgba = np.empty((*values.shape, 4), np.uint8)
    rgba[..., :3] = np.where(share[..., None] >= 0, FOR, AGAINST)
    rgba[..., 3] = np.abs(share * 255).round()
    return rgba
