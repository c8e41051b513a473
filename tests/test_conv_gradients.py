"""Other ways to the gradients of convolutions give torch's, and only the convolutions that they suit have them."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import eyespot
from eyespot.fast import arithmetic, conv_gradients, enabled, winograd
from eyespot.fast.conv_gradients import (
    ConvGradients,
    Convolved,
    by_columns,
    by_windows,
    faster_backward,
    suits_transposed,
    transposed_backward,
)
from eyespot.fast.winograd import filters_of, gradients_of, taps_of

pytestmark = pytest.mark.skipif(not enabled(), reason="EYESPOT_FAST=0: the fast code is switched off")

CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
UP = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
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
    w, sums = maps(5, 3, 3, 3), maps(36, 5, 3, seed=1)
    torch.testing.assert_close((filters_of(w) * sums).sum(), (w * taps_of(sums, 2)).sum())


@pytest.mark.parametrize("size,taps", [((7,), (2,)), ((4, 5), (2, 2)), ((3, 4, 5), (2, 1, 3))])
def test_gradients_of_a_transposed_convolution_are_torchs_in_every_rank(size, taps):
    x, w = maps(2, 3, *size).requires_grad_(), maps(3, 4, *taps, seed=1).requires_grad_()
    y = UP[len(size)](x, w, None, taps)
    g = maps(*y.shape, seed=2)
    for a, b in zip(transposed_backward(x, w, 0, g), torch.autograd.grad(y, (x, w), g), strict=True):
        assert a is not None and a.shape == b.shape
        torch.testing.assert_close(a, b)
    assert transposed_backward(x, w, 0, g, need_x=False)[0] is None


@pytest.mark.parametrize("images", [1, 2, 9])
@pytest.mark.parametrize(
    "size,taps,padding",
    [
        ((9,), (3,), 1),
        ((7, 9), (3, 3), 1),
        ((6, 8), (2, 5), (0, 3)),
        ((4, 5), (3, 3), 3),
        ((4, 7, 5), (3, 1, 3), (1, 0, 0)),
    ],
)
def test_gradients_by_windows_are_torchs_in_every_rank_and_for_a_few_images_at_a_time(
    size, taps, padding, images, monkeypatch
):
    monkeypatch.setattr(conv_gradients, "WINDOW_BYTES", images * math.prod(size) * math.prod(taps) * 4 * 8)
    x, w = maps(5, 3, *size).requires_grad_(), maps(4, 3, *taps, seed=1).requires_grad_()
    y = CONVOLVE[len(size)](x, w, None, 1, padding)
    g = maps(*y.shape, seed=2)
    for a, b in zip(
        by_windows(x.detach(), w.detach(), padding, g), torch.autograd.grad(y, (x, w), g), strict=True
    ):
        assert a is not None and a.shape == b.shape
        torch.testing.assert_close(a, b)
    assert by_windows(x.detach(), w.detach(), padding, g, need_x=False)[0] is None


@pytest.mark.parametrize("images", [1, 2, 9])
@pytest.mark.parametrize(
    "size,taps,stride,padding",
    [
        ((9,), (3,), (1,), 1),
        ((7, 9), (3, 3), (1, 1), 1),
        ((7, 9), (1, 1), (1, 1), 0),
        ((6, 8), (2, 5), (2, 3), (0, 3)),
        ((6, 5), (1, 1), (2, 2), 0),
        ((4, 7, 5), (3, 1, 3), (1, 2, 1), (1, 0, 0)),
    ],
)
def test_gradients_by_columns_are_torchs_in_every_rank_and_for_a_few_images_at_a_time(
    size, taps, stride, padding, images, monkeypatch
):
    x, w = maps(5, 3, *size).requires_grad_(), maps(4, 3, *taps, seed=1).requires_grad_()
    y = CONVOLVE[len(size)](x, w, None, stride, padding)
    monkeypatch.setattr(conv_gradients, "WINDOW_BYTES", images * y[0, 0].numel() * math.prod(taps) * 3 * 8)
    monkeypatch.setattr(conv_gradients, "MORE", 1)
    g = maps(*y.shape, seed=2)
    for a, b in zip(
        by_columns(stride, x.detach(), w.detach(), padding, g), torch.autograd.grad(y, (x, w), g), strict=True
    ):
        assert a is not None and a.shape == b.shape
        torch.testing.assert_close(a, b)
    assert by_columns(stride, x.detach(), w.detach(), padding, g, need_x=False)[0] is None


def test_columns_are_for_short_rows_of_many_channels_whatever_the_stride():
    def columns(k: int, side: int, *rest: Any, tap: int = 3) -> bool:
        way = faster_backward(
            True, torch.empty(2, 4, 3, side), torch.empty(k, 4, tap, tap).requires_grad_(), *rest
        )
        return way is not None

    assert columns(256, 15, None, 1, 1) and not columns(256, 16, None, 1, 1)
    assert columns(64, 7, None, (1, 1), (1, 1)) and not columns(64, 8, None, 1, 1)
    assert columns(64, 14, None, 2, 1) and not columns(64, 17, None, (1, 2), 1)
    assert not columns(64, 14, None, (2, 1), 1) and columns(64, 9, None, 1, (1, 0))
    assert columns(64, 7, tap=1) and not columns(64, 8, tap=1) and columns(64, 9)
    assert not columns(256, 7, None, 1, 1, 2) and not columns(256, 7, None, 1, "same")
    assert (
        faster_backward(
            True, torch.empty(2, 8, 7, 7), torch.empty(64, 4, 3, 3).requires_grad_(), None, 1, 1, 1, 2
        )
        is None
    )
    assert faster_backward(True, torch.empty(2, 4, 7, 7), torch.empty(64, 4, 3, 3)) is None
    double = torch.empty(64, 4, 3, 3, dtype=torch.float64).requires_grad_()
    assert faster_backward(True, torch.empty(2, 4, 7, 7, dtype=torch.float64), double) is None


@pytest.mark.parametrize(
    "name,dim,side", [("small_w16", 2, 32), ("resnet50", 2, 64), ("vgg11", 2, 32), ("unet3d", 3, 24)]
)
def test_in_bfloat16_a_network_gives_the_same_answers_and_gradients_as_near(name, dim, side, monkeypatch):
    monkeypatch.setattr(conv_gradients, "ROW", 1)
    torch.manual_seed(0)
    network = eyespot.create(name, channels=1, classes=3, dim=dim)
    x = maps(4, 1, *[side] * dim).float().requires_grad_()
    used, columns = [], conv_gradients.by_columns
    monkeypatch.setattr(conv_gradients, "by_columns", lambda *args: [used.append(args), columns(*args)][1])

    def step(precision: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
        torch.manual_seed(0)  # dropout
        with arithmetic("cpu", precision):
            y = network(x)
        return y.float(), list(torch.autograd.grad(y.float().square().mean(), [x, *network.parameters()]))

    (y, plain), (z, found) = step("bfloat16"), step("im2col")
    assert torch.equal(y, z)
    assert len(used) > 4 and all(args[1].dtype == torch.bfloat16 for args in used)
    assert all(g.dtype == torch.float32 for g in found)
    for a, b in zip(plain, found, strict=True):
        assert (a - b).norm() <= 0.02 * a.norm() + 1e-4


def test_the_bias_has_its_gradient_and_those_that_want_none_have_none():
    x, w, b = maps(2, 3, 5, 6), maps(4, 3, 3, 3, seed=1).requires_grad_(), maps(4, seed=2).requires_grad_()
    y = F.conv2d(x, w, b, 1, 1)
    g = maps(*y.shape, seed=3)
    found = torch.autograd.grad(Convolved.apply(F.conv2d, gradients_of, x, w, b, 1, 1), (w, b), g)
    for a, e in zip(found, torch.autograd.grad(y, (w, b), g), strict=True):
        torch.testing.assert_close(a, e)
    with torch.no_grad():
        assert Convolved.apply(F.conv2d, gradients_of, x, w, b, 1, 1).grad_fn is None


@pytest.mark.parametrize(
    "name,dim,side,expected_ways",
    [
        ("resnet18_w32", 2, 32, {gradients_of}),
        ("unet_bn", 2, 16, {gradients_of, transposed_backward, by_windows}),
        ("unet3d", 3, 16, {gradients_of, transposed_backward}),
        ("densenet121", 2, 64, {by_windows}),
        ("fcdensenet56", 2, 32, {by_windows}),
    ],
)
def test_a_network_gives_the_same_answers_and_nearly_the_same_gradients(
    name, dim, side, expected_ways, monkeypatch
):
    for limit in ("FEWEST", "LARGE", "SPREAD"):
        monkeypatch.setattr(conv_gradients, limit, 1)
    torch.manual_seed(0)
    network = eyespot.create(name, channels=1, classes=3, dim=dim)
    x = maps(2, 1, *[side] * dim).float().requires_grad_()

    def step() -> tuple[torch.Tensor, list[torch.Tensor]]:
        torch.manual_seed(0)  # dropout
        y = network(x)
        return y, list(torch.autograd.grad(y.square().mean(), [x, *network.parameters()]))

    y, expected = step()
    ways, forward = set(), Convolved.forward
    monkeypatch.setattr(Convolved, "forward", lambda ctx, *args: [ways.add(args[1]), forward(ctx, *args)][1])
    with ConvGradients():
        z, found = step()
    assert torch.equal(y, z)
    assert ways == expected_ways
    total = torch.cat(
        [a.flatten() for a in expected]
    ).norm()  # some are zero but for rounding: a bias before a norm's
    for a, b in zip(expected, found, strict=True):
        assert (a - b).norm() <= 2e-4 * a.norm() + 1e-5 * total


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
    suits = torch.empty(64, 64, 3, 3).requires_grad_()
    assert faster_backward(False, TENSOR, suits, None, (1, 1), (1, 1), (1, 1), 1) is gradients_of
    assert faster_backward(False, TENSOR.to(weight.dtype), weight.requires_grad_(), *rest) is None


def test_neither_are_those_that_do_not_learn_or_have_few_tiles():
    weight = torch.empty(64, 64, 3, 3)
    assert faster_backward(False, TENSOR, weight) is None
    assert faster_backward(False, TENSOR[:3], weight.requires_grad_()) is None


@pytest.mark.parametrize(
    "shape,side,rest",
    [
        ((32, 64, 3, 3), 27, ()),
        ((33, 64, 3, 3), 28, ()),
        ((16, 63, 3, 3), 28, ()),
        ((32, 64, 1, 1), 28, ()),
        ((32, 64, 3, 3), 28, (None, 2)),
        ((32, 64, 3, 3), 28, (None, 1, 1, 2)),
        ((32, 64, 3, 3), 28, (None, 1, "same")),
    ],
)
def test_windows_are_for_few_channels_from_many_on_large_maps(shape, side, rest):
    def way(shape: tuple[int, ...], side: int, *rest: Any) -> Any:
        return faster_backward(
            False, torch.empty(1, shape[1], side, side), torch.empty(shape).requires_grad_(), *rest
        )

    assert way((32, 64, 3, 3), 28, None, (1, 1), (1, 1), (1, 1), 1) is by_windows
    assert way(shape, side, *rest) is None
    assert faster_backward(False, torch.empty(1, 64, 28, 28), torch.empty(32, 64, 3, 3)) is None


@pytest.mark.parametrize(
    "channels,side,rest", [(64, 59, ()), (32, 60, ()), (64, 60, (1,)), (64, 60, (0, 1)), (64, 60, (0, 0, 2))]
)
def test_other_transposed_convolutions_are_left_to_torch(channels, side, rest):
    def suits(channels: int, side: int, stride: int, *rest: Any) -> bool:
        weight = torch.empty(channels, 8, 2, 2).requires_grad_()
        return suits_transposed(torch.empty(1, channels, side, side), weight, None, stride, *rest)

    assert suits(64, 60, 2)
    assert not suits(64, 60, 1) and not suits(channels, side, 2, *rest)


def test_nothing_is_kept_where_no_gradients_are_wanted():
    x, weight = torch.zeros(4, 64, 16, 16), torch.zeros(64, 64, 3, 3).requires_grad_()
    with ConvGradients():
        assert type(F.conv2d(x, weight).grad_fn).__name__ == "ConvolvedBackward"
        with torch.no_grad():
            assert F.conv2d(x, weight).grad_fn is None


def test_torchs_functions_are_back_afterwards_and_those_of_another_thread_are_left_alone():
    x, weight, own = torch.zeros(4, 64, 7, 7), torch.zeros(64, 64, 3, 3).requires_grad_(), F.conv2d
    with pytest.raises(ZeroDivisionError), ConvGradients(half=True):
        assert F.conv2d is not own
        with torch.autocast("cpu", torch.bfloat16):
            assert type(F.conv2d(x, weight, None, 1, 1).grad_fn).__name__ == "ConvolvedBackward"
        y = F.conv2d(x, weight, None, 1, 1)  # elsewhere nothing is in bfloat16
        assert y.dtype == torch.float32 and type(y.grad_fn).__name__ == "ConvolutionBackward0"
        raise ZeroDivisionError
    assert F.conv2d is own


def test_arguments_may_be_left_out():
    x, weight = torch.zeros(4, 64, 16, 16), torch.zeros(64, 64, 3, 3).requires_grad_()
    up = torch.zeros(64, 8, 1, 1).requires_grad_()
    with ConvGradients():
        for rest in ((), (None,), (torch.zeros(64),), (None, 1), (None, 1, 0), (None, 1, 0, 1, 1)):
            assert F.conv2d(x, weight, *rest).shape == (4, 64, 14, 14)
        for rest in ((), (None,), (None, 1)):
            assert F.conv_transpose2d(torch.zeros(1, 64, 60, 60), up, *rest).shape == (1, 8, 60, 60)


def test_errors_are_torchs_own():
    with ConvGradients(), pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        F.conv2d(torch.zeros(999, 64, 2, 9), torch.zeros(64, 64, 3, 3).requires_grad_())
