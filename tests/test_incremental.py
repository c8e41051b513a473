"""Networks on images that differ from one in a box: the results are those of the whole computation."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eyespot.explanation import occlusion
from eyespot.explanation.folding import folded
from eyespot.explanation.incremental import Incremental
from eyespot.models import create

NETWORKS = {
    "vgg11": {"size": 64},
    "vgg11_bn": {"size": 64},
    "resnet18": {"size": 64},
    "resnet50": {"size": 64},
    "densenet121": {"size": 64},
    "resnet20": {"size": 32},
    "densenet40_12": {"size": 32},
    "small": {"size": 48},
    "unet_bn": {"size": 64},
}


SMALLER: dict[str, Any] = {"vgg11": {"hidden": 16}}


def filled(network):
    """In float64, with norms that are not the identity"""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) / 3)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    return network.double().eval().requires_grad_(False)


def batch_of(channels, size, dim, box=7, n=5):
    """One image, and the same with a box of other values: in two corners and at places by chance"""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((1, channels, *[size] * dim), generator=generator, dtype=torch.float64)
    x = x.repeat(n + 1, *[1] * (dim + 1))
    corners = [[0] * dim, [size - box] * dim]
    corners += [torch.randint(0, size - box, (dim,), generator=generator).tolist() for _ in range(n - 2)]
    for image, corner in zip(x[1:], corners, strict=True):
        image[(slice(None), *[slice(a, a + box) for a in corner])] = 0.3
    return x


def assert_equal(network, x):
    with torch.no_grad():
        plain = network(x)
        fast = Incremental(network)
        for part in (x, x[[0, 3, 1]]):  # the second time with what was kept
            result = fast(part)
            expected = network(part)
            assert (result - expected).abs().max() <= 1e-12 * plain.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_presets(name):
    network = filled(create(name, classes=3))
    assert_equal(network, batch_of(network.channels, NETWORKS[name]["size"], 2))


@pytest.mark.parametrize("dim,size", [(1, 256), (3, 24)])
def test_signals_and_volumes(dim, size):
    network = filled(create("resnet18", channels=1, classes=3, dim=dim, width=8))
    assert_equal(network, batch_of(1, size, dim))


class Odd(nn.Module):
    """Functions that networks of users have"""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 8, 5, stride=2, padding=1, dilation=2, groups=2)
        self.reflecting = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")
        self.same = nn.Conv2d(8, 8, 3, padding="same")
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.group = nn.GroupNorm(2, 8)

    def forward(self, x):
        x = self.first(x)
        y = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
        y.relu_()
        y += 0.5 * y.sigmoid()
        z = F.avg_pool2d(F.leaky_relu(x, 0.1), 3, 2, 1)
        y = torch.cat([y[:, :, : z.shape[2], : z.shape[3]], z], dim=1)
        x = self.group(self.up(y))
        x = self.same(F.elu(x, inplace=True)) * torch.tensor(2.0) - x
        x = F.pad(self.reflecting(x), (1, 0, 2, 1))
        x = F.interpolate(x[:, :, ::2], scale_factor=2, mode="bilinear")
        return torch.stack([x.amax((2, 3)), x.flatten(2).mean(2)], -1).view(len(x), -1)


class InPlace(nn.Module):
    """Values that are changed after another name was given to them"""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)

    def forward(self, x):
        y = self.conv(x)
        z = F.relu(y, inplace=True)
        z.add_(1)
        return (y - z.mul_(3)).mean((2, 3))


class PreActivation(nn.Module):
    """A convolution whose output two layers take, so that the norm must not be folded into it"""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        x = self.conv1(x)
        return (x + self.conv2(F.relu(self.bn1(x)))).mean((2, 3))


@pytest.mark.parametrize("network", [Odd, InPlace])
def test_functions_of_other_networks(network):
    torch.manual_seed(0)
    assert_equal(filled(network()), batch_of(2, 40, 2))


def test_norms_are_folded_into_the_convolutions_before_them():
    network = filled(create("resnet20", classes=3))
    x = batch_of(3, 32, 2)
    copy = folded(network, x[:1])
    assert not any(isinstance(m, nn.BatchNorm2d) for m in copy.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert torch.allclose(copy(x), network(x), rtol=1e-10)


def falls(network, x, incremental):
    def score(batch):
        return network(batch)[:, 1]

    fast = Incremental(network) if incremental else None
    used = []

    def of_class(batch):
        assert fast is not None
        used.append(len(batch))
        return fast(batch)[:, 1]

    made = occlusion.occlusion(score, x, torch.zeros_like(x), 8, 4, incremental=of_class if fast else None)
    return made, used


@pytest.mark.parametrize("name", ["vgg11", "resnet18"])
def test_occlusion_is_the_same_and_uses_it(name):
    network = filled(create(name, classes=3, width=8, **SMALLER.get(name, {}))).float()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    plain, _ = falls(network, x, incremental=False)
    fast, used = falls(network, x, incremental=True)
    assert len(used) > 2
    assert (plain - fast).abs().max() <= 1e-4 * plain.abs().max()


def test_a_fast_path_that_is_wrong_is_not_used():
    torch.manual_seed(0)
    network = filled(PreActivation())
    x = torch.randn(1, 2, 64, 64, dtype=torch.float64)
    plain, _ = falls(network, x, incremental=False)
    fast, used = falls(network, x, incremental=True)
    assert len(used) == 2  # both for comparison
    assert torch.equal(plain, fast)
