"""FC-DenseNet, Jégou et al. 2016 ("one hundred layers tiramisu"): a U-Net whose levels are dense blocks."""

import torch
from torch import Tensor, nn

from eyespot.fast.fused import Chain
from eyespot.kit import Kit
from eyespot.models.dense_memory import Saver, grown, saves
from eyespot.models.initial import initialise
from eyespot.models.network import Network, cut_back, fill_up


def unit(cin: int, cout: int, size: int, dropout: float, kit: Kit) -> nn.Sequential:
    """Norm, ReLU, convolution, dropout: (B, cin, *S) -> (B, cout, *S)"""
    return Chain(kit.norm_of(cin), nn.ReLU(), kit.conv(cin, cout, size, bias=True), nn.Dropout(dropout))


class NewMaps(Saver, nn.ModuleList):
    """A dense block that returns only what it adds: (B, cin, *S) -> (B, depth * growth, *S)"""

    def __init__(self, depth: int, cin: int, growth: int, dropout: float, kit: Kit):
        super().__init__(unit(cin + i * growth, growth, 3, dropout, kit) for i in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and saves(self, x, self.room):
            return grown(x, self)[:, x.shape[1] :]  # the same in less memory
        maps = [x]
        for layer in self:
            maps.append(layer(torch.cat(maps, 1)))
        return torch.cat(maps[1:], 1)


class FCDenseNet(Network):
    """(B, channels, *S) -> (B, classes, *S) logits, for any S (filled up to a multiple of 32, and cut back).

    Going up, only a block's new maps are made larger, which keeps their number from growing.

    depths  layers per block on the way down, and in reverse on the way up
    bottom  layers of the block between
    growth  maps that each layer adds
    width   maps of the first convolution
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 11,
        kit: Kit = Kit(),
        depths: tuple[int, ...] = (4, 5, 7, 10, 12),
        bottom: int = 15,
        growth: int = 16,
        width: int = 48,
        dropout: float = 0.2,
    ):
        super().__init__(channels, classes, kit, halvings=[2] * len(depths))
        self.max_collapsing_size, self.of_positions = self.total_stride, True
        self.stem = kit.conv(channels, width, 3, bias=True)
        self.down, self.narrow, skips, cin = nn.ModuleList(), nn.ModuleList(), [], width
        for depth in depths:
            self.down.append(NewMaps(depth, cin, growth, dropout, kit))
            cin += depth * growth
            skips.append(cin)
            self.narrow.append(nn.Sequential(unit(cin, cin, 1, dropout, kit), kit.pool()))
        self.bottom = NewMaps(bottom, cin, growth, dropout, kit)
        self.widen, self.up, new = nn.ModuleList(), nn.ModuleList(), bottom * growth
        for depth, skip in zip(reversed(depths), reversed(skips), strict=True):
            self.widen.append(kit.up(new, new, 3))
            self.up.append(NewMaps(depth, new + skip, growth, dropout, kit))
            cin, new = new + skip + depth * growth, depth * growth
        self.head = kit.conv(cin, classes, 1, bias=True)
        initialise(self, kit.init)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        y, skips = self.stem(fill_up(x, self.total_stride, self.kit)), []
        for block, narrow in zip(self.down, self.narrow, strict=True):
            skips.append(torch.cat([y, block(y)], 1))
            y = narrow(skips[-1])  # halves *S
        new = self.bottom(y)
        for widen, block in zip(self.widen, self.up, strict=True):
            y = torch.cat([widen(new), skips.pop()], 1)  # doubles *S
            new = block(y)
        return cut_back(self.head(torch.cat([y, new], 1)), x.shape[2:])
