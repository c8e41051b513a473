"""How far a download has come, as seen from another thread, which may stop it."""

import threading
import time

from eyespot.errors import UserError


class Unavailable(UserError):
    """A published file cannot be had. `reason` says why in a few words."""

    def __init__(self, sentence: str, reason: str):
        super().__init__(sentence)
        self.reason = reason


class Stopped(Exception):
    """The download was stopped from outside."""


class Progress:
    """Bytes that came, since when, and how many there will be.

    patience   seconds to wait for an answer, and between bytes
    size       bytes of the whole file, roughly, until the server says it
    """

    def __init__(self, patience: float, size: float):
        self.patience = patience
        self.size = size
        self.received = 0
        self.done = 0
        self.first: float | None = None
        self._stop = threading.Event()

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """Let the download end with Stopped, as soon as it looks."""
        self._stop.set()

    def begin(self, done: int, whole: int | None) -> None:
        """The server has answered: so many bytes are there already, of so many."""
        if self.is_stopped:
            raise Stopped
        self.done = done
        self.received = 0
        self.size = self.size if whole is None else whole
        self.first = time.monotonic()

    def add(self, number: int) -> None:
        """So many bytes came."""
        if self.is_stopped:
            raise Stopped
        self.received += number

    def seconds_left(self) -> float | None:
        """How long the rest takes at the speed so far; None before it is known, in the first second."""
        if self.first is None or (spent := time.monotonic() - self.first) < 1:
            return None
        rest = self.size - self.done - self.received
        return max(rest, 0.0) / max(self.received / spent, 1e-9)
