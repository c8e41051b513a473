"""Ctrl-C and SIGTERM while a network trains: the step is finished, then training stops."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from eyespot.exits import TERMINATED


class StopSignal:
    """Inside, a first Ctrl-C or SIGTERM only sets `received`; a second Ctrl-C interrupts at once.

    Python lets only the main thread hear signals; elsewhere nothing changes.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received is not None:
            raise KeyboardInterrupt
        self.received = number

    def exit_if_terminated(self, message: Callable[[str], None]) -> None:
        """Leave the program where the signal was SIGTERM: who sent it waits for seconds only."""
        if self.received == signal.SIGTERM:
            message("stopped by SIGTERM; the checkpoint is saved")
            raise SystemExit(TERMINATED)
