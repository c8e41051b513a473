"""Prediction by the workers of a Ray cluster, in the order and with the results of one process.

Each worker loads the network once. A batch whose worker dies is predicted again by another.
"""

import logging
import signal
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

from eyespot.console import live
from eyespot.errors import UserError
from eyespot.files import make_folder, temporary_folder, write_file
from eyespot.missing import extra
from eyespot.parallel import batched
from eyespot.prediction.class_output import BATCH
from eyespot.prediction.inputs import kind_of
from eyespot.prediction.load import load
from eyespot.prediction.model_file import model_files
from eyespot.prediction.output import WriteRequest, Written
from eyespot.warned import warn_user

LOCAL = "local"
SCHEME = "ray://"
TRIES = 3
"""How often a batch is tried again after its worker has died."""
AHEAD = 2
"""Batches that wait for each processor of the cluster."""
FILES = 4
"""Images with masks in a batch."""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Ray, on this machine's cores (local) or on the cluster at ray://HOST:PORT, left when the block ends.

    Raises UserError for another address, where ray is not installed, and where nothing answers.
    """
    if address != LOCAL and not address.startswith(SCHEME):
        raise UserError(f"--on is {address!r}: give local, or {SCHEME}HOST:PORT of a cluster")
    try:
        import ray
    except ImportError as error:
        raise UserError(f"--on needs Ray: {extra('ray')}") from error
    mine = not ray.is_initialized()
    if mine:
        live("starting Ray on this machine" if address == LOCAL else f"connecting to {address}")
        _connect(ray, address)
        live()
    try:
        yield ray
    finally:
        if mine:
            ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    where: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {"address": address}
    logging.getLogger("ray").setLevel(logging.ERROR)
    at_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **where)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"no Ray cluster answers at {address}: {str(error).splitlines()[0]}") from error
    finally:  # Ray's own ends the process with exit code 15
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, at_sigterm)


@dataclass(frozen=True)
class Workers:
    """The workers of a cluster, each with the network of a run.

    ray     that is connected
    model   the content of the run's files, in the cluster's memory
    digest  of these files and of how they are loaded, by which a worker knows whether it has loaded them
    how     the device and the engine
    """

    ray: Any
    model: Any
    digest: str
    how: dict[str, Any]

    @property
    def processors(self) -> int:
        """Of the cluster, each of which computes one batch at a time."""
        return max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    @cached_property
    def _remote(self) -> Callable[..., Any]:
        """Given work and a batch, what stands for the result that a worker will have."""
        run = self.ray.remote(max_retries=TRIES)(_run)
        return lambda work, batch: run.remote([self.model], self.digest, self.how, work, batch)

    def one(self, work: Callable[[Any, Any], Any], batch: Any, seconds: float | None = None) -> Any:
        """The result of `work(predictor, batch)`, and the worker's warnings. Raises the error of the work.

        seconds   to wait for it at most; then it is given up, and TimeoutError is raised
        """
        task = self._remote(work, batch)
        try:
            return self.ray.get(task, timeout=seconds)
        except self.ray.exceptions.GetTimeoutError as error:
            self.ray.cancel(task)
            raise TimeoutError(f"no worker was done after {seconds:g} s") from error
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from None

    def stream(self, images: Iterable[Path]) -> Iterator[Any]:
        """Predictions of whole images, one by one, of paths that exist on each machine of the cluster."""
        for predictions in self.in_order(_predictions, batched(images, BATCH)):
            yield from predictions

    def write_masks(self, files: Iterable[Path], request: WriteRequest) -> Iterator[Written]:
        """Masks, written by the workers: the folder has to be one that all machines of the cluster see."""
        return self.in_order(_written, ((some, request) for some in batched(files, FILES)))

    def in_order(self, work: Callable[[Any, Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
        """The result of `work(predictor, batch)` for each batch, in the order of the batches."""
        batches = iter(batches)
        waiting = deque(self._remote(work, batch) for batch in islice(batches, AHEAD * self.processors))
        said: set[str] = set()
        try:
            while waiting:
                result, remarks = self.ray.get(waiting.popleft())
                warn_once(remarks, said)
                yield result
                waiting.extend(self._remote(work, batch) for batch in islice(batches, 1))
        except self.ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, UserError) else error) from None
        except self.ray.exceptions.WorkerCrashedError as error:
            raise UserError(
                f"the workers died in {TRIES + 1} tries at one batch: see the logs of Ray, and whether the memory is enough"
            ) from error
        finally:
            for task in waiting:
                self.ray.cancel(task)


def workers(ray: Any, run: str, **how: Any) -> Workers:
    """Workers for a run folder, a model file or an exported file. Raises UserError where there is none.

    how   the arguments of `load`
    """
    files = model_files(run)
    digest = blake2b(repr(how).encode(), digest_size=16)
    for name, content in files.items():
        digest.update(name.encode() + content)
    return Workers(ray, ray.put(files), digest.hexdigest(), how)


def warn_once(remarks: list[str], said: set[str]) -> None:
    """Give each kind of warning once, whatever the file and the numbers."""
    for remark in remarks:
        kind = kind_of(remark.partition(": ")[2])
        if kind not in said:
            said.add(kind)
            warn_user(remark)


_loaded: dict[str, Any] = {}
"""In a worker: its predictor, by the digest."""


def _run(
    model: list[Any], digest: str, how: dict[str, Any], work: Callable[[Any, Any], Any], batch: Any
) -> Any:
    """In a worker: what `work` gives, and the warnings."""
    import ray

    if digest not in _loaded:
        _loaded.clear()
        _loaded[digest] = _predictor(ray.get(model[0]), how)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = work(_loaded[digest], batch)
    return result, [str(w.message) for w in caught if w.category is UserWarning]


def _predictor(files: dict[str, bytes], how: dict[str, Any]) -> Any:
    with temporary_folder() as folder:
        for name, content in files.items():
            make_folder((folder / name).parent)
            write_file(folder / name, content)
        return load(folder if len(files) > 1 else folder / next(iter(files)), **how)


def _predictions(predictor: Any, paths: list[Path]) -> list[Any]:
    return list(predictor.stream(paths))


def _written(predictor: Any, batch: tuple[list[Path], WriteRequest]) -> Written:
    files, request = batch
    return predictor.output.write_files(files, request)
