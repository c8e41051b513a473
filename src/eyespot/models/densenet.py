"""Densely connected networks, Huang et al. 2016: each layer sees the maps of every layer before it."""

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn

from eyespot.fast.fused import Chain, norm_relu
from eyespot.kit import Kit, choose
from eyespot.models.dense_memory import Saver, again, grown, saves
from eyespot.models.initial import initialise
from eyespot.models.network import Network


class PlainLayer(nn.Module):
    """Norm, ReLU, 3-wide convolution: the maps so far (B, cin, *S) -> new maps (B, growth, *S)"""

    def __init__(self, cin: int, growth: int, dropout: float, kit: Kit):
        super().__init__()
        self.norm1, self.conv1 = kit.norm_of(cin), kit.conv(cin, growth, 3)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.conv1(norm_relu(self.norm1, x)))


class BottleneckLayer(nn.Module):
    """The same behind a 1-wide convolution to squeeze * growth maps: (B, cin, *S) -> (B, growth, *S)"""

    def __init__(self, squeeze: int, cin: int, growth: int, dropout: float, kit: Kit):
        super().__init__()
        self.norm1, self.conv1 = kit.norm_of(cin), kit.conv(cin, squeeze * growth, 1)
        self.norm2, self.conv2 = kit.norm_of(squeeze * growth), kit.conv(squeeze * growth, growth, 3)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(norm_relu(self.norm1, x))
        return self.dropout(self.conv2(norm_relu(self.norm2, x)))


class DenseBlock(Saver):
    """(B, cin, *S) -> (B, cin + depth * growth, *S): the input beside every layer's new maps"""

    def __init__(self, depth: int, cin: int, growth: int, squeeze: int, dropout: float, kit: Kit):
        super().__init__()
        layer = partial(BottleneckLayer, squeeze) if squeeze else PlainLayer
        for i in range(depth):
            self.add_module(f"denselayer{i + 1}", layer(cin + i * growth, growth, dropout, kit))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and saves(self.children(), x, self.room):
            return grown(x, self)  # the same in less memory
        maps = [x]
        for layer in self.children():
            maps.append(layer(torch.cat(maps, 1)))
        return torch.cat(maps, 1)


class Transition(Saver):
    """Fewer maps on half the grid: (B, cin, *S) -> (B, cout, *floor(S / 2))"""

    def __init__(self, cin: int, cout: int, kit: Kit):
        super().__init__()
        self.norm, self.relu, self.conv = kit.norm_of(cin), nn.ReLU(inplace=True), kit.conv(cin, cout, 1)
        self.pool = kit.pool("average")

    def forward(self, x: Tensor) -> Tensor:
        if self.training and saves((self.norm, self.relu, self.conv), x, self.room):
            return self.pool(again(x, self.norm, self.conv))  # the same in less memory
        return self.pool(self.conv(self.relu(self.norm(x))))


class DenseNet(Network):
    """(B, channels, *S) -> (B, classes) logits, S reduced 32 times (stem 7), or 4 times in the CIFAR form (stem 3).

    depths       layers per block
    growth       maps that each layer adds (k)
    width        maps of the stem
    squeeze      a layer's bottleneck is squeeze * growth wide (4 in DenseNet-B); 0 for none
    compression  share of the maps that a transition keeps (0.5 in DenseNet-C)
    stem         7: a strided 7-wide convolution and a max-pool; 3: a 3-wide convolution
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        kit: Kit = Kit(),
        depths: tuple[int, ...] = (6, 12, 24, 16),
        growth: int = 32,
        width: int = 64,
        squeeze: int = 4,
        compression: float = 0.5,
        stem: int = 7,
        dropout: float = 0.0,
    ):
        choose("stem", stem, (3, 7))
        large = stem == 7
        super().__init__(channels, classes, kit, halvings=[7, 3] * large + [2] * (len(depths) - 1))
        layers = OrderedDict(conv0=kit.conv(channels, width, stem, stride=2 if large else 1))
        if large:
            layers |= OrderedDict(
                norm0=kit.norm_of(width), relu0=nn.ReLU(inplace=True), pool0=kit.pool("max", 3)
            )
        cin = width
        for i, depth in enumerate(depths, start=1):
            layers[f"denseblock{i}"] = DenseBlock(depth, cin, growth, squeeze, dropout, kit)
            cin += depth * growth
            if i < len(depths):
                cout = int(cin * compression)
                layers[f"transition{i}"] = Transition(cin, cout, kit)
                cin = cout
        layers[f"norm{len(depths) + 1}"] = kit.norm_of(cin)
        self.features = Chain(layers)
        self.classifier = nn.Linear(cin, classes)
        initialise(self, kit.init)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        x = self.features(x).relu_()  # (B, C, *S / 32), or *S / 4 in the CIFAR form
        return self.classifier(x.flatten(2).mean(2))  # (B, classes)
