"""A torch module that a user registered, with what the package reads off a network of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from eyespot.errors import UserError
from eyespot.kit import Kit
from eyespot.models.network import Network


class ForeignNetwork(Network):
    """Calls the module, checks shapes before and after, and keeps the module's names in its state dict.

    The module's attributes of_positions, total_stride, smallest and max_collapsing_size are taken over if it has them.
    Else: logits for the whole image, a stride of 1, any size.
    """

    def __init__(self, name: str, module: Any, classes: int, channels: int, dim: int):
        if not isinstance(module, nn.Module):
            raise UserError(
                f"the constructor of {name!r} returned a {type(module).__name__}, not a torch.nn.Module"
            )
        super().__init__(channels, classes, Kit(dim=dim), halvings=[])
        self.module = module
        self.of_positions = bool(getattr(module, "of_positions", False))
        self.total_stride = int(getattr(module, "total_stride", 1))
        self.smallest = int(getattr(module, "smallest", 1))
        self.max_collapsing_size = int(getattr(module, "max_collapsing_size", 0))

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        logits = self.module(x)
        if not torch.compiler.is_compiling() and not torch.compiler.is_exporting():
            self.check_output(x, logits)
        return logits

    def check_output(self, x: Tensor, logits: Any) -> None:
        """Raise UserError for an output that is not logits of the classes."""
        expected = (len(x), self.classes, *(x.shape[2:] if self.of_positions else ()))
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if shape != expected:
            kind = "masks" if self.of_positions else "classes"
            raise UserError(
                f"{type(self.module).__name__} gives {shape} for a batch of {tuple(x.shape)}; logits of {kind} are "
                f"{expected} (its attribute of_positions says whether it is for masks)"
            )

    # Names are the module's own, without a first "module.".
    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        yield prefix, self
        yield from self.module.named_modules(memo, prefix, remove_duplicate)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return self.module.state_dict(*args, **kwargs)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        return self.module.load_state_dict(state_dict, strict, assign)
