"""The layers of a network that still have places in the image: their grids, and what each unit sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from eyespot.anatomy.axes import Seen
from eyespot.anatomy.description import largest
from eyespot.anatomy.follow import Follower
from eyespot.anatomy.state import mode, state
from eyespot.errors import UserError

GRID = 7
"""Places along each axis that a layer needs to be chosen for Grad-CAM, as in the paper's networks at 224 pixels."""


ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.Mish,
    nn.PReLU,
    nn.Sigmoid,
)
POOLS = (nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd, nn.modules.pooling._AdaptiveAvgPoolNd)


@dataclass(frozen=True)
class Place:
    """A layer whose output has places.

    grid   units along each axis
    seen   what each unit sees of the image; empty where that could not be followed
    active whether these are the outputs of an activation, or of a block, and not of a convolution or norm alone
    """

    name: str
    kind: str
    channels: int
    grid: tuple[int, ...]
    seen: Seen = ()
    active: bool = True

    @property
    def field(self) -> int | str | None:
        """Samples along an axis that a unit sees at most; "all", or None where that is not known."""
        return largest(self.seen)

    @property
    def step(self) -> float | None:
        """Samples of the image from one unit to the next; None where that is not known."""
        steps = [float(a.fields.stride) for a in self.seen if a.fields is not None]
        return max(steps) if len(steps) == len(self.grid) else None

    def centres(self) -> list[NDArray[np.float64]] | None:
        """Along each axis, the middle of what each unit sees; None where that is not known."""
        if not self.seen or any(a.fields is None for a in self.seen):
            return None
        ends = [
            [a.fields.at(i) for i in range(n)] for a, n in zip(self.seen, self.grid, strict=True) if a.fields
        ]
        middles = [np.array([(low + high) / 2 for low, high in axis]) for axis in ends]
        rising = all(np.isfinite(m).all() and (np.diff(m) > 0).all() for m in middles)
        return middles if rising else None

    def window(self, unit: tuple[int, ...]) -> tuple[tuple[int, int], ...] | None:
        """Along each axis, the first sample that a unit sees and the one after the last, also outside of the image."""
        if not self.seen or any(a.fields is None for a in self.seen):
            return None
        ends = [a.fields.at(i) for a, i in zip(self.seen, unit, strict=True) if a.fields]
        return tuple((int(low), int(high) + 1) for low, high in ends)


def places(network: nn.Module, shape: tuple[int, ...], fewest: int = 2) -> list[Place]:
    """The layers with places for an image (channels, *S), in the order in which they end; of several with one output the outermost.

    fewest   places along the longest axis of a layer's grid
    """
    try:
        return _run(network, shape, torch.device("meta"), fewest)
    except UserError:
        raise
    except Exception:  # a layer that needs values
        device = next((p.device for p in network.parameters()), torch.device("cpu"))
        return _run(network, shape, device, fewest)


def _run(network: nn.Module, shape: tuple[int, ...], device: torch.device, fewest: int) -> list[Place]:
    image = torch.zeros(1, *shape, device=device)
    follower = Follower(image)
    with torch.no_grad(), mode(network, False), _ended(network, follower, len(shape)) as ended, follower:
        functional_call(network, state(network, device), (image,))
    last: dict[int, Place] = {}
    for key, place in ended:  # the outermost of those that return the same tensor ends last
        last.pop(key, None)
        last[key] = place
    return [place for place in last.values() if max(place.grid) >= fewest]


@contextmanager
def _ended(network: nn.Module, follower: Follower, rank: int) -> Iterator[list[tuple[int, Place]]]:
    made: list[tuple[int, Place]] = []
    outputs: list[Tensor] = []  # kept, so that no identity is used again
    names = {module: name for name, module in network.named_modules()}

    def ends(module: nn.Module, args: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or output.dim() != rank + 1 or not names[module]:
            return
        outputs.append(output)
        seen = follower.seen.get(output) or ()
        aligned = [a.dim for a in seen] == list(range(2, output.dim()))
        place = Place(
            names[module],
            type(module).__name__,
            output.shape[1],
            tuple(output.shape[2:]),
            seen if aligned else (),
            is_active(module),
        )
        if aligned or not seen:
            made.append((id(output), place))

    hooks = [module.register_forward_hook(ends) for module in network.modules()]
    try:
        yield made
    finally:
        for hook in hooks:
            hook.remove()


def is_active(module: nn.Module) -> bool:
    """Whether a module is an activation or a block of layers: what a single convolution, norm or pooling makes may still be
    moved by the norm behind it, so that its sign means nothing."""
    while isinstance(module, nn.Sequential) and len(module):
        layers = [m for m in module if not isinstance(m, (nn.Dropout, nn.Identity, *POOLS))]
        if not layers:
            return False
        module = layers[-1]
    return isinstance(module, ACTIVATIONS) or any(True for _ in module.children())


def choose_layer(of_network: list[Place], of_positions: bool) -> Place:
    """The layer for Grad-CAM, of those after an activation: of a network for classes the last with a grid of 7 or more
    places along each axis, or else the last of the finest below; of one for masks the last on the coarsest grid."""
    of_network = [place for place in of_network if place.active] or of_network
    if not of_network:
        raise UserError("no layer of this network has places in the image: use gradient or occlusion")
    if of_positions:
        coarsest = min(min(place.grid) for place in of_network)
        return [place for place in of_network if min(place.grid) == coarsest][-1]
    wanted = min(GRID, max(min(place.grid) for place in of_network))
    return [place for place in of_network if min(place.grid) >= wanted][-1]


def named_layer(network: nn.Module, of_network: list[Place], name: str) -> Place:
    """The layer of a name. Raises UserError for one that does not exist, or whose output has no places."""
    modules = [n for n, _ in network.named_modules() if n]
    if name not in modules:
        raise UserError(
            f"this network has no layer {name!r}; the nearest names are {nearest_names(name, modules)}"
        )
    for place in of_network:
        if place.name == name:
            return place
    same = [p for p in of_network if p.name.startswith(f"{name}.") or name.startswith(f"{p.name}.")]
    if same and any(name.startswith(f"{p.name}.") for p in same):
        outer = next(p for p in same if name.startswith(f"{p.name}."))
        if outer_is_output(network, outer.name, name):
            return outer
    usable = nearest_names(name, [place.name for place in of_network])
    raise UserError(
        f"the output of layer {name!r} has no places in the image, so it has no map; layers that have some are {usable}"
    )


def nearest_names(name: str, known: list[str]) -> str:
    """Three names like a mistyped one."""
    return ", ".join(get_close_matches(name, known, n=3, cutoff=0.0)) or "none"


def outer_is_output(network: nn.Module, outer: str, inner: str) -> bool:
    """Whether a module is the last of a sequence, so that both have the same output."""
    module = network.get_submodule(outer)
    while isinstance(module, nn.Sequential) and len(module):
        last = list(module.named_children())[-1]
        outer = f"{outer}.{last[0]}"
        if outer == inner:
            return True
        module = last[1]
    return False
