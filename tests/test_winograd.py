"""Gradients by Winograd's filtering are torch's, and only the convolutions that it suits have them."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import eyespot
from eyespot.training import winograd
from eyespot.training.winograd import Winograd, filters_of, gradients_of, suits, taps_of

CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TENSOR = torch.empty(4, 64, 16, 16)


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("tiles", [1, 5, 160])
@pytest.mark.parametrize(
    "size,padding,images",
    [
        ((3,), 0, 2),
        ((65,), 1, 3),
        ((3, 3), 0, 1),
        ((7, 9), 1, 3),
        ((8, 4), (0, 2), 2),
        ((31, 6), 1, 2),
        ((4, 7, 5), 1, 2),
        ((3, 9, 6), (1, 0, 2), 3),
    ],
)
def test_gradients_are_torchs_in_every_rank_and_cut_into_blocks_of_any_size(
    size, padding, images, tiles, monkeypatch
):
    monkeypatch.setattr(winograd, "TILES", tiles)
    axes = len(size)
    x, w = maps(images, 3, *size).requires_grad_(), maps(4, 3, *[3] * axes, seed=1).requires_grad_()
    y = CONVOLVE[axes](x, w, None, 1, padding)
    g = maps(*y.shape, seed=2)
    expected = torch.autograd.grad(y, (x, w), g)
    with torch.no_grad():
        found = gradients_of(x, w, padding, g)
        assert gradients_of(x, w, padding, g, need_x=False)[0] is None
    for a, b in zip(found, expected, strict=True):
        assert a is not None and a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_the_transforms_of_filters_are_each_others_transposes():
    w, sums = maps(5, 3, 3, 3), maps(36, 3, 5, seed=1)
    torch.testing.assert_close((filters_of(w) * sums).sum(), (w * taps_of(sums, 2)).sum())


@pytest.mark.parametrize("name,dim", [("resnet18", 2), ("unet", 2), ("vgg11", 2), ("unet3d", 3)])
def test_a_network_gives_the_same_answers_and_nearly_the_same_gradients(name, dim):
    side = {"unet": 188, "vgg11": 64}.get(name, 32)
    torch.manual_seed(0)
    network = eyespot.create(name, channels=1, classes=3, dim=dim)  # unet and vgg11 have biases
    x = maps(2, 1, *[side] * dim).float().requires_grad_()

    def step() -> tuple[torch.Tensor, list[torch.Tensor]]:
        torch.manual_seed(0)  # dropout
        y = network(x)
        return y, list(torch.autograd.grad(y.square().mean(), [x, *network.parameters()]))

    y, gradients = step()
    calls: list[Any] = []
    original = winograd.gradients_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "FEWEST", 1)
        patch.setattr(winograd, "gradients_of", lambda *a: [calls.append(a), original(*a)][1])
        with Winograd():
            z, others = step()
    assert torch.equal(y, z) and calls
    for a, b in zip(gradients, others, strict=True):
        assert (a - b).norm() <= 2e-4 * a.norm() + 1e-6


@pytest.mark.parametrize(
    "weight,rest",
    [
        (torch.empty(64, 64, 1, 1), ()),
        (torch.empty(64, 64, 5, 5), ()),
        (torch.empty(64, 64, 3, 3), (None, 2)),
        (torch.empty(64, 64, 3, 3), (None, (1, 2), 1)),
        (torch.empty(64, 64, 3, 3), (None, 1, 1, 2)),
        (torch.empty(64, 32, 3, 3), (None, 1, 1, 1, 2)),
        (torch.empty(64, 64, 3, 3), (None, 1, "same")),
        (torch.empty(16, 64, 3, 3), (None, 1, 1)),
        (torch.empty(64, 64, 3, 3, dtype=torch.float64), ()),
        (torch.empty(64, 64, 3, 3, dtype=torch.bfloat16), ()),
    ],
)
def test_other_convolutions_are_left_to_torch(weight, rest):
    assert suits(TENSOR, torch.empty(64, 64, 3, 3).requires_grad_(), None, (1, 1), (1, 1), (1, 1), 1)
    assert not suits(TENSOR.to(weight.dtype), weight.requires_grad_(), *rest)


def test_neither_are_those_that_do_not_learn_or_have_few_tiles():
    weight = torch.empty(64, 64, 3, 3)
    assert not suits(TENSOR, weight)
    assert not suits(TENSOR[:3], weight.requires_grad_())
    with torch.no_grad():
        assert not suits(TENSOR, weight)


def test_errors_are_torchs_own():
    with Winograd(), pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        F.conv2d(torch.zeros(999, 64, 2, 9), torch.zeros(64, 64, 3, 3).requires_grad_())
