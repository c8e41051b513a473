"""Residual networks, He et al. 2015: each block learns what to add to its input."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from eyespot.fast import norm_relu
from eyespot.kit import Kit, choose
from eyespot.models.initial import initialise
from eyespot.models.network import Network


class Basic(nn.Module):
    """Two 3-wide convolutions beside a shortcut: (B, cin, *S) -> (B, width, *ceil(S / stride))"""

    expansion = 1
    last_norm = "bn2"

    def __init__(self, cin: int, width: int, stride: int, shortcut: str, kit: Kit):
        super().__init__()
        self.conv1 = kit.conv(cin, width, 3, stride)
        self.bn1 = kit.norm_of(width)
        self.conv2 = kit.conv(width, width, 3)
        self.bn2 = kit.norm_of(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = SHORTCUTS[shortcut](cin, width, stride, kit)

    def forward(self, x: Tensor) -> Tensor:
        y = norm_relu(self.bn1, self.conv1(x), relu=self.relu)
        return norm_relu(self.bn2, self.conv2(y), self.downsample(x), self.relu)


class Bottleneck(nn.Module):
    """Narrow, convolve, widen beside a shortcut: (B, cin, *S) -> (B, 4 width, *ceil(S / stride))

    The stride is on the 3-wide convolution, as in torchvision; the paper had it on the first.
    """

    expansion = 4
    last_norm = "bn3"

    def __init__(self, cin: int, width: int, stride: int, shortcut: str, kit: Kit):
        super().__init__()
        self.conv1 = kit.conv(cin, width, 1)
        self.bn1 = kit.norm_of(width)
        self.conv2 = kit.conv(width, width, 3, stride)
        self.bn2 = kit.norm_of(width)
        self.conv3 = kit.conv(width, 4 * width, 1)
        self.bn3 = kit.norm_of(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = SHORTCUTS[shortcut](cin, 4 * width, stride, kit)

    def forward(self, x: Tensor) -> Tensor:
        y = norm_relu(self.bn1, self.conv1(x), relu=self.relu)
        y = norm_relu(self.bn2, self.conv2(y), relu=self.relu)
        return norm_relu(self.bn3, self.conv3(y), self.downsample(x), self.relu)


def projection(cin: int, cout: int, stride: int, kit: Kit) -> nn.Module:
    """A learned 1-wide convolution where shapes change, else x (the paper's option B)."""
    if cin == cout and stride == 1:
        return nn.Identity()
    return nn.Sequential(kit.conv(cin, cout, 1, stride), kit.norm_of(cout))


def identity(cin: int, cout: int, stride: int, kit: Kit, centred: bool = False) -> nn.Module:
    """Every `stride`-th position, and zeros for the new channels, where shapes change (the paper's option A)."""
    coarser = kit.pool("stride", 3, stride) if stride > 1 else nn.Identity()
    before = (cout - cin) // 2 if centred else 0
    return nn.Sequential(coarser, ZeroChannels(before, cout - cin - before)) if cin != cout else coarser


class ZeroChannels(nn.Module):
    """(B, C, *S) -> (B, before + C + after, *S), the new channels zero"""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.before = before
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, [0, 0] * (x.dim() - 2) + [self.before, self.after])


BLOCKS = {"basic": Basic, "bottleneck": Bottleneck}
SHORTCUTS = {
    "identity": identity,
    "identity_centred": partial(identity, centred=True),
    "projection": projection,
}


class ResNet(Network):
    """(B, channels, *S) -> (B, classes) logits, S reduced 32 times (stem 7), or 4 times in the CIFAR form (stem 3).

    block     "basic" or "bottleneck"
    depths    blocks per stage; each stage after the first halves S and doubles the channels
    stem      7: a strided 7-wide convolution and a max-pool; 3: a 3-wide convolution
    shortcut  "projection" (learned, where shapes change), "identity" (zeros after the channels for the new ones) or
              "identity_centred" (half of the zeros before them, as in weights of pytorch_resnet_cifar10)
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        kit: Kit = Kit(),
        block: str = "basic",
        depths: tuple[int, ...] = (2, 2, 2, 2),
        width: int = 64,
        stem: int = 7,
        shortcut: str = "projection",
    ):
        choose("block", block, tuple(BLOCKS))
        choose("shortcut", shortcut, tuple(SHORTCUTS))
        choose("stem", stem, (3, 7))
        imagenet_stem = stem == 7
        super().__init__(channels, classes, kit, halvings=[7, 3] * imagenet_stem + [3] * (len(depths) - 1))
        self.shortcut = shortcut
        self.conv1 = kit.conv(channels, width, stem, stride=2 if imagenet_stem else 1)
        self.bn1 = kit.norm_of(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = kit.pool("max", 3) if imagenet_stem else nn.Identity()
        cin = width
        self.stages = [f"layer{i + 1}" for i in range(len(depths))]
        for i, (stage, depth) in enumerate(zip(self.stages, depths, strict=True)):
            blocks = []
            for j in range(depth):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(BLOCKS[block](cin, width * 2**i, stride, shortcut, kit))
                cin = width * 2**i * BLOCKS[block].expansion
            self.add_module(stage, nn.Sequential(*blocks))
        self.fc = nn.Linear(cin, classes)
        initialise(self, kit.init)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        x = norm_relu(self.bn1, self.conv1(x), relu=self.relu)
        x = self.maxpool(x)  # (B, width, *S / 4), or *S in the CIFAR form
        for stage in self.stages:
            x = self.get_submodule(stage)(x)  # each halves *S and doubles C, but the first
        return self.fc(x.flatten(2).mean(2))  # (B, classes)
