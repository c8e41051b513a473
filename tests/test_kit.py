"""The kit's layers: real torch layers, one law of sizes, one idea of what lies outside the image."""

from math import ceil, floor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn

from eyespot.errors import UserError
from eyespot.kit import Blur, Kit, Pad
from eyespot.models import create
from eyespot.models.initial import initialise

PADDINGS = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}  # NumPy's names
SUBSAMPLINGS = ("paper", "max", "average", "stride")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_layers_are_torchs_own(dim):
    for kit in (Kit(dim), Kit(dim, padding="circular", blur=3), Kit(dim, subsample="max")):
        assert isinstance(kit.conv(2, 4, 3, stride=2), getattr(nn, f"Conv{dim}d"))
        assert isinstance(kit.up(2, 4, 3), getattr(nn, f"ConvTranspose{dim}d"))
    assert isinstance(Kit(dim).pool(), getattr(nn, f"MaxPool{dim}d"))
    assert isinstance(Kit(dim).pool("max", 3), getattr(nn, f"MaxPool{dim}d"))
    assert isinstance(Kit(dim).pool("average"), getattr(nn, f"AvgPool{dim}d"))
    assert isinstance(Kit(dim).norm_of(4), getattr(nn, f"BatchNorm{dim}d"))
    assert isinstance(Kit(dim, norm="instance").norm_of(4), getattr(nn, f"InstanceNorm{dim}d"))
    assert isinstance(Kit(dim, norm="group").norm_of(12), nn.GroupNorm)
    assert isinstance(Kit(dim, norm="none").norm_of(4), nn.Identity)


@settings(max_examples=60, deadline=None)
@given(
    dim=some.integers(1, 3),
    n=some.integers(8, 17),
    padding=some.sampled_from(list(PADDINGS)),
    blur=some.sampled_from([0, 2, 3, 5]),
    subsample=some.sampled_from(SUBSAMPLINGS),
    how=some.sampled_from(["max", "average", "stride"]),
)
def test_sizes_do_not_depend_on_the_choices(dim, n, padding, blur, subsample, how):
    kit = Kit(dim, padding=padding, blur=blur, subsample=subsample)
    x = torch.zeros(1, 2, *[n] * dim)
    for layer, size in (
        (kit.conv(2, 2), n),
        (kit.conv(2, 2, padded=False), n - 2),
        (kit.conv(2, 2, 3, stride=2), ceil(n / 2)),
        (kit.conv(2, 2, 1, stride=2), ceil(n / 2)),
        (kit.pool(how, 3), ceil(n / 2)),
        (kit.pool(how, 2), floor(n / 2)),
        (kit.up(2, 2, 2), 2 * n),
        (kit.up(2, 2, 3), 2 * n),
    ):
        assert layer(x).shape == (1, 2, *[size] * dim), layer


def layers(kit: Kit) -> dict[str, tuple[nn.Module, float]]:
    """Every layer that looks past an edge, and how many samples it makes of one."""
    return {
        "conv": (kit.conv(2, 2, 5), 1),
        "strided conv": (kit.conv(2, 2, 3, stride=2), 1 / 2),
        "up 2": (kit.up(2, 2, 2), 2),
        "up 3": (kit.up(2, 2, 3), 2),
        "up 4": (kit.up(2, 2, 4), 2),
        "max 3": (kit.pool("max", 3), 1 / 2),
        "max 2": (kit.pool("max", 2), 1 / 2),
        "average 3": (kit.pool("average", 3), 1 / 2),
        "average 2": (kit.pool("average", 2), 1 / 2),
        "stride": (kit.pool("stride", 3), 1 / 2),
    }


@pytest.mark.parametrize("name", layers(Kit()))
@pytest.mark.parametrize("blur", [0, 2, 3, 5])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_outside_is_what_the_padding_says(dim, padding, blur, name):
    """Oracle: the image continued by NumPy, far enough that no layer sees the new edge, and the middle cut out."""
    kit = Kit(dim, padding=padding, blur=blur)
    layer, scale = layers(kit)[name]
    shape, margin = (1, 2, *(12, 14, 16)[:dim]), 8
    x = torch.rand(shape, generator=seeded())  # positive, so that a max-pool may see zeros outside
    wide = np.pad(x.numpy(), [(0, 0)] * 2 + [(margin, margin)] * dim, PADDINGS[padding])
    with torch.no_grad():
        small, large = layer(x), layer(torch.from_numpy(wide))
    for axis in range(2, dim + 2):
        large = large.narrow(axis, int(margin * scale), small.shape[axis])
    if blur and padding != "circular" and name in ("max 3", "max 2", "strided conv"):
        # Two operations, each continued on its own: the second continues the first's output, not the image.
        inner = (..., *[slice(2, -2)] * dim)
        small, large = small[inner], large[inner]
    torch.testing.assert_close(small, large, rtol=1e-5, atol=1e-6)


def test_max_pool_ignores_zeros_outside():
    x = -torch.ones(1, 1, 8, 8)
    for size in (2, 3):
        assert Kit().pool("max", size)(x).max() == -1
        assert Kit(padding="replicate").pool("max", size)(x).max() == -1
    before_blur = Kit(blur=3).pool("max")[:-1]
    assert before_blur(x).shape == x.shape
    assert before_blur(x).max() == -1


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("taps", [2, 3, 4, 5, 7])
def test_blur_keeps_a_constant_and_removes_the_fastest_wave(dim, taps):
    blur = Blur(Kit(dim, padding="replicate", blur=taps), 2)
    torch.testing.assert_close(blur.kernel.sum(), torch.tensor(1.0))
    torch.testing.assert_close(
        blur(torch.full((1, 3, *[16] * dim), 0.7)), torch.full((1, 3, *[8] * dim), 0.7)
    )
    wave = torch.cos(torch.pi * torch.arange(16.0)).expand(1, 3, *[16] * dim)
    inner = (..., *[slice(2, -2)] * dim)
    assert blur(wave)[inner].abs().max() < 1e-6
    assert Kit(dim).pool("stride")(wave).min() == 1  # without it, the wave passes for a constant


