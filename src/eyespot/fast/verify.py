"""Whether a precision computes on this machine what plain float32 does: outputs and gradients of a real batch.

A kernel may be wrong for a few shapes only, or on a few processors: the bfloat16 gradient of a 3-D convolution on maps of
2 x 2 x 2 errs by its own size or more on some of AMD's. So nothing is assumed: a precision is used after it was compared.

How much a precision may differ is measured too. The plain network runs once more with the output of every layer, and
the gradient that comes back through it, rounded as the precision rounds: what that changes is the noise that a correct
kernel has. Through many layers it is 1% to 40% in bfloat16, and 1e-6 to 1e-3 in float32. A wrong kernel's error is of
the size of the gradient itself or beyond.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from eyespot.fast.precision import HALF, arithmetic
from eyespot.fast.switch import plain

Loss = Callable[[Tensor, Any], Tensor]
"""(logits, targets) -> the loss"""
NOISE = 4.0
"""How many times the noise of its precision a tensor may differ: correct kernels reached 2.8."""
FILTERS_NOISE = 2.0
"""The same for filters, whose many values average: correct kernels reached 1.7, a wrong one 3.1 and more."""
RELATIVE = {"float32": 0.03, "winograd": 0.03, "bfloat16": 0.1, "im2col": 0.1}
"""Below this share of its own size no difference counts."""
SMALL = 1e-3
"""Gradients this much smaller than the whole are zero but for rounding, such as of a bias before a norm."""
ROUNDING = 2.0**-20
"""Of float32 after a layer's sums, a few units in the last place"""
TRIES = 2
"""Steps in a half precision: a kernel that reads where nothing was written is not wrong each time."""


class Reference:
    """Outputs and gradients of one batch in plain float32, to compare precisions with."""

    def __init__(self, network: nn.Module, loss: Loss, x: Tensor, y: Any, device: str):
        self.network = network
        self.loss = loss
        self.batch = (x, y)
        self.device = device
        with plain():
            self.exact = self._step("float32")
        self.noise: dict[bool, dict[str, float]] = {}

    def departs(self, precision: str) -> str | None:
        """What differs from plain float32 by more than rounding, in a sentence; None if nothing does."""
        if not all(tensor.isfinite().all() for tensor in self.exact.values()):
            return None  # nothing to compare with
        for _ in range(TRIES if precision in HALF else 1):
            computed = self._step(precision)
            for name, tensor in computed.items():
                reason = self._difference(precision, name, tensor)
                if reason is not None:
                    return reason
        return None

    def _difference(self, precision: str, name: str, computed: Tensor) -> str | None:
        exact = self.exact[name]
        what = "the output" if name == "" else f"the gradient of {name}"
        if not computed.isfinite().all():
            return f"{precision} gives values that are not finite: {what}"
        size = exact.norm().item()
        error = (computed.double() - exact.double()).norm().item()
        floor = size if name == "" else max(size, SMALL * self._whole())
        if error <= RELATIVE[precision] * floor:
            return None
        noise = self._noise(precision in HALF)[name]
        if error <= noise * (FILTERS_NOISE if name and exact.dim() > 2 else NOISE):
            return None
        share = error / max(size, 1e-30)
        return (
            f"with {precision} {what} departs from float32's by {share:.2g} of its size, where rounding explains "
            f"{noise / max(size, 1e-30):.2g}"
        )

    def _whole(self) -> float:
        """The size of all gradients together"""
        sizes = [tensor.norm() for name, tensor in self.exact.items() if name]
        return torch.stack(sizes).norm().item() if sizes else 0.0

    def _noise(self, half: bool) -> dict[str, float]:
        """By how much rounding changes each tensor"""
        if half not in self.noise:
            with plain(), rounding(self.network, to_bfloat16 if half else to_float32):
                rounded = self._step("float32")
            self.noise[half] = {name: (rounded[name] - self.exact[name]).norm().item() for name in rounded}
        return self.noise[half]

    def _step(self, precision: str) -> dict[str, Tensor]:
        """The output, by the name "", and the gradients by parameter. Buffers stay; dropout drops the same each time."""
        network = self.network.train()
        x, y = self.batch
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        learned = {name: p for name, p in network.named_parameters() if p.requires_grad}
        with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
            torch.manual_seed(0)
            with arithmetic(self.device, precision):
                output = network(x)
            grads = torch.autograd.grad(self.loss(output, y), list(learned.values()), allow_unused=True)
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
        named = {name: grad for name, grad in zip(learned, grads, strict=True) if grad is not None}
        return {name: tensor.detach().float() for name, tensor in {"": output, **named}.items()}


def departs(network: nn.Module, loss: Loss, x: Tensor, y: Any, precision: str, device: str) -> str | None:
    """How a precision departs from plain float32 on this batch by more than its rounding, or None if it does not.

    The network is left in training mode, its parameters and buffers as they were.
    """
    return Reference(network, loss, x, y, device).departs(precision)


@contextmanager
def rounding(network: nn.Module, rounded: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, the output of every layer is rounded."""

    def hook(layer: nn.Module, inputs: Any, output: Any) -> Any:
        return rounded(output) if isinstance(output, Tensor) and output.is_floating_point() else output

    leaves = [module for module in network.modules() if next(module.children(), None) is None]
    handles = [leaf.register_forward_hook(hook) for leaf in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def to_bfloat16(x: Tensor) -> Tensor:
    """Rounded to bfloat16, and its gradient as well"""
    return x.bfloat16().to(x.dtype)


def to_float32(x: Tensor) -> Tensor:
    """Off by the rounding of a sum in float32"""
    return x * (1 + ROUNDING * torch.randn_like(x))
