"""Activation checkpointing: what a layer computes on the way is not kept for the backward pass, but computed again there.

It saves memory and costs a second forward pass. Every number stays that of the layer itself: the running statistics of
batch norm move once, and dropout drops the same values both times.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm  # of any rank
from torch.nn.modules.dropout import _DropoutNd as Dropout
from torch.utils.checkpoint import checkpoint

from eyespot.fast import heard, same_gradients


def checkpointed(layer: nn.Module, *maps: Tensor) -> Tensor:
    """layer(torch.cat(maps, 1)), of which only the maps are kept for the backward pass.

    Outside training, while the network is traced, and where a hook listens to the layer, nothing is computed twice.
    """

    def forward(*maps: Tensor) -> Tensor:
        return layer(torch.cat(maps, 1))

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), recomputation(layer, same_gradients())

    if not can_checkpoint(layer):
        return forward(*maps)
    drops = any(isinstance(module, Dropout) and module.p > 0 for module in layer.modules())
    return checkpoint(forward, *maps, use_reentrant=False, preserve_rng_state=drops, context_fn=contexts)


def can_checkpoint(layer: nn.Module) -> bool:
    """Whether the layer trains, in a plain forward pass that nobody observes from inside."""
    traced = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    if traced or torch._C._are_functorch_transforms_active() or not torch.is_grad_enabled():
        return False
    return layer.training and not any(heard(module) for module in layer.modules())


@contextmanager
def recomputation(layer: nn.Module, gradients: AbstractContextManager) -> Iterator[None]:
    """The second forward pass: by the kernels of the first, and without a trace in the running statistics."""
    with ExitStack() as stack:
        stack.enter_context(gradients)
        for module in layer.modules():
            if isinstance(module, BatchNorm) and module.training and module.track_running_stats:
                stack.enter_context(statistics_kept(module))
        yield


@contextmanager
def statistics_kept(norm: BatchNorm) -> Iterator[None]:
    """Let a batch norm compute as in training, but leave its running statistics and its count of batches alone."""
    momentum = norm.momentum
    count = norm.num_batches_tracked
    norm.momentum = 0.0
    norm.num_batches_tracked = None
    try:
        yield
    finally:
        norm.momentum = momentum
        norm.num_batches_tracked = count
