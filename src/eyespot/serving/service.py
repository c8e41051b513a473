"""From the images of a request to their results, one by one, by whatever job the request is for."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from starlette.requests import ClientDisconnect, Request

from eyespot.data.header import Unreadable
from eyespot.prediction.predictor import Predictor
from eyespot.serving.body import Upload, read_body, uploads_of
from eyespot.serving.check import checked
from eyespot.serving.limits import Limits, Refusal, TooSlow
from eyespot.serving.metrics import Metrics
from eyespot.serving.queue import WorkQueue

if TYPE_CHECKING:
    from eyespot.serving.on_ray import Cluster


class Job(Protocol):
    """What is done with each image of a request: three steps, of which only the second occupies the engine.

    predicts   whether that is the prediction of `ready.array`, which a worker of a cluster can make as well
    """

    predicts: ClassVar[bool]

    def read(self, name: str, content: bytes) -> Any:
        """What the engine needs of a file. Raises Unreadable."""
        ...

    def compute(self, ready: Any) -> Any:
        """The engine's work. Raises Unreadable."""
        ...

    def finish(self, ready: Any, computed: Any) -> Any:
        """The result: entries of a JSON document, or a file."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of one image: a result, or the reason why there is none."""

    index: int
    name: str
    result: Any = None
    error: str | None = None

    @property
    def document(self) -> dict[str, Any]:
        """Of an image whose result is a JSON document."""
        about = {"index": self.index, "name": self.name}
        return about | ({"error": self.error} if self.error is not None else self.result)


class Service:
    """One predictor, the limits, and the queue of all work.

    run       the folder or file of the predictor, as the user named it
    cluster   whose workers predict; without one, and for other work, this process computes
    """

    def __init__(
        self,
        predictor: Predictor,
        limits: Limits,
        run: str | os.PathLike = "model",
        cluster: "Cluster | None" = None,
    ):
        self.predictor = predictor
        self.limits = limits
        self.run = str(run)
        self.cluster = cluster
        self.queue = WorkQueue(limits, cluster.processors if cluster else 0)
        self.metrics = Metrics(lambda: self.queue.requests)
        self.ready = True

    async def work(self, request: Request, job: Job, most: int | None = None) -> list[Outcome]:
        """The outcome of each image of a request. Raises Refusal for a request that cannot be met.

        most   images; those of the limits if not given
        """
        with self.queue.place():
            try:
                async with asyncio.timeout(self.limits.seconds):
                    uploads = await self.uploads(request)
                    if most is not None and len(uploads) > most:
                        raise Refusal(
                            400, f"the request has {len(uploads)} images, and this takes {most} at a time"
                        )
                    return [await self._outcome(i, upload, job, request) for i, upload in enumerate(uploads)]
            except TimeoutError as error:
                raise TooSlow(self.limits.seconds) from error

    async def uploads(self, request: Request) -> list[Upload]:
        """The images of a request. Raises Refusal."""
        body = await read_body(request, self.limits)
        kind = request.headers.get("content-type", "")
        channels = self.predictor.preprocessing.channel_files
        return await self.queue.read(uploads_of, body, kind, self.limits, channels)

    async def _outcome(self, index: int, upload: Upload, job: Job, request: Request) -> Outcome:
        async with self.queue.image():
            if await request.is_disconnected():  # nobody waits for what the engine would be kept busy with
                raise ClientDisconnect
            try:
                with self.metrics.stage("read"):
                    ready = await self.queue.read(self._read, upload, job)
                with self.metrics.stage("compute"):
                    computed = await self._compute(job, ready)
                with self.metrics.stage("encode"):
                    result = await self.queue.read(job.finish, ready, computed)
            except Unreadable as reason:
                self.metrics.images.labels("unreadable").inc()
                return Outcome(index, upload.name, error=str(reason))
        self.metrics.images.labels("predicted").inc()
        return Outcome(index, upload.name, result)

    async def _compute(self, job: Job, ready: Any) -> Any:
        if self.cluster is not None and job.predicts:
            return await self.queue.compute_on_cluster(self.cluster.predict, ready.array)
        return await self.queue.compute(job.compute, ready)

    def _read(self, upload: Upload, job: Job) -> Any:
        content = checked(upload.content, self.predictor.preprocessing, self.limits)
        return job.read(upload.name, content)

    def close(self) -> None:
        """Take in nothing more, and end the threads."""
        self.ready = False
        self.queue.close()


def whole(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The documents of all images. Raises Refusal where one has none: which and why, with those of the others."""
    refuse_unread(outcomes, [outcome.document for outcome in outcomes])
    return [outcome.document for outcome in outcomes]


def refuse_unread(outcomes: Sequence[Outcome], documents: Sequence[dict[str, Any]] = ()) -> None:
    """Raises Refusal where an image has no result."""
    unread = [outcome for outcome in outcomes if outcome.error is not None]
    if not unread:
        return
    first = unread[0]
    sentence = f"image {first.index} ({first.name}) cannot be read: {first.error}"
    if len(outcomes) > 1:
        sentence += f" ({len(unread)} of {len(outcomes)} images cannot be read; `predictions` has the others)"
    raise Refusal(422, sentence, details={"predictions": list(documents)} if documents else {})
