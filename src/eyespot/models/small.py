"""A network for images up to about 64 pixels: fast on a CPU.

The shape follows the networks of the CIFAR-10 speed records (Jordan 2024): a first layer that whitens patches, then
three blocks of two convolutions, pooled before the norm.
"""

from itertools import pairwise

from torch import Tensor, nn

from eyespot.fast import gelu, max_pool, norm_gelu
from eyespot.kit import Kit, Pad
from eyespot.models.initial import initialise
from eyespot.models.network import Network


class Block(nn.Module):
    """Two 3-wide convolutions, the first one's maps pooled: (B, cin, *S) -> (B, cout, *floor(S / 2))"""

    def __init__(self, cin: int, cout: int, kit: Kit):
        super().__init__()
        self.conv1 = kit.conv(cin, cout)
        self.pool = kit.pool("max")
        self.norm1 = kit.norm_of(cout)
        self.conv2 = kit.conv(cout, cout)
        self.norm2 = kit.norm_of(cout)

    def forward(self, x: Tensor) -> Tensor:
        x = norm_gelu(self.norm1, max_pool(self.pool, self.conv1(x)))
        return norm_gelu(self.norm2, self.conv2(x))


class Small(Network):
    """(B, channels, *S) -> (B, classes) logits, S halved once per width.

    stem     filters of the first layer; training sets them to whiten the images' patches, and keeps them fixed
    window   samples of such a patch along each axis: an even one is not padded with zeros, so that 32 become 31, 15, 7
             and 3, which takes a fifth less time than 32, 16, 8 and 4
    widths   channels of the blocks
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 10,
        kit: Kit = Kit(),
        stem: int = 24,
        window: int = 2,
        widths: tuple[int, ...] = (64, 256, 256),
    ):
        super().__init__(channels, classes, kit, halvings=[2] * len(widths))
        even = window % 2 == 0
        beyond = kit.padding != "zeros"
        lost = window - 1 if even and not beyond else 0
        self.smallest = self.smallest + lost
        self.max_collapsing_size = self.max_collapsing_size + lost
        self.edge = Pad(kit, (0, window - 1)) if even and beyond else nn.Identity()
        self.stem = kit.conv(channels, stem, window, bias=True, padded=not even)
        self.blocks = nn.Sequential(*(Block(a, b, kit) for a, b in pairwise((stem, *widths))))
        self.fc = nn.Linear(widths[-1], classes)
        initialise(self, kit.init)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        x = self.blocks(gelu(self.stem(self.edge(x))))  # (B, widths[-1], *S / 8)
        return self.fc(x.flatten(2).amax(2))  # (B, classes)
