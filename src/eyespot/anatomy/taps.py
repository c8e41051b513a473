"""Activations at named modules: recorded, replaced, and ReLUs exchanged, for as long as a `with` block lasts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from eyespot.errors import UserError, nearest

Replacement = Callable[[Tensor], Tensor]


class Activations(Mapping[str, Tensor]):
    """What tapped modules made: `record[name]` is a module's last output, `record.calls[name]` all of them in order."""

    def __init__(self, names: Iterable[str]):
        self.calls: dict[str, list[Tensor]] = {name: [] for name in names}

    def __getitem__(self, name: str) -> Tensor:
        outputs = self.calls[name]
        if not outputs:
            raise UserError(f"module {name!r} was not called: run the network inside the block")
        return outputs[-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.calls)

    def __len__(self) -> int:
        return len(self.calls)

    def gradient(self, name: str) -> Tensor:
        """The gradient with respect to `record[name]`. Raises UserError if there was no backward pass to it."""
        output = self[name]
        gradient = output.grad if output.is_leaf or output.retains_grad else None
        if gradient is None:
            raise UserError(f"module {name!r} has no gradient: tap with gradients=True and call backward()")
        return gradient


@contextmanager
def taps(
    network: nn.Module,
    names: Iterable[str] = (),
    *,
    gradients: bool = False,
    replace: Mapping[str, Replacement] | None = None,
) -> Iterator[Activations]:
    """Record the outputs of modules while the network runs inside the block.

    names      modules as `network.named_modules()` names them
    gradients  keep the gradients of the outputs as well, for `record.gradient(name)` after a backward pass
    replace    functions by module name: what one returns takes the place of the module's output, and is recorded

    Fused code computes a tapped module on its own. Code that changes its input in place gets a copy, so that the
    record keeps what the module made. Hooks are removed at the end of the block, also after an error. Raises
    UserError for a name that the network does not have.
    """
    functions = dict(replace or {})
    record = Activations(dict.fromkeys([*names, *functions]))
    modules = {name: module_at(network, name) for name in record}
    hooks = []
    try:
        for name, module in modules.items():
            hook = _hook(record.calls[name], functions.get(name), gradients)
            hooks.append(module.register_forward_hook(hook))
        yield record
    finally:
        for hook in hooks:
            hook.remove()


def module_at(network: nn.Module, name: str) -> nn.Module:
    modules = dict(network.named_modules(remove_duplicate=False))
    if name not in modules:
        kind = type(network).__name__
        raise UserError(f"this {kind} has no module {name!r}; {nearest(name, [n for n in modules if n])}")
    return modules[name]


def _hook(outputs: list[Tensor], replacement: Replacement | None, gradients: bool) -> Callable[..., Tensor]:
    def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        output = output if replacement is None else replacement(output)
        if gradients and torch.is_grad_enabled():
            output = output if output.requires_grad else output.detach().requires_grad_()
            output.retain_grad()
        outputs.append(output)
        return output.clone()  # an in-place layer behind this one must not change the record

    return hook


@contextmanager
def replace_relu(network: nn.Module, make: Callable[[nn.ReLU], nn.Module]) -> Iterator[None]:
    """Exchange every nn.ReLU of the network for what `make` returns for it, inside the block."""
    originals: list[tuple[nn.Module, str, nn.ReLU]] = []
    made: dict[nn.Module, nn.Module] = {}
    try:
        for parent in list(network.modules()):
            for name, child in list(parent.named_children()):
                if type(child) is nn.ReLU:
                    made[child] = made.get(child) or make(child)
                    originals.append((parent, name, child))
                    setattr(parent, name, made[child])
        yield
    finally:
        for parent, name, relu in originals:
            setattr(parent, name, relu)
