"""From the logits of whole images to the class of each."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.errors import UserError
from eyespot.parallel import batched
from eyespot.prediction.engine import Engine
from eyespot.prediction.output import NOT_FINITE, Source, WriteRequest, Written
from eyespot.prediction.predictions import Prediction, Predictions
from eyespot.prediction.sinks import write_predictions
from eyespot.softmax import softmax
from eyespot.weights.card import Card

BATCH = 64


class ClassOutput:
    """Predictions of the class of an image."""

    metric = ("accuracy", "accuracy")
    of_positions = False
    ahead = BATCH

    def __init__(self, card: Card, engine: Engine):
        self.card = card
        self.classes = card.classes
        self.engine = engine

    def probabilities(self, images: Array) -> NDArray[np.float64]:
        """(N, *S, C) -> (N, classes), each row of sum 1"""
        return softmax(self.engine.logits(images).astype(np.float64) / self.card.temperature, axis=1)

    def stream(self, images: Iterable[tuple[str, Array | str]]) -> Iterator[Prediction]:
        """Predictions one by one, in order; the reason in place of one for an image that cannot be read."""
        for batch in batched(images, BATCH):
            arrays = [image for _, image in batch if not isinstance(image, str)]
            rows = iter(self.probabilities(np.stack(arrays))) if arrays else iter(())
            for name, image in batch:
                if isinstance(image, str):
                    yield Prediction(name, error=image)
                else:
                    yield self._prediction(name, next(rows))

    def _prediction(self, name: str, p: NDArray[np.float64]) -> Prediction:
        if not np.isfinite(p).all():
            return Prediction(name, error=NOT_FINITE)
        best = int(p.argmax())
        by_class = dict(zip(self.classes, p.tolist(), strict=True))
        return Prediction(name, self.classes[best], float(p[best]), by_class)

    def collect(self, predictions: Iterable[Prediction]) -> Predictions:
        """All of them."""
        return Predictions(predictions)

    def write(self, source: Source, files: Iterable[Path], request: WriteRequest) -> Written:
        """A table, CSV or JSON lines."""
        for option, given in (
            ("instances", request.instances is not None),
            ("probabilities", request.probabilities),
        ):
            if given:
                raise UserError(
                    f"--{option} is for masks, and {request.run} was trained on classes: leave it out"
                )
        return write_predictions(source.stream(files), request.out, request.format, request.force)
