"""Weights of CIFAR ResNets that others publish: their names, and where their shortcuts put new channels."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from conftest import one_sentence
from eyespot.errors import UserError
from eyespot.models import create


class Block(nn.Module):
    """Two convolutions beside the input, or a coarser input between as many channels of zeros on either side."""

    def __init__(self, cin: int, cout: int, learned: bool):
        super().__init__()
        self.stride = 1 if cin == cout else 2
        self.conv1 = nn.Conv2d(cin, cout, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.shortcut = nn.Sequential()
        if learned and self.stride == 2:
            self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, 2, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        beside = self.shortcut(x)
        if beside.shape != y.shape:
            quarter = y.shape[1] // 4
            zeros = torch.zeros(len(y), quarter, *y.shape[2:])
            beside = torch.cat([zeros, x[:, :, ::2, ::2], zeros], 1)
        return F.relu(y + beside)


class Published(nn.Module):
    """A ResNet of the CIFAR kind with the names that others use."""

    def __init__(self, blocks: int, learned: bool = False):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for i, (cin, cout) in enumerate([(16, 16), (16, 32), (32, 64)], 1):
            first = Block(cin, cout, learned)
            self.add_module(
                f"layer{i}", nn.Sequential(first, *(Block(cout, cout, learned) for _ in range(blocks - 1)))
            )
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for i in (1, 2, 3):
            x = self.get_submodule(f"layer{i}")(x)
        return self.linear(x.mean((2, 3)))


@pytest.fixture
def publish(tmp_path):
    """A network of others with weights and statistics that nothing else has, and its file."""

    def make(blocks: int, learned: bool = False):
        torch.manual_seed(blocks)
        network = Published(blocks, learned).eval()
        for name, tensor in network.state_dict().items():
            if "num_batches" not in name:
                tensor.copy_(
                    torch.rand_like(tensor) + 0.5 if "var" in name else 0.2 * torch.randn_like(tensor)
                )
        tensors = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
        path = tmp_path / f"resnet{6 * blocks + 2}-12fca82f.th"
        torch.save({"state_dict": tensors, "best_prec1": 91.7}, path)
        return network, path

    return make


@pytest.mark.parametrize("blocks,side", [(3, 32), (3, 29), (5, 16)])
def test_the_logits_are_those_of_the_network_that_was_published(publish, blocks, side):
    theirs, path = publish(blocks)
    ours = create(f"resnet{6 * blocks + 2}_centred", weights=path).eval()
    x = torch.randn(2, 3, side, side)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)
        at_the_end = create(f"resnet{6 * blocks + 2}", shortcut="identity", weights=path).eval()(x)
    assert (at_the_end - theirs(x)).abs().max() > 0.01, "the places of the channels make no difference"
    assert not ours.started_from.new and not ours.started_from.unused


def test_learned_shortcuts_are_those_too(publish):
    theirs, path = publish(3, learned=True)
    ours = create("resnet20", shortcut="projection", weights=path).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_a_file_that_would_fit_with_its_channels_elsewhere_is_refused(publish, cli, tmp_path):
    _, path = publish(3)
    with pytest.raises(
        UserError, match=r"\(linear\.\), whose new channels lie in the middle: take resnet20_centred"
    ):
        create("resnet20", weights=path)
    said = cli(
        "train",
        "digits",
        "--model",
        "resnet20",
        "--start-from",
        path,
        "--epochs",
        1,
        "--out",
        tmp_path / "run",
    )
    assert "take resnet20_centred" in one_sentence(said)
    _, learned = publish(3, learned=True)
    for name in ("resnet20", "resnet20_centred"):
        with pytest.raises(
            UserError, match=rf"has weights of shortcuts, .* create\('{name}', shortcut='projection'"
        ):
            create(name, weights=learned)


def test_our_own_names_say_where_they_are():
    """A head called "fc" and no weights of shortcuts: zeros at the end, as this package writes them."""
    tensors = create("resnet20").state_dict()
    assert not create("resnet20", weights=tensors).started_from.unused
