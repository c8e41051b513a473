"""A training step on a GPU, recorded once for each shape and replayed (CUDA graphs), which costs one launch.

A small network's step is hundreds of kernels, each shorter than the time that Python takes to ask for it.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from eyespot.fast.switch import enabled

Work = Callable[[Tensor, Any], Tensor]
"""(images, targets: a tensor, or a tuple of tensors and None) -> the loss"""
WARM_UP = 3
"""Calls of each shape as they are, in which libraries choose and set up what cannot be recorded."""
AHEAD = 2
"""Steps that may wait for the GPU: more would make the clock wrong, and the end late."""


class Recording:
    """Work on tensors of these shapes, recorded. Recording it does not do it."""

    def __init__(self, work: Work, x: Tensor, y: Any, pool: Any):
        self.inputs = [t.clone() if t is not None else None for t in (x, *as_tuple(y))]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool, capture_error_mode="thread_local"):
            self.loss = work(self.inputs[0], shaped_like(y, self.inputs[1:]))  # type: ignore[arg-type]

    def __call__(self, x: Tensor, y: Any) -> Tensor:
        for recorded_input, new in zip(self.inputs, (x, *as_tuple(y)), strict=True):
            if recorded_input is not None and new is not None:
                recorded_input.copy_(new)
        self.graph.replay()
        return self.loss.clone()


class Recorded:
    """Work that is recorded for each shape of its tensors, and again when other parameters are to be trained.

    What cannot be recorded is done as it is.
    """

    def __init__(self, work: Work, parameters: Iterable[Tensor]):
        self.work = work
        self.parameters = list(parameters)
        self.calls: Counter[Any] = Counter()
        self.recordings: dict[Any, Recording] = {}
        self.pool = torch.cuda.graph_pool_handle()
        self.possible = True
        self.waiting: deque[torch.cuda.Event] = deque()

    def __call__(self, x: Tensor, y: Any) -> Tensor:
        trainable = sum(p.requires_grad for p in self.parameters)
        kind = (trainable, *(None if t is None else (t.shape, t.stride()) for t in (x, *as_tuple(y))))
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


def with_cuda_graph(work: Work, parameters: Iterable[Tensor], device: str) -> Work:
    """The work, recorded on a GPU of NVIDIA's; elsewhere as it is, waiting for a GPU, so that clocks are right."""
    if device.startswith("cuda") and enabled():
        return Recorded(work, parameters)
    backend = torch.cuda if device.startswith("cuda") else torch.mps if device.startswith("mps") else None
    return work if backend is None else partial(synchronised, work, backend)


def synchronised(work: Work, backend: Any, x: Tensor, y: Any) -> Tensor:
    """work(x, y), when the GPU has finished it."""
    loss = work(x, y)
    backend.synchronize()
    return loss


def as_tuple(y: Any) -> tuple[Tensor | None, ...]:
    return (y,) if isinstance(y, Tensor) else tuple(y)


def shaped_like(y: Any, tensors: list[Tensor | None]) -> Any:
    return tensors[0] if isinstance(y, Tensor) else type(y)(*tensors)
