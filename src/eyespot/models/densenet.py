"""Densely connected networks, Huang et al. 2016: each layer sees the maps of every layer before it."""

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn

from eyespot.fast import Chain, norm_relu
from eyespot.kit import Kit, choose
from eyespot.models.activation_checkpoint import checkpointed
from eyespot.models.initial import initialise
from eyespot.models.network import Network


class PlainLayer(nn.Module):
    """Norm, ReLU, 3-wide convolution: the maps so far (B, cin, *S) -> new maps (B, growth, *S)"""

    def __init__(self, cin: int, growth: int, dropout: float, kit: Kit):
        super().__init__()
        self.norm1 = kit.norm_of(cin)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = kit.conv(cin, growth, 3)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.conv1(norm_relu(self.norm1, x, relu=self.relu1)))


class BottleneckLayer(nn.Module):
    """The same behind a 1-wide convolution to squeeze * growth maps: (B, cin, *S) -> (B, growth, *S)"""

    def __init__(self, squeeze: int, cin: int, growth: int, dropout: float, kit: Kit):
        super().__init__()
        self.norm1 = kit.norm_of(cin)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = kit.conv(cin, squeeze * growth, 1)
        self.norm2 = kit.norm_of(squeeze * growth)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = kit.conv(squeeze * growth, growth, 3)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(norm_relu(self.norm1, x, relu=self.relu1))
        return self.dropout(self.conv2(norm_relu(self.norm2, x, relu=self.relu2)))


class DenseBlock(nn.Module):
    """(B, cin, *S) -> (B, cin + depth * growth, *S): the input beside every layer's new maps"""

    def __init__(
        self, depth: int, cin: int, growth: int, squeeze: int, dropout: float, kit: Kit, checkpoint: bool
    ):
        super().__init__()
        self.checkpoint = checkpoint
        layer = partial(BottleneckLayer, squeeze) if squeeze else PlainLayer
        for i in range(depth):
            self.add_module(f"denselayer{i + 1}", layer(cin + i * growth, growth, dropout, kit))

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self.children():
            maps.append(checkpointed(layer, *maps) if self.checkpoint else layer(torch.cat(maps, 1)))
        return torch.cat(maps, 1)


class Transition(nn.Module):
    """Fewer maps on half the grid: (B, cin, *S) -> (B, cout, *floor(S / 2))"""

    def __init__(self, cin: int, cout: int, kit: Kit):
        super().__init__()
        self.norm = kit.norm_of(cin)
        self.relu = nn.ReLU(inplace=True)
        self.conv = kit.conv(cin, cout, 1)
        self.pool = kit.pool("average")

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.conv(self.relu(self.norm(x))))


class DenseNet(Network):
    """(B, channels, *S) -> (B, classes) logits, S reduced 32 times (stem 7), or 4 times in the CIFAR form (stem 3).

    depths       layers per block
    growth       maps that each layer adds (k)
    width        maps of the stem
    squeeze      a layer's bottleneck is squeeze * growth wide (4 in DenseNet-B); 0 for none
    compression  share of the maps that a transition keeps (0.5 in DenseNet-C)
    stem         7: a strided 7-wide convolution and a max-pool; 3: a 3-wide convolution
    checkpoint   in training, keep the maps of each layer only and compute the rest again in the backward pass: less
                 than half the memory for one more forward pass (torchvision: memory_efficient)
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
        checkpoint: bool = True,
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
            layers[f"denseblock{i}"] = DenseBlock(depth, cin, growth, squeeze, dropout, kit, checkpoint)
            cin += depth * growth
            if i < len(depths):
                layers[f"transition{i}"] = Transition(cin, int(cin * compression), kit)
                cin = int(cin * compression)
        layers[f"norm{len(depths) + 1}"] = kit.norm_of(cin)
        self.features = Chain(layers)
        self.relu = nn.ReLU(inplace=True)
        self.classifier = nn.Linear(cin, classes)
        initialise(self, kit.init)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        x = self.relu(self.features(x))  # (B, C, *S / 32), or *S / 4 in the CIFAR form
        return self.classifier(x.flatten(2).mean(2))  # (B, classes)
