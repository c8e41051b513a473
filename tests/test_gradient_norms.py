"""The gradient's norm at each depth, with and without skip connections and norms."""

import json
from itertools import pairwise

import pytest
import torch
from torch import nn

from eyespot.anatomy.gradients import (
    NEITHER,
    NEW,
    NO_NORMS,
    NO_SKIPS,
    TRAINED,
    gradient_norms,
    measure_gradients,
    without_norms,
    without_skips,
)
from eyespot.models import create


class Block(nn.Module):
    """A convolution beside a shortcut"""

    def __init__(self, weight):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 1, bias=False)
        nn.init.constant_(self.conv.weight, weight)
        self.downsample = nn.Identity()

    def forward(self, x):
        return self.conv(x) + self.downsample(x)


class Chain(nn.Module):
    """Blocks whose gradients are known: (1 + w) a block with its shortcut, w without it"""

    def __init__(self, weights):
        super().__init__()
        self.blocks = nn.Sequential(*map(Block, weights))

    def forward(self, x):
        y = self.blocks(x).mean(2)
        return torch.cat([y, -y], 1)


WEIGHTS = (0.5, 0.25, 2.0)


def ratios(network):
    norms = list(gradient_norms(network, torch.ones(4, 1, 8)).values())
    return [first / second for first, second in pairwise(norms)]


def test_a_block_multiplies_the_gradient_by_one_plus_its_weight_and_without_its_shortcut_by_its_weight():
    chain = Chain(WEIGHTS)
    assert ratios(chain) == pytest.approx([1.25, 3.0])
    assert ratios(without_skips(chain)) == pytest.approx([0.25, 2.0])
    assert isinstance(chain.blocks[0].downsample, nn.Identity)  # the network itself is not changed


def test_residual_networks_keep_their_gradient_and_plain_ones_with_norms_do_not():
    torch.manual_seed(0)
    network = create("resnet56", classes=3, width=4)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    norms = measure_gradients(network, (3, 16, 16), "resnet56", trained=False)
    assert norms.blocks == 27 and f"{2**27:,} paths" in str(norms)
    assert list(norms.norms) == [NEW, NO_SKIPS, NO_NORMS, NEITHER]
    assert norms.ratio(NO_SKIPS) > 20 * norms.ratio(NEW)
    assert len(norms.layers) == 55 and not any("downsample" in layer for layer in norms.layers)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert all(len(line) <= 80 for line in norms.table(80).splitlines())


def test_trained_weights_are_measured_beside_new_ones():
    network = create("unet_bn", channels=1, classes=2, width=4)
    for parameter in network.parameters():
        parameter.data.mul_(1.5)
    norms = measure_gradients(network, (1, 32, 32), "mine", trained=True)
    assert list(norms.norms) == [TRAINED, NEW, NO_NORMS]
    assert norms.norms[TRAINED] != norms.norms[NEW]
    assert "concatenate" in str(norms)


def test_a_network_without_norms_has_none_left_out():
    network = create("vgg11", classes=2, width=4, hidden=8)
    assert list(measure_gradients(network, (3, 32, 32), "vgg11", trained=False).norms) == [NEW]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in without_norms(create("resnet20")).modules())


def test_the_command(cli):
    result = cli("inspect", "resnet20", "--gradients", "--json", "--classes", 2)
    document = json.loads(result.out)
    assert result.code == 0 and document["blocks"] == 9 and document["shape"] == [16, 3, 32, 32]
    assert set(document["gradient_norms"]) == {NEW, NO_SKIPS, NO_NORMS, NEITHER}
