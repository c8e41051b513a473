"""From the images of a request to what is predicted of them, one by one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from starlette.requests import Request

from eyespot.data.header import Array, Unreadable
from eyespot.prediction.inputs import read_content
from eyespot.prediction.predictor import Predictor
from eyespot.serving.body import Upload, read_body, uploads_of
from eyespot.serving.check import checked
from eyespot.serving.limits import Limits, Refusal, TooSlow
from eyespot.serving.metrics import Metrics
from eyespot.serving.queue import WorkQueue


@dataclass(frozen=True)
class Outcome:
    """What became of one image: a prediction with remarks, or the reason why there is none.

    content   of the file, as it was decoded
    """

    index: int
    name: str
    content: bytes = b""
    prediction: Any = None
    remarks: tuple[str, ...] = ()
    error: str | None = None


class Ready(NamedTuple):
    """An image on its way to the engine."""

    content: bytes
    array: Array
    remarks: tuple[str, ...]


class Service:
    """One predictor, the limits, and the queue of all work."""

    def __init__(self, predictor: Predictor, limits: Limits, run: str | Path = "the model"):
        self.predictor = predictor
        self.limits = limits
        self.run = str(run)
        self.queue = WorkQueue(limits)
        self.metrics = Metrics(lambda: self.queue.requests)
        self.ready = True

    async def uploads(self, request: Request) -> list[Upload]:
        """The images of a request. Raises Refusal."""
        body = await read_body(request, self.limits)
        kind = request.headers.get("content-type", "")
        return await self.queue.read(uploads_of, body, kind, self.limits)

    async def predict(self, request: Request) -> list[Outcome]:
        """What is predicted of each image of a request. Raises Refusal for a request that cannot be met."""
        with self.queue.place():
            try:
                async with asyncio.timeout(self.limits.seconds):
                    uploads = await self.uploads(request)
                    return [await self._outcome(i, upload) for i, upload in enumerate(uploads)]
            except TimeoutError as error:
                raise TooSlow(self.limits.seconds) from error

    async def _outcome(self, index: int, upload: Upload) -> Outcome:
        async with self.queue.image():
            try:
                with self.metrics.stage("read"):
                    ready = await self.queue.read(self.read, upload)
                with self.metrics.stage("compute"):
                    prediction = await self.queue.compute(self.predict_array, upload.name, ready.array)
            except Unreadable as reason:
                self.metrics.images.labels("unreadable").inc()
                return Outcome(index, upload.name, error=str(reason))
        self.metrics.images.labels("predicted").inc()
        return Outcome(index, upload.name, ready.content, prediction, ready.remarks)

    def read(self, upload: Upload) -> Ready:
        """What the network gets of an image. Raises Unreadable."""
        content = checked(upload.content, self.predictor.preprocessing, self.limits)
        array, remarks = read_content(content, self.predictor.preprocessing)
        return Ready(content, array, tuple(remarks))

    def predict_array(self, name: str, array: Array) -> Any:
        """The prediction of what the network gets of an image: the same code as `eyespot predict`.

        Raises Unreadable where it is not finite.
        """
        prediction = next(iter(self.predictor.output.stream([(name, array)])))
        if not isfinite(getattr(prediction, "probability", 0.0)):
            raise Unreadable("the network's result is not finite: its values are far from those trained on")
        return prediction

    def close(self) -> None:
        self.ready = False
        self.queue.close()


def refuse_unread(outcomes: Sequence[Outcome], documents: list[dict[str, Any]]) -> None:
    """Raises Refusal where an image was not predicted: which and why, with what was predicted of the others."""
    unread = [outcome for outcome in outcomes if outcome.error]
    if not unread:
        return
    first = unread[0]
    sentence = f"image {first.index} ({first.name}) cannot be read: {first.error}"
    if len(outcomes) > 1:
        done = len(outcomes) - len(unread)
        sentence += f" ({len(unread)} of {len(outcomes)} images cannot be read; {done} were predicted)"
    raise Refusal(422, sentence, details={"predictions": documents})
