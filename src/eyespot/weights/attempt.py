"""Published weights without being asked for: from the cache, or fetched if that is a matter of seconds."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from eyespot.plurals import count
from eyespot.weights.progress import Progress, Unavailable

ANSWER = 2.0
"""Seconds within which the first bytes have to come: with the first second of them, three are lost at the most."""
MOST = 10.0
"""Seconds that a fetch may take from beginning to end."""
STEP = 0.05


def in_time(fetch: Callable[[Progress], Path], size: float, most: float = MOST) -> Path:
    """The path that `fetch` returns, if that takes no longer than a few seconds.

    The work is done in a thread of its own that the end of the program does not wait for, since looking up a server's
    name can hang for longer than any timeout of a connection.

    fetch   fetches one file and keeps the progress
    size    bytes of the file, until the server says it
    most    seconds in all

    Raises Unavailable where the time is not enough, and whatever `fetch` raises.
    """
    progress = Progress(most, size)
    fetched: list[Path] = []
    failed: list[BaseException] = []
    ended = threading.Event()

    def work() -> None:
        try:
            fetched.append(fetch(progress))
        except BaseException as error:
            failed.append(error)
        finally:
            ended.set()

    start = time.monotonic()
    threading.Thread(target=work, daemon=True).start()
    while not ended.wait(STEP):
        reason = _delay(progress, time.monotonic() - start, most)
        if reason:
            progress.stop()
            raise Unavailable(reason, reason)
    if failed:
        raise failed[0]
    return fetched[0]


def _delay(progress: Progress, spent: float, most: float) -> str:
    """Why it is not worth waiting on, or nothing."""
    if progress.first is None or not progress.received:
        return f"no answer within {ANSWER:g} seconds" if spent > ANSWER else ""
    left = progress.seconds_left()
    if left is not None and spent + left > most:
        return f"it would take about {count(round(spent + left), 'second')}"
    return f"it did not come within {most:g} seconds" if spent > most else ""
