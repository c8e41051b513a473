"""Files written whole or not at all, folders of ours, threads that keep the order."""

import errno
import os
import re
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from eyespot.errors import UserError

T = TypeVar("T")
R = TypeVar("R")


def write_whole(path: Path, content: bytes | str) -> None:
    """Write to a temporary name beside the file, then rename: a reader never sees half a file."""
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(cannot_write(path, error)) from error


def apart(out: Path, inputs: Iterable[Path]) -> None:
    """Raises UserError where what is read would be written over."""
    if out.exists() and any(path.exists() and out.samefile(path) for path in inputs):
        raise UserError(f"{out} is one of the inputs: name another file")


def cannot_write(path: Path, error: OSError) -> str:
    """The sentence for a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"cannot write {path}: the disk is full; free some space, or name another place"
    return f"cannot write {path}: {error.strerror or error}; name a place where you may write"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_folder() -> Path:
    """Where decoded images and built-in sets are kept: $EYESPOT_CACHE, or the system's place for caches."""
    import platformdirs

    return Path(os.environ.get("EYESPOT_CACHE") or platformdirs.user_cache_dir("eyespot"))


def setting(name: str, usual: float) -> float:
    """A number that the environment may set. Raises UserError where that is none above zero."""
    told = os.environ.get(name) or str(usual)
    if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", told) or not float(told):
        raise UserError(f"{name} is {told!r}: set it to a number above zero, such as {usual:g}")
    return float(told)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(work: Callable[[T], R], items: Iterable[T], alone: float = 0.0) -> Iterator[R]:
    """Map in threads, in order, holding only a few results ahead: constant memory for any number of items.

    alone   seconds per item; while the mean is less, this thread does the work, and no others are started
    """
    threads = max(2, cores())
    items = iter(items)
    if alone:
        spent = 0.0
        for done, item in enumerate(items, 1):
            start = time.perf_counter()
            result = work(item)
            spent += time.perf_counter() - start
            yield result
            if spent > alone * (done + 4):  # one that takes long by chance is forgiven
                break
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque(pool.submit(work, item) for item in islice(items, 2 * threads))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(work, item) for item in islice(items, 1))
        finally:
            for future in waiting:
                future.cancel()


def batched(items: Iterable[T], n: int) -> Iterator[list[T]]:
    """Lists of n items, the last one shorter."""
    items = iter(items)
    while batch := list(islice(items, n)):
        yield batch
