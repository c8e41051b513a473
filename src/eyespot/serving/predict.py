"""The job of POST /v1/predict: the code path of `eyespot predict`, and its result as JSON."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from eyespot.data.header import Array, Unreadable
from eyespot.prediction.inputs import read_content
from eyespot.prediction.predictions import MaskPrediction, Prediction
from eyespot.prediction.predictor import Predictor
from eyespot.serving.masks import encoded, first_file, mask_values, refuse_format, usual_format
from eyespot.serving.views import picture_of, view

Document = dict[str, Any]


class Ready(NamedTuple):
    """content of the file, what the network gets of it, and what the user should know"""

    content: bytes
    array: Array
    remarks: list[str]


@dataclass(frozen=True)
class Predict:
    """Predict an image.

    masks      whether the document of a mask has the mask, as `predict` writes it
    views      whether it has pictures, for the page
    instances  a number for each object in a mask; None for what the training masks had
    """

    predicts: ClassVar[bool] = True
    predictor: Predictor
    masks: bool = False
    views: bool = False
    instances: bool | None = None

    def read(self, name: str, content: bytes) -> Ready:
        """See `Job`."""
        array, remarks = read_content(content, self.predictor.preprocessing)
        return Ready(content, array, remarks)

    def compute(self, ready: Ready) -> Prediction | MaskPrediction:
        """See `Job`."""
        return predict_array(self.predictor, ready.array)

    def finish(self, ready: Ready, computed: Prediction | MaskPrediction) -> Any:
        """See `Job`."""
        if isinstance(computed, Prediction):
            document = of_class(computed)
        else:
            document = of_mask(computed, self.predictor.classes)
            if self.masks:
                document["mask"] = self.mask(ready, computed)
        document["remarks"] = ready.remarks
        if self.views:
            shown = picture_of(ready.content, self.predictor.preprocessing)
            document["view"] = view(shown, getattr(computed, "labels", None))
        return document

    def mask(self, ready: Ready, computed: MaskPrediction) -> Document:
        """The file of a mask, in the format that `predict` would choose."""
        output = self.predictor.output
        values = mask_values(output, computed, self.instances)
        source = first_file(ready.content)
        kind = usual_format(output, values, source)
        return encoded(output, values, kind, source).as_document()


@dataclass(frozen=True)
class PredictFile(Predict):
    """Predict an image whose mask is sent as a file of this kind."""

    kind: str = "png"

    def finish(self, ready: Ready, computed: Prediction | MaskPrediction) -> Any:
        """See `Job`."""
        assert isinstance(computed, MaskPrediction)
        output = self.predictor.output
        values = mask_values(output, computed, self.instances)
        source = first_file(ready.content)
        refuse_format(output, self.kind, values, source)
        return encoded(output, values, self.kind, source)


def predict_array(predictor: Predictor, array: Array) -> Prediction | MaskPrediction:
    """The prediction of what the network gets of an image. Raises Unreadable where the result is not finite."""
    prediction = next(iter(predictor.output.stream([("(image)", array)])))
    if prediction.error is not None:
        raise Unreadable(prediction.error)
    return prediction


def of_class(prediction: Prediction) -> Document:
    """The label, its probability and those of all classes."""
    return {
        "label": prediction.label,
        "probability": prediction.probability,
        "probabilities": prediction.probabilities,
    }


def of_mask(prediction: MaskPrediction, classes: list[str]) -> Document:
    """Of each class, how many pixels it has and which share of the image that is."""
    labels = prediction.labels
    assert labels is not None
    if labels.dtype == bool:  # multi-label
        counts = labels.reshape(len(classes), -1).sum(1)
        shape = labels.shape[1:]
    else:
        counts = np.bincount(labels.ravel(), minlength=len(classes))[: len(classes)]
        shape = labels.shape
    size = math.prod(shape)
    return {
        "shape": list(shape),
        "classes": [
            {"name": name, "pixels": int(n), "share": int(n) / size}
            for name, n in zip(classes, counts, strict=True)
        ],
    }