def test_subsampling_picks_averages_or_takes_the_largest():
    x = torch.arange(6.0).reshape(1, 1, 6)
    assert Kit(1).pool("stride")(x).tolist() == [[[0, 2, 4]]]
    assert Kit(1).pool("average")(x).tolist() == [[[0.5, 2.5, 4.5]]]
    assert Kit(1).pool("max")(x).tolist() == [[[1, 3, 5]]]
    for how in ("stride", "average", "max"):
        assert torch.equal(Kit(1, subsample=how).pool("max")(x), Kit(1).pool(how)(x))
    conv = Kit(1, subsample="max").conv(1, 1, 1, stride=2)
    nn.init.ones_(conv.weight)
    assert conv(x).tolist() == [[[1, 3, 5]]]


def test_no_choice_changes_a_parameters_name():
    names = {k: v.shape for k, v in create("resnet18", width=8).state_dict().items()}
    for change in (dict(blur=3), dict(padding="circular", blur=5), dict(subsample="max"), dict(init="dirac")):
        other = create("resnet18", width=8, **change)
        assert {k: v.shape for k, v in other.state_dict().items()} == names
        other.load_state_dict(create("resnet18", width=8).state_dict())


def test_group_norm_takes_any_number_of_channels():
    for channels, groups in ((64, 8), (12, 4), (7, 1), (1, 1)):
        assert Kit(norm="group").norm_of(channels).num_groups == groups


def test_a_convolution_without_a_norm_has_a_bias():
    assert Kit(norm="none").conv(1, 1).bias is not None
    assert Kit().conv(1, 1).bias is None
    assert Kit().conv(1, 1, bias=True).bias is not None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (dict(norm="bach"), "norm is 'bach'; did you mean 'batch'?"),
        (dict(padding="mirror"), "padding is 'mirror'; known: circular, reflect, replicate, zeros"),
        (dict(dim=4), "dim is 4; known: 1, 2, 3"),
        (dict(blur=1), "blur is 1; known: 0, 2, 3, 4, 5, 6, 7"),
        (dict(dim=True), "dim is True; known: 1, 2, 3"),
        (dict(subsample="mean"), "subsample is 'mean'"),
        (dict(init="zero-last"), "init is 'zero-last'; did you mean 'zero_last'?"),
        (dict(affine="no"), "affine is 'no'"),
    ],
)
def test_an_unknown_choice_is_one_sentence(change, sentence):
    with pytest.raises(UserError, match=sentence.replace("?", r"\?")) as error:
        Kit(**change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("padding", PADDINGS)
def test_pad_may_cut(padding):
    x = torch.arange(4.0).reshape(1, 1, 4)
    assert Pad(Kit(1, padding=padding), (0, -1))(x).tolist() == [[[0, 1, 2]]]


def plain(kit: Kit, depth: int, width: int) -> nn.Sequential:
    """`depth` convolutions, each with a ReLU, and a last layer without."""
    units = [m for _ in range(depth) for m in (kit.conv(width, width, bias=True), nn.ReLU())]
    return nn.Sequential(*units, kit.conv(width, 1, 1))


@pytest.mark.parametrize(("dim", "width", "n"), [(1, 192, 16), (2, 128, 8), (3, 96, 4)])
def test_he_keeps_the_variance_through_100_layers(dim, width, n):
    """A finite width makes the logarithm wander, and down on average; a gain 5% off would bring it to 10."""
    torch.manual_seed(0)
    kit, logs = Kit(dim, norm="none", padding="circular"), []
    for _ in range(3):
        model = plain(kit, 100, width)
        initialise(model, "he")
        x = torch.randn(2, width, *[n] * dim).relu()
        with torch.no_grad():
            logs.append((model[:-1](x).square().mean() / x.square().mean()).log())
    assert torch.stack(logs).mean().abs() < 4


def test_he_counts_what_a_transposed_convolution_adds():
    torch.manual_seed(0)
    for size in (2, 3, 4):
        up = nn.Sequential(Kit(padding="circular").up(64, 64, size), nn.Linear(1, 1))
        initialise(up, "he")
        x = torch.randn(1, 64, 24, 24)
        assert up[0](x).var().item() == pytest.approx(x.var().item(), rel=0.1)


def test_dirac_passes_the_image_through_100_layers():
    for dim in (1, 2, 3):
        model = plain(Kit(dim, norm="none", padding="circular"), 100, 4)
        initialise(model, "dirac")
        x = torch.rand(1, 4, *[5] * dim)
        torch.testing.assert_close(model[:-1](x), x)


def test_zero_last_starts_each_block_as_its_shortcut():
    model = create("resnet110", init="zero_last").eval()
    x = torch.rand(1, 16, 8, 8)
    torch.testing.assert_close(model.layer1(x), x)
    with pytest.raises(UserError, match="DenseNet"):
        create("densenet_bc_100_12", depths=(1, 1), init="zero_last")
    with pytest.raises(UserError, match="ResNet"):
        create("resnet20", norm="none", init="zero_last")
