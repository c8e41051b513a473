"""U-Net, Ronneberger et al. 2015, and in three dimensions Çiçek et al. 2016: down to see what, up to say where."""

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import Tensor, nn

from eyespot.errors import UserError
from eyespot.fast import Chain, max_pool
from eyespot.kit import Kit
from eyespot.models.initial import initialise
from eyespot.models.network import Network, centre, cut_back, fill_up


def double_conv(cin: int, mid: int, cout: int, padded: bool, dropout: float, kit: Kit) -> nn.Sequential:
    """Two 3-wide convolutions: (B, cin, *S) -> (B, cout, *S), or *(S - 4) if not padded"""
    return Chain(
        OrderedDict(
            conv1=kit.conv(cin, mid, bias=True, padded=padded),
            norm1=kit.norm_of(mid),
            relu1=nn.ReLU(inplace=True),
            conv2=kit.conv(mid, cout, bias=True, padded=padded),
            norm2=kit.norm_of(cout),
            relu2=nn.ReLU(inplace=True),
            dropout=nn.Dropout(dropout),
        )
    )


class UNet(Network):
    """(B, channels, *S) -> (B, classes, *S) logits; not padded, the output is the middle, whose surroundings are seen.

    width    channels of the first level; each level doubles them
    levels   grids, the full one included: S is halved levels - 1 times
    padded   keep the size, any S filled up to a multiple of the total stride and cut back; else 572 -> 388
    dropout  at the end of the way down, on its last two levels
    cicek    the 3-D paper's form: channels double before each pooling, and up-convolutions keep their number
             and have no bias
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 2,
        kit: Kit = Kit(),
        width: int = 64,
        levels: int = 5,
        padded: bool = True,
        dropout: float = 0.0,
        cicek: bool = False,
    ):
        if levels < 2:
            raise UserError(f"levels is {levels}; a U-Net has at least 2")
        super().__init__(channels, classes, kit, halvings=[2] * (levels - 1))
        self.max_collapsing_size = self.total_stride if padded else 0
        self.of_positions = True
        self.smallest = self.smallest if padded else smallest_unpadded(levels)
        self.multiple = self.total_stride if padded else 1
        widths = [width * 2**i for i in range(levels)]
        down = [
            double_conv(a, b // 2 if cicek else b, b, padded, dropout if i >= levels - 2 else 0.0, kit)
            for i, (a, b) in enumerate(pairwise((channels, *widths)))
        ]
        self.down = nn.ModuleList(down[:-1])
        self.pool = kit.pool()
        self.bottom = down[-1]
        self.up = nn.ModuleList()
        self.merge = nn.ModuleList()
        for a, b in pairwise(reversed(widths)):
            up = a if cicek else b
            self.up.append(kit.up(a, up, bias=not cicek))
            self.merge.append(double_conv(b + up, b, b, padded, 0.0, kit))
        self.head = kit.conv(width, classes, 1, bias=True)
        initialise(self, kit.init)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        y = fill_up(x, self.multiple, self.kit)
        skips = []
        for level in self.down:
            skips.append(level(y))
            y = max_pool(self.pool, skips[-1])  # each level halves *S and doubles C
        y = self.bottom(y)
        for up, merge in zip(self.up, self.merge, strict=True):
            y = up(y)  # doubles *S
            skip = skips.pop()
            if self.multiple == 1:  # padded ones are of one size, which torch.export has to see
                skip = centre(skip, y.shape[2:])
            y = merge(torch.cat([skip, y], 1))
        return cut_back(self.head(y), x.shape[2:])


def smallest_unpadded(levels: int) -> int:
    """The shortest axis of which one sample or more is left: 188 for 5 levels."""
    n = 1
    for _ in range(levels - 1):
        n = (n + 4 + 1) // 2  # on the way up: double, then lose 4
    n += 4
    for _ in range(levels - 1):
        n = 2 * n + 4
    return n
