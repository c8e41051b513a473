"""A training step on a GPU, recorded once for each shape and played again (CUDA graphs), which costs one launch.

A small network's step is hundreds of kernels, each shorter than the time that Python takes to ask for it.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from eyespot.training.devices import wait

Work = Callable[[Tensor, Any], Tensor]
"""(images, targets: a tensor, or a tuple of tensors and None) -> the loss"""
WARM_UP = 3
"""Calls of each shape as they are, in which libraries choose and set up what cannot be recorded."""
AHEAD = 2
"""Steps that may wait for the GPU: more would make the clock wrong, and the end late."""


class Recording:
    """Work on tensors of these shapes, recorded. Recording it does not do it."""

    def __init__(self, work: Work, x: Tensor, y: Any, pool: Any):
        self.inputs = [t.clone() if t is not None else None for t in (x, *_several(y))]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool, capture_error_mode="thread_local"):
            self.loss = work(self.inputs[0], _like(y, self.inputs[1:]))  # type: ignore[arg-type]

    def __call__(self, x: Tensor, y: Any) -> Tensor:
        for mine, new in zip(self.inputs, (x, *_several(y)), strict=True):
            if mine is not None and new is not None:
                mine.copy_(new)
        self.graph.replay()
        return self.loss.clone()


class Recorded:
    """Work that is recorded for each shape of its tensors, and again when other parameters are to be trained.

    What cannot be recorded is done as it is.
    """

    def __init__(self, work: Work, parameters: Iterable[Tensor]):
        self.work, self.parameters = work, list(parameters)
        self.calls: Counter[Any] = Counter()
        self.recordings: dict[Any, Recording] = {}
        self.pool, self.possible = torch.cuda.graph_pool_handle(), True
        self.waiting: deque[torch.cuda.Event] = deque()

    def __call__(self, x: Tensor, y: Any) -> Tensor:
        trained = sum(p.requires_grad for p in self.parameters)
        kind = (trained, *(None if t is None else (t.shape, t.stride()) for t in (x, *_several(y))))
        if self.possible and kind not in self.recordings and self.calls[kind] == WARM_UP:
            self._record(kind, x, y)
        self.calls[kind] += 1
        loss = self.recordings.get(kind, self.work)(x, y)
        self._wait()
        return loss

    def _record(self, kind: Any, x: Tensor, y: Any) -> None:
        for p in self.parameters:
            p.grad = None  # the recording makes its own
        try:
            self.recordings[kind] = Recording(self.work, x, y, self.pool)
        except RuntimeError:  # it waits for the GPU somewhere, or there is no memory for it
            self.possible = False
            for p in self.parameters:
                p.grad = None

    def _wait(self) -> None:
        """Until no more than a few steps are waiting."""
        event = torch.cuda.Event()
        event.record()
        self.waiting.append(event)
        if len(self.waiting) > AHEAD:
            self.waiting.popleft().synchronize()


def recorded(work: Work, parameters: Iterable[Tensor], device: str) -> Work:
    """The work, recorded on a GPU of NVIDIA's; as it is elsewhere, but on Apple's waited for, so that clocks are right."""
    if device.startswith("mps"):
        return lambda x, y: (work(x, y), wait(device))[0]
    return Recorded(work, parameters) if device.startswith("cuda") else work


def _several(y: Any) -> tuple[Tensor | None, ...]:
    return (y,) if isinstance(y, Tensor) else tuple(y)


def _like(y: Any, parts: list[Tensor | None]) -> Any:
    return parts[0] if isinstance(y, Tensor) else type(y)(*parts)
