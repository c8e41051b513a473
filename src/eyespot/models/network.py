"""What every network here shares: it knows what it was built for, and refuses at its door what it cannot take."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyespot.errors import UserError
from eyespot.kit import Kit
from eyespot.plurals import count
from eyespot.weights.adapt import LoadedWeights


class Network(nn.Module):
    """Base of the networks: (B, channels, *S) -> (B, classes) or (B, classes, *S) logits.

    `halvings` has the window size of each halving in turn: an odd one leaves ceil(S / 2), an even one floor(S / 2).
    `last` is the largest window on the coarsest grid. `started_from` lists what became of the weights that `create`
    was given.
    """

    started_from: LoadedWeights | None = None
    of_positions = False
    """Whether it predicts every position, and not for the whole image"""

    def __init__(self, channels: int, classes: int, kit: Kit, halvings: Sequence[int], last: int = 3):
        super().__init__()
        for what, number in (("channels", channels), ("classes", classes)):
            if not isinstance(number, int) or number < 1:
                raise UserError(f"{what} is {number!r}; a network needs a whole number from 1")
        self.channels = channels
        self.classes = classes
        self.kit = kit
        self.total_stride = 2 ** len(halvings)
        self.smallest = smallest(kit, halvings, last)  # the shortest axis that every layer can take
        self.max_collapsing_size = (
            max_collapsing_size(halvings) if last > 1 else 0
        )  # the longest axis that ends as a single sample

    def check(self, x: Tensor) -> None:
        """Raise one sentence for an image that this network cannot take; say nothing while it is traced."""
        if torch.compiler.is_compiling() or torch.compiler.is_exporting():
            return
        name = type(self).__name__
        shape = tuple(x.shape)
        size = shape[2:]
        if x.dim() != self.kit.dim + 2:
            axes = ", ".join(("L", "HW", "DHW")[self.kit.dim - 1])
            raise UserError(f"this {name} takes a batch of shape (B, {self.channels}, {axes}), not {shape}")
        if x.shape[1] != self.channels:
            raise UserError(
                f"this {name} was built for {count(self.channels, 'channel')}; {shape} has {x.shape[1]}"
            )
        if min(size) < self.smallest:
            raise UserError(
                f"this {name} (total stride {self.total_stride}, padding {self.kit.padding!r}, blur "
                f"{self.kit.blur}) needs at least {count(self.smallest, 'sample')} along each axis; {shape} has {min(size)}"
            )
        alone = self.kit.norm == "instance" or (self.kit.norm == "batch" and self.training and len(x) == 1)
        if alone and max(size) <= self.max_collapsing_size:
            raise UserError(
                f"this {name} reduces {shape} to one value per channel, of which {self.kit.norm} norm has no "
                f"variance: give an axis more than {count(self.max_collapsing_size, 'sample')}, a larger batch, or another norm"
            )


def smallest(kit: Kit, halvings: Sequence[int], last: int) -> int:
    """The shortest axis that leaves each layer as much as its window and the kit's padding need."""
    n = kit.least(last)
    for size in reversed(halvings):
        odd = size % 2
        n = max(2 * n - odd, kit.least(3), kit.least(size) if odd else 2, kit.least(kit.blur))
    return n


def max_collapsing_size(halvings: Sequence[int]) -> int:
    """The longest axis that the halvings reduce to a single sample."""
    n = 1
    for size in reversed(halvings):
        n = 2 * n + 1 - size % 2
    return n


def fill_up(x: Tensor, multiple: int, kit: Kit) -> Tensor:
    """Continue the far edges to a multiple: (B, C, *S) -> (B, C, *(ceil(S / multiple) * multiple)).

    Done once at the door, since padding to skips inside would make torch.export assume one parity; a free size in
    an exported graph has to be a multiple, which needs nothing.
    """
    missing = [-n % multiple for n in x.shape[2:]]
    if not any(missing):
        return x
    mode = "constant" if kit.padding == "zeros" else kit.padding
    return F.pad(x, [n for m in reversed(missing) for n in (0, m)], mode)


def run_whole(network: nn.Module, x: Tensor) -> Tensor:
    """The logits of images of any size: what is too short for the network is filled up, and cut back after."""
    short = [max(0, int(network.smallest) - n) for n in x.shape[2:]]  # type: ignore[arg-type]
    if not any(short):
        return network(x)
    return cut_back(network(F.pad(x, [n for m in reversed(short) for n in (0, m)])), x.shape[2:])


def cut_back(x: Tensor, size: Sequence[int]) -> Tensor:
    """Undo `fill_up`: (B, C, *S) -> (B, C, *min(S, size)), the near corner"""
    for axis, n in enumerate(size, start=2):
        x = x.narrow(axis, 0, min(n, x.shape[axis]))
    return x


def centre(x: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, *S) -> (B, C, *size)"""
    for axis, n in enumerate(size, start=2):
        x = x.narrow(axis, (x.shape[axis] - n) // 2, n)
    return x
