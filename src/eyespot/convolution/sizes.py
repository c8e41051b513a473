"""The sizes of a chain of layers along one axis, forward and backward (Dumoulin & Visin 2016; Araujo et al. 2019).

A layer's window spans reach + 1 samples, reach = dilation * (kernel - 1), and out of n padded samples come
floor((n - reach - 1) / stride) + 1 outputs. Pooling layers have windows too and count as layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from eyespot.errors import UserError
from eyespot.plurals import count


@dataclass(frozen=True)
class Layer:
    """One axis of a convolution or pooling layer, in samples; padding is a number for both ends, or (before, after)."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: int | tuple[int, int] = 0

    def __post_init__(self):
        for name in ("kernel", "stride", "dilation"):
            if getattr(self, name) < 1:
                raise UserError(f"a layer's {name} is {getattr(self, name)}; it must be 1 or more")

    @property
    def reach(self) -> int:
        return self.dilation * (self.kernel - 1)

    @property
    def padded(self) -> int:
        """Samples added, both ends together."""
        return 2 * self.padding if isinstance(self.padding, int) else sum(self.padding)

    @property
    def before(self) -> int:
        return self.padding if isinstance(self.padding, int) else self.padding[0]


@dataclass(frozen=True)
class Field:
    """What one output sees: `size` samples, the first output's from `start` on, each next output's `stride` further."""

    size: int
    stride: int
    start: int


Chain = Layer | Sequence[Layer]


def layers_of(chain: Chain) -> list[Layer]:
    return [chain] if isinstance(chain, Layer) else list(chain)


def output_size(size: int, chain: Chain) -> int:
    """The number of outputs that a chain makes from `size` samples; UserError where a window does not fit."""
    for layer in layers_of(chain):
        last_start = size + layer.padded - layer.reach - 1
        if last_start < 0:
            raise UserError(
                f"a window of {count(layer.reach + 1, 'sample')} is larger than {count(size + layer.padded, 'padded sample')}"
            )
        size = last_start // layer.stride + 1
    return size


def input_sizes(size: int, chain: Chain) -> range:
    """Every input size from which a chain makes `size` outputs: the inverse of output_size."""
    low = high = size
    for layer in reversed(layers_of(chain)):
        least = layer.reach + 1 - layer.padded
        low = max(1, (low - 1) * layer.stride + least)
        high = high * layer.stride - 1 + least
    return range(low, max(low, high + 1))


def padding_for(size: int, wanted: int, layer: Layer) -> tuple[int, int]:
    """The least padding (before, after) with which `size` samples give `wanted` outputs; an odd sample goes after.

    The layer's own padding is ignored. UserError where no padding gives that many outputs.
    """
    total = (wanted - 1) * layer.stride + layer.reach + 1 - size
    if wanted < 1 or total <= -layer.stride:
        most = output_size(size, Layer(layer.kernel, layer.stride, layer.dilation))
        raise UserError(f"no padding gives {wanted} outputs: {size} samples give {most} without any")
    total = max(total, 0)
    return total // 2, total - total // 2


def receptive_field(chain: Chain) -> Field:
    """What one output of the chain sees of its input, in the input's samples."""
    size = 1
    stride = 1
    start = 0
    for layer in layers_of(chain):
        size += layer.reach * stride
        start -= layer.before * stride
        stride *= layer.stride
    return Field(size, stride, start)


def kernel_for(field: int, chain: Chain, dilation: int = 1) -> int:
    """The smallest kernel of one more layer with which the chain sees at least `field` samples."""
    current = receptive_field(chain)
    return 1 + max(0, ceil((field - current.size) / (dilation * current.stride)))


def depth_for(layer: Layer, *, field: int = 1, stride: int = 1, after: Chain = ()) -> int:
    """How many copies of `layer` must follow the chain `after` to see `field` samples with a total stride of `stride`."""
    chain = layers_of(after)
    current = receptive_field(chain)
    if (layer.reach == 0 and field > current.size) or (layer.stride == 1 and stride > current.stride):
        raise UserError(f"copies of {layer} never see {field} samples with a total stride of {stride}")
    copies = 0
    while current.size < field or current.stride < stride:
        chain.append(layer)
        current = receptive_field(chain)
        copies += 1
    return copies
