"""A network's weights and mode while it is measured: copies without values, and modes that are set back."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Train or eval for a while, each module set back to what it was."""
    before = [(m, m.training) for m in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was


def bare(tensor: Tensor, device: str | torch.device) -> Tensor:
    """The same tensor without values, or a copy of it that the run may change."""
    if device == "meta":
        empty = torch.empty_like(tensor, device="meta")
        return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
    return tensor if isinstance(tensor, nn.Parameter) else tensor.clone()


def state(model: nn.Module, device: str | torch.device) -> dict[str, Tensor]:
    """Every parameter and buffer, for `functional_call`; a tensor under two names stays one.

    The names are attributes, through which `functional_call` reaches a tensor. A wrapper may leave its own out of
    `named_parameters`, as ours around a user's network does.
    """
    kept = list(attributes(model))
    made = {id(t): bare(t, device) for _, t in kept}
    return {name: made[id(t)] for name, t in kept}


def attributes(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every parameter and buffer by the attributes that lead to it, also a second time."""
    for name, tensor in (*module._parameters.items(), *module._buffers.items()):
        if tensor is not None:
            yield prefix + name, tensor
    for name, child in module._modules.items():
        if child is not None:
            yield from attributes(child, f"{prefix}{name}.")


def named_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules by name: of a wrapper and the module that it gives its own name, the module within."""
    return dict(model.named_modules())
