"""How many processor threads a step uses: another busy program can make all cores much slower than all but one."""

import time

import torch
from torch import Tensor, nn

from eyespot.parallel import cores

LEAST_WAIT = 10.0
"""Seconds between two timings, at the least."""
CARE = 30.0
"""The time between two timings is at least this many times as long as a timing."""
GAIN = 1.1
"""How much faster another number of threads has to be."""


def options(device: str) -> list[int]:
    """Numbers of threads worth timing: all cores, one left free, half of them; what is set, on a GPU."""
    n = cores()
    return (
        sorted({n, max(1, n - 1), max(1, n // 2)}, reverse=True)
        if device == "cpu"
        else [torch.get_num_threads()]
    )


class Threads:
    """Times a small piece of the work now and then, and changes the number of threads where that pays."""

    def __init__(self, numbers: list[int], elapsed: float):
        self.numbers = numbers
        self.next = elapsed + LEAST_WAIT

    def adjust(self, network: nn.Module, batch: Tensor, elapsed: float) -> None:
        """Use the fastest number for the network's forward pass on a few images of the batch."""
        if len(self.numbers) < 2 or elapsed < self.next:
            return
        began = time.perf_counter()
        now = torch.get_num_threads()
        few = batch[: max(1, len(batch) // 16)]
        network.eval()  # leaves the running averages of batch norm alone
        with torch.no_grad():
            seconds = {n: self._time(network, few, n) for n in self.numbers}
        network.train()
        best = min(seconds, key=lambda n: seconds[n])
        torch.set_num_threads(best if seconds[best] * GAIN < seconds.get(now, float("inf")) else now)
        self.next = elapsed + max(LEAST_WAIT, CARE * (time.perf_counter() - began))

    def _time(self, network: nn.Module, few: Tensor, number: int) -> float:
        """Seconds, the better of two after one to warm up."""
        torch.set_num_threads(number)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            network(few)
            seconds.append(time.perf_counter() - start)
        return min(seconds[1:])
