"""FC-DenseNet, Jégou et al. 2016 ("one hundred layers tiramisu"): a U-Net whose levels are dense blocks."""

import torch
from torch import Tensor, nn

from eyespot.fast import Chain
from eyespot.kit import Kit
from eyespot.models.activation_checkpoint import checkpointed
from eyespot.models.initial import initialise
from eyespot.models.network import Network, cut_back, fill_up


def unit(cin: int, cout: int, size: int, dropout: float, kit: Kit) -> nn.Sequential:
    """Norm, ReLU, convolution, dropout: (B, cin, *S) -> (B, cout, *S)"""
    return Chain(kit.norm_of(cin), nn.ReLU(), kit.conv(cin, cout, size, bias=True), nn.Dropout(dropout))


class NewMaps(nn.ModuleList):
    """A dense block that returns only what it adds: (B, cin, *S) -> (B, depth * growth, *S)"""

    def __init__(self, depth: int, cin: int, growth: int, dropout: float, kit: Kit, checkpoint: bool):
        super().__init__(unit(cin + i * growth, growth, 3, dropout, kit) for i in range(depth))
        self.checkpoint = checkpoint

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self:
            maps.append(checkpointed(layer, *maps) if self.checkpoint else layer(torch.cat(maps, 1)))
        return torch.cat(maps[1:], 1)


class FCDenseNet(Network):
    """(B, channels, *S) -> (B, classes, *S) logits, for any S (filled up to a multiple of 32, and cut back).

    Going up, only a block's new maps are made larger, which keeps their number from growing.

    depths      layers per block on the way down, and in reverse on the way up
    bottom      layers of the block between
    growth      maps that each layer adds
    width       maps of the first convolution
    checkpoint  in training, keep the maps of each layer only and compute the rest again in the backward pass
    """

    of_positions = True

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
        checkpoint: bool = True,
    ):
        super().__init__(channels, classes, kit, halvings=[2] * len(depths))
        self.max_collapsing_size = self.total_stride
        self.stem = kit.conv(channels, width, 3, bias=True)
        self.down = nn.ModuleList()
        self.narrow = nn.ModuleList()
        skips = []
        cin = width
        for depth in depths:
            self.down.append(NewMaps(depth, cin, growth, dropout, kit, checkpoint))
            cin += depth * growth
            skips.append(cin)
            self.narrow.append(nn.Sequential(unit(cin, cin, 1, dropout, kit), kit.pool()))
        self.bottom = NewMaps(bottom, cin, growth, dropout, kit, checkpoint)
        self.widen = nn.ModuleList()
        self.up = nn.ModuleList()
        new = bottom * growth
        for depth, skip in zip(reversed(depths), reversed(skips), strict=True):
            self.widen.append(kit.up(new, new, 3))
            self.up.append(NewMaps(depth, new + skip, growth, dropout, kit, checkpoint))
            cin = new + skip + depth * growth
            new = depth * growth
        self.head = kit.conv(cin, classes, 1, bias=True)
        initialise(self, kit.init)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        y = self.stem(fill_up(x, self.total_stride, self.kit))
        skips = []
        for block, narrow in zip(self.down, self.narrow, strict=True):
            skips.append(torch.cat([y, block(y)], 1))
            y = narrow(skips[-1])  # halves *S
        new = self.bottom(y)
        for widen, block in zip(self.widen, self.up, strict=True):
            y = torch.cat([widen(new), skips.pop()], 1)  # doubles *S
            new = block(y)
        return cut_back(self.head(torch.cat([y, new], 1)), x.shape[2:])
