"""Work in threads that keeps the order of its items."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(work: Callable[[T], R], items: Iterable[T], alone: float = 0.0, ahead: int = 0) -> Iterator[R]:
    """Map in threads, in order, holding only a few results ahead: constant memory for any number of items.

    ahead   at least so many results are computed while the caller works on one, such as a batch
    alone   seconds per item; while the mean is below it, this thread does the work and no others are started
    """
    items = iter(items)
    if alone:
        yield from _while_fast(work, items, alone)
    threads = max(2, cores())
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque(
            pool.submit(work, item) for item in islice(items, max(ahead, 2 * threads))
        )
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(work, item) for item in islice(items, 1))
        finally:
            for future in waiting:
                future.cancel()


def _while_fast(work: Callable[[T], R], items: Iterator[T], seconds: float) -> Iterator[R]:
    """Map in this thread until the items or the mean of so many seconds per item are exceeded."""
    spent = 0.0
    for done, item in enumerate(items, 1):
        start = time.perf_counter()
        result = work(item)
        spent += time.perf_counter() - start
        yield result
        if spent > seconds * (done + 4):  # a single slow item is forgiven
            return


def batched(items: Iterable[T], n: int) -> Iterator[list[T]]:
    """Lists of n items, the last one shorter."""
    items = iter(items)
    while batch := list(islice(items, n)):
        yield batch
