"""The work of all requests: threads that read images, one thread that computes, and how many may wait for them.

With a cluster, further threads wait for its workers, one for each image that they compute at the same time.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from eyespot.serving.limits import Busy, Limits

R = TypeVar("R")
RETRY_SECONDS = 1
"""After which a client that was declined may come back."""
AHEAD = 1
"""Images that are read and wait for the engine, beside those that are being read."""


class WorkQueue:
    """Takes in a limited number of requests, and works on their images one after the other, in the order of arrival.

    workers   of a cluster, which compute at the same time; 0 for none

    The engine computes one image at a time: what a client gets does not depend on what others send.
    """

    def __init__(self, limits: Limits, workers: int = 0):
        self.limits = limits
        self.requests = 0
        self._decoders = ThreadPoolExecutor(limits.decoders, "eyespot-decode")
        self._engine = ThreadPoolExecutor(1, "eyespot-engine")
        self._cluster = ThreadPoolExecutor(max(1, workers), "eyespot-cluster")
        self._images = asyncio.Semaphore(limits.decoders + AHEAD + workers)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one request. Raises Busy where there is none."""
        if self.requests >= self.limits.requests:
            raise Busy(self.limits.requests, RETRY_SECONDS)
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    def image(self) -> asyncio.Semaphore:
        """To hold while an image is in memory: from reading it to its result."""
        return self._images

    async def read(self, work: Callable[..., R], *about: Any) -> R:
        """Work of reading, in one of its threads."""
        return await asyncio.get_running_loop().run_in_executor(self._decoders, work, *about)

    async def compute(self, work: Callable[..., R], *about: Any) -> R:
        """Work of the engine, in its own thread."""
        return await asyncio.get_running_loop().run_in_executor(self._engine, work, *about)

    async def compute_on_cluster(self, work: Callable[..., R], *about: Any) -> R:
        """Work that a worker of the cluster does, while a thread waits for it."""
        return await asyncio.get_running_loop().run_in_executor(self._cluster, work, *about)

    def close(self) -> None:
        """Work that was not begun is dropped; the rest is waited for."""
        for pool in (self._decoders, self._engine, self._cluster):
            pool.shutdown(cancel_futures=True)
