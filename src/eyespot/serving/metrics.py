"""What is counted while serving, in the text format of Prometheus. All names begin with eyespot_."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counters of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, in_progress: Callable[[], int]):
        registry = CollectorRegistry()
        self.registry = registry
        self.requests = Counter(
            "eyespot_requests", "Requests by path and HTTP status.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "eyespot_request_seconds",
            "Seconds from a request to its response.",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self.images = Counter(
            "eyespot_images",
            "Images that were predicted, or could not be read.",
            ["outcome"],
            registry=registry,
        )
        self.stages = Histogram(
            "eyespot_stage_seconds",
            "Seconds that an image waits and takes in a stage: read or compute.",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        gauge = Gauge(
            "eyespot_requests_in_progress", "Requests with images that are taken in.", registry=registry
        )
        gauge.set_function(in_progress)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """A request that got its response, or whose client went away (status 499)."""
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def stage(self, name: str) -> AbstractContextManager:
        """To time a stage of an image."""
        return self.stages.labels(name).time()

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self.registry)
