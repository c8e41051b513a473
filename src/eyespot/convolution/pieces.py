"""Large work cut into pieces that fit a core's cache, done by as many threads as there are cores."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import prod
from time import perf_counter

THREADED = 0.02  # seconds of work below which threads cost more than they save


def pieces(counts: tuple[int, ...], limit: int) -> Iterator[tuple[slice, ...]]:
    """Cut a grid of `counts` cells into boxes of at most `limit` cells, or of one."""
    inner = prod(counts[1:])
    if len(counts) == 1 or inner <= limit:
        step = max(1, limit // inner)
        rest = tuple(slice(0, n) for n in counts[1:])
        for i in range(0, counts[0], step):
            yield (slice(i, min(i + step, counts[0])), *rest)
        return
    for i in range(counts[0]):
        for rest in pieces(counts[1:], limit):
            yield (slice(i, i + 1), *rest)


def threads() -> int:
    """The cores that this process may use, or OMP_NUM_THREADS where it is set."""
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))


def each(work: Callable, parts: list) -> None:
    """Do the work on every part, in threads where the first part's time says that they will save some."""
    start = perf_counter()
    work(parts[0])
    if (perf_counter() - start) * (len(parts) - 1) < THREADED or threads() == 1:
        for part in parts[1:]:
            work(part)
        return
    with ThreadPoolExecutor(threads()) as pool:
        for _ in pool.map(work, parts[1:]):
            pass
