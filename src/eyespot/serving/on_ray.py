"""Predictions for the server by the workers of a Ray cluster, one image each, with the results of one process."""

from typing import Any

from eyespot.data.header import Array
from eyespot.errors import UserError
from eyespot.prediction.on_ray import Workers, warn_once
from eyespot.prediction.predictions import MaskPrediction, Prediction
from eyespot.serving.limits import Refusal
from eyespot.serving.predict import predict_array

FIRST_SECONDS = 300
"""For the first worker to start and to load the network."""
RETRY_SECONDS = 5
"""After which a client may come back where no worker was able to compute."""


class Cluster:
    """The workers that predict.

    seconds   that a worker may take for one image, a network that it has to load first included
    """

    def __init__(self, workers: Workers, seconds: float):
        self.workers = workers
        self.seconds = seconds
        self.processors = workers.processors
        self._said: set[str] = set()

    def predict(self, array: Array) -> Prediction | MaskPrediction:
        """See `predict_array`. Raises Refusal where no worker can."""
        return self._ask(predict_array, array, self.seconds)

    def check(self) -> None:
        """Have one worker load the network. Raises UserError where it cannot."""
        try:
            self._ask(_loaded, None, FIRST_SECONDS)
        except Refusal as refusal:
            raise UserError(refusal.sentence) from refusal

    def _ask(self, work: Any, given: Any, seconds: float) -> Any:
        errors = self.workers.ray.exceptions
        try:
            result, remarks = self.workers.one(work, given, seconds)
        except TimeoutError as error:
            raise _refusal(f"no worker of the cluster was done after {seconds:g} s") from error
        except (errors.RayError, ConnectionError) as error:
            raise _refusal("the workers of the cluster died, or it does not answer") from error
        warn_once(remarks, self._said)
        return result


def _loaded(predictor: Any, _: None) -> str:
    return str(predictor)


def _refusal(sentence: str) -> Refusal:
    return Refusal(503, f"{sentence}: try again later", {"Retry-After": str(RETRY_SECONDS)})
