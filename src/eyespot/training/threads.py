"""Choose the number of threads during training: if other programs run, fewer threads than cores can be much faster."""

import time

import torch
from torch import Tensor, nn

from eyespot.parallel import cores

LEAST_WAIT = 10.0
"""Seconds between two timings, at the least."""
CARE = 30.0
"""The time between two timings is at least this many times as long as a timing."""
GAIN = 1.1
"""Another number of threads is chosen only if it is this many times as fast."""


def options(device: str) -> list[int]:
    """Numbers of threads to time: all cores, all but one, and half of them. On a GPU only the present number."""
    if device != "cpu":
        return [torch.get_num_threads()]
    n = cores()
    return sorted({n, max(1, n - 1), max(1, n // 2)}, reverse=True)


class Threads:
    """Time forward passes from time to time, and use the fastest number of threads."""

    def __init__(self, numbers: list[int], elapsed: float):
        self.numbers = numbers
        self.next = elapsed + LEAST_WAIT

    def adjust(self, network: nn.Module, batch: Tensor, elapsed: float) -> None:
        """Use the number of threads that is fastest for forward passes on a sixteenth of the batch."""
        if len(self.numbers) < 2 or elapsed < self.next:
            return
        began = time.perf_counter()
        now = torch.get_num_threads()
        images = batch[: max(1, len(batch) // 16)]
        network.eval()  # leaves the running averages of batch norm alone
        with torch.no_grad():
            seconds = {n: self._time(network, images, n) for n in self.numbers}
        network.train()
        best = min(seconds, key=lambda n: seconds[n])
        torch.set_num_threads(best if seconds[best] * GAIN < seconds.get(now, float("inf")) else now)
        self.next = elapsed + max(LEAST_WAIT, CARE * (time.perf_counter() - began))

    def _time(self, network: nn.Module, images: Tensor, number: int) -> float:
        """Seconds for a forward pass with so many threads: the faster of two, after one to warm up."""
        torch.set_num_threads(number)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            network(images)
            seconds.append(time.perf_counter() - start)
        return min(seconds[1:])
