"""What a person sees while something runs: progress with an estimate of what remains, always on standard error."""

import sys
import time
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds before progress is worth showing."""


@cache
def stderr() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def say(text: str = "") -> None:
    """A line for the person at the terminal, never for the program that reads standard output."""
    stderr().print(text, markup=False)


def track(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Pass the items on, and show how many of the total are done and how long the rest will take."""
    if stderr().is_terminal:
        yield from _bar(items, total, what)
    else:
        yield from _lines(items, total, what)


def _bar(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as progress:
        yield from progress.track(items, total, description=what)


def _lines(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """A line every ten seconds, for a log."""
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last > (PATIENCE if last == start else 10):
            say(f"{what}: {done:,} of {total:,}, {clock((now - start) / done * (total - done))} remain")
            last = now


def clock(seconds: float) -> str:
    """Seconds as minutes:seconds, or hours:minutes:seconds."""
    minutes, s = divmod(round(max(seconds, 0)), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def count(n: int, thing: str, things: str | None = None) -> str:
    """1 image, 2 images, 3 classes."""
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"
