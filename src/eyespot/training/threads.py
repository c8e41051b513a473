"""How many processor threads a step uses: another busy program can make all cores much slower than all but one."""

import torch

from eyespot.files import cores

LEAST_WAIT, CARE = 10.0, 30.0
"""Seconds between trials: at least so many, and so many times what the last one took."""


def options(device: str) -> list[int]:
    """Numbers of threads worth timing: all cores, one left free, half of them."""
    n = cores() if device == "cpu" else torch.get_num_threads()
    return sorted({n, max(1, n - 1), max(1, n // 2)}, reverse=True) if device == "cpu" else [n]


class Threads:
    """Tries another number of threads for a step now and then, and keeps it if it is faster.

    `trial_seconds` is what a step with another number is expected to take, by what was timed before.
    """

    def __init__(self, numbers: list[int], elapsed: float, trial_seconds: float = 0.0):
        self.numbers, self.now, self.trial = numbers, torch.get_num_threads(), 0
        self.cost, self.next = 0.0, elapsed + max(LEAST_WAIT, CARE * trial_seconds)

    def after(self, seconds: float, pixels: float, elapsed: float) -> None:
        """Take in how long a step over so many pixels took."""
        cost = seconds / pixels
        if self.trial:
            if cost < 0.9 * self.cost:
                self.now, self.cost = self.trial, cost
            torch.set_num_threads(self.now)
            self.trial, self.next = 0, elapsed + max(LEAST_WAIT, CARE * seconds)
        else:
            self.cost = 0.7 * self.cost + 0.3 * cost if self.cost else cost
            if elapsed >= self.next and len(self.numbers) > 1:
                self.trial = self.numbers[(self.numbers.index(self.now) + 1) % len(self.numbers)]
                torch.set_num_threads(self.trial)
