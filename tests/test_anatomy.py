"""Descriptions against the papers, against numbers counted by hand, and against what NaN reaches."""

import ast
import json
from collections import Counter
from functools import cache
from math import inf, prod
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import eyespot.anatomy
from eyespot.anatomy import describe, draw, effective_field
from eyespot.anatomy.measure import run_as_predicting, run_as_training
from eyespot.errors import UserError
from eyespot.inspection import inspect
from eyespot.models import create, presets
from eyespot.weights.card import NAME, Card, write_model

FIELDS = {  # He et al., Simonyan & Zisserman, ... by the recursion of Araujo et al. 2019; U-Net by phase
    **{"resnet18": [435], "resnet34": [899], "resnet50": [427], "resnet101": [971]},
    **{"vgg11": [150], "vgg16": [212], "vgg19_bn": [268]},
    **{"densenet121": [2071], "densenet169": [3351]},
    **{"unet": [188, 204]},
}
STAGES = {
    "resnet18": [43, 99, 211, 435],
    "resnet34": [59, 179, 547, 899],
    "resnet50": [35, 91, 267, 427],
    "resnet101": [35, 91, 811, 971],
}
PARAMETERS = {
    **{"vgg19": 143_667_240, "resnet152": 60_192_808, "densenet121": 7_978_856, "resnet110": 1_727_962},
    **{"densenet_bc_100_12": 769_162, "unet": 31_030_658, "unet3d": 19_069_955, "fcdensenet103": 9_322_091},
}
# By hand from the shapes: the published 1.8, 4.1 and 15.5 billion, to the unit.
MULTIPLY_ADDS = {"resnet18": 1_814_073_344, "resnet50": 4_089_184_256, "vgg16": 15_470_264_320}


# Left out below: the same layers as their smaller relatives, more of them.
DEEP = "densenet161 densenet169 densenet201 densenet100_12 densenet100_24 densenet_bc_190_40 fcdensenet67".split()

own = cache(inspect)  # each preset as it is, described once for all tests


@pytest.mark.parametrize("name", FIELDS)
def test_receptive_fields_of_the_papers(name):
    found = own(name).as_dict()
    assert found["receptive_fields"] == [FIELDS[name]] * 2
    assert found["receptive_field"] == max(FIELDS[name])
    assert found["total_stride"] == (16 if name == "unet" else 32)


@pytest.mark.parametrize("name", STAGES)
def test_receptive_fields_of_the_stages(name):
    by_name = {x["name"]: x for x in own(name).as_dict()["layers"]}
    assert [by_name[f"layer{k}"]["receptive_field"] for k in (1, 2, 3, 4)] == STAGES[name]
    assert [by_name[f"layer{k}"]["stride"] for k in (1, 2, 3, 4)] == [4, 8, 16, 32]


def test_the_receptive_field_of_the_unpadded_unet_and_its_bottom():
    found = inspect("unet", padded=False)
    assert found.output_shape == (2, 388, 388)
    by_name = {x["name"]: x for x in found.as_dict()["layers"]}
    assert by_name["bottom"]["receptive_fields"] == [[140]] * 2
    assert by_name["head"]["receptive_fields"] == [[188, 204]] * 2
    assert by_name["head"]["stride"] == 1


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_receptive_field_is_the_same_in_every_rank_and_size(dim):
    for size in (32, 45):
        found = inspect("resnet20", dim=dim, size=size).as_dict()
        assert found["receptive_fields"] == [[81]] * dim


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_to_the_unit(name):
    found = own(name)
    assert found.parameters == PARAMETERS[name]
    assert sum(x.own_parameters for x in found.layers) == PARAMETERS[name]


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_multiply_adds_to_the_unit(name):
    found = own(name)
    assert found.multiply_adds == MULTIPLY_ADDS[name]
    assert sum(x.own_multiply_adds for x in found.layers) == MULTIPLY_ADDS[name]


@pytest.mark.parametrize("name", [n for n in presets() if n not in DEEP])
def test_presets_are_followed_to_the_end(name):
    found = own(name)
    assert found.notes == []
    assert isinstance(found.receptive_field, int)
    assert found.layers[0].parameters == found.parameters
    assert found.layers[0].multiply_adds == found.multiply_adds
    assert found.training_bytes == found.layers[0].training_bytes


# The receptive field against a NaN in one sample: what it reaches depends on that sample.


def reached(model: nn.Module, channels: int, size: int) -> list[set[int]]:
    """For each output position of a 1-D network, the input samples of which a NaN arrives there."""
    x = torch.zeros(size, channels, size, dtype=torch.float64)
    x[torch.arange(size), :, torch.arange(size)] = torch.nan
    with torch.no_grad():
        y = model.double().eval()(x)
    arrived = y.isnan().any(1).numpy()  # (sample with the NaN, output position)
    return [set(np.flatnonzero(column).tolist()) for column in arrived.T]


def agrees(model: nn.Module, channels: int, size: int, border: bool = True) -> None:
    """At every position, the ends of what is seen are those that are predicted, cut by the image."""
    seen = reached(model, channels, size)
    _, follower, _, _ = run_as_predicting(model.float(), (channels, size), "meta")
    (axis,) = follower.last
    whole = 0
    for i, samples in enumerate(seen):
        low, high = axis.fields.at(i)
        if low == inf:
            assert not samples
        elif 0 <= low and high < size:
            whole += 1
            assert (min(samples), max(samples)) == (low, high)
        elif border:
            assert all(low <= s <= high for s in samples), f"position {i} sees {samples}, not {low} to {high}"
    assert whole >= axis.fields.period, "no whole period is away from the border"


class Meeting(nn.Module):
    """Paths of different lengths that meet, apart by an odd number of samples."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(2, 2, 3, padding=1), nn.Conv1d(2, 2, 5, padding=8, dilation=4)
        self.down, self.up = nn.Conv1d(2, 2, 3, 2, 1), nn.ConvTranspose1d(2, 2, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x) + self.b(x)
        return torch.cat([self.up(self.down(y)), x], 1)[:, :, 3:-2]


class Cropped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.narrow(2, 3, x.shape[2] - 5)


NETS = {
    "cropped": Cropped,
    "nearest exact": lambda: nn.Sequential(
        nn.MaxPool1d(3), nn.Upsample(scale_factor=2, mode="nearest-exact")
    ),
    "resnet identity": lambda: create("resnet20", dim=1, width=2, depths=(1, 2, 1)),
    "resnet blur": lambda: create("resnet18", dim=1, width=2, depths=(1, 1, 1), blur=3, subsample="max"),
    "densenet": lambda: create("densenet40_12", dim=1, width=2, growth=2, depths=(2, 2)),
    "small blur": lambda: create("small", dim=1, stem=2, widths=(2, 2), blur=4),
    "unet": lambda: create("unet_bn", dim=1, width=2, levels=4),
    "unet unpadded": lambda: create("unet", dim=1, width=2, levels=3, padded=False, channels=3),
    "fcdensenet": lambda: create("fcdensenet56", dim=1, width=2, growth=1, depths=(1, 2), bottom=2),
    "meeting": Meeting,
    "dilated": lambda: nn.Sequential(nn.Conv1d(3, 2, 3, dilation=3), nn.AvgPool1d(3, 2), nn.Conv1d(2, 2, 2)),
    "gaps": lambda: nn.Sequential(nn.Conv1d(3, 2, 3, 2), nn.ConvTranspose1d(2, 2, 2, 3), nn.ReLU()),
    "overlap": lambda: nn.Sequential(nn.ConvTranspose1d(3, 2, 5, 2, 1), nn.Conv1d(2, 2, 3, 3)),
    "same": lambda: nn.Sequential(nn.Conv1d(3, 2, 5, padding="same"), nn.MaxPool1d(3, 2, 1, ceil_mode=True)),
    "nearest": lambda: nn.Sequential(nn.MaxPool1d(2), nn.Upsample(scale_factor=3), nn.Conv1d(3, 2, 3)),
    "linear": lambda: nn.Sequential(nn.AvgPool1d(2), nn.Upsample(scale_factor=2, mode="linear")),
    "adaptive": lambda: nn.Sequential(nn.Conv1d(3, 2, 3, padding=1), nn.AdaptiveAvgPool1d(36)),
}


@pytest.mark.parametrize("name", NETS)
def test_receptive_field_is_what_nan_reaches(name):
    torch.manual_seed(0)
    model = NETS[name]()
    net = getattr(model, "features", None) if name == "densenet" else None
    if hasattr(model, "fc"):  # a classifier: up to its last layer with positions
        layers = [m for n, m in model.named_children() if n != "fc"]
        net = nn.Sequential(*layers)
    border = name != "linear"  # where torch adds 0 times a sample that is not seen, and 0 times NaN is NaN
    agrees(net or model, 2 if name == "meeting" else 3, 192, border)


def test_axes_are_followed_apart():
    model = nn.Sequential(nn.Conv2d(1, 2, (3, 5), (1, 2)), nn.MaxPool2d((2, 1)))
    found = describe(model, (1, 20, 30))
    assert found.as_dict()["receptive_fields"] == [[4], [5]]
    assert found.as_dict()["layers"][-1]["stride"] == 2
    assert found.layers[1].as_dict()["stride"] == [1, 2]
    assert "4 x 5" in str(found)


# Networks that are not ours.


class Squeezed(nn.Module):
    """Squeeze and excitation: each value is scaled by one that depends on all of the image."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool, self.gate = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.gate(self.pool(x)).sigmoid()


def test_a_gate_sees_the_whole_image():
    found = describe(Squeezed(), (3, 16, 16))
    assert found.receptive_field == "all"
    assert found.layers[1].as_dict()["receptive_field"] == 3
    assert found.notes == []


class Scaled(nn.Module):
    """Each value times one that a filter as long as the image makes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 16)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv(x)


def test_one_value_for_every_position_is_seen_from_everywhere():
    assert describe(Scaled(), (1, 16)).receptive_field == "all"


def test_no_values_are_needed():
    found = describe(nn.Conv3d(1, 1, 3, padding=1), (1, 8192, 8192, 8192))
    assert found.forward_bytes == 2 * 4 * 8192**3


class Rolled(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.roll(self.a(x), 1, 2))


def test_what_cannot_be_followed_is_said():
    found = describe(Rolled(), (1, 16))
    assert found.receptive_field is None and found.as_dict()["total_stride"] is None
    assert [x.as_dict()["receptive_field"] for x in found.layers] == [None, 3, None]
    assert found.notes == ["the receptive field is not followed through roll"]
    assert found.multiply_adds == 3 * 14 + 3 * 12


def test_statistics_over_the_image_are_noted():
    found = describe(create("resnet20", norm="group", width=8), (3, 32, 32))
    assert found.receptive_field == 81
    assert found.notes == [
        "the statistics of group_norm are taken as constants; they depend on all the image"
    ]


class NeedsValues(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * (1 if x.sum().item() >= 0 else 2)


def test_a_network_that_looks_at_values_is_run_with_them():
    found = describe(NeedsValues(), (1, 16))
    assert (found.receptive_field, found.multiply_adds, found.parameters) == (3, 2 * 3 * 14, 8)


def test_a_shared_layer_is_counted_once_and_multiplied_twice():
    conv = nn.Conv1d(2, 2, 3, padding=1)
    found = describe(nn.Sequential(conv, nn.ReLU(), conv), (2, 10))
    assert found.parameters == sum(x.own_parameters for x in found.layers) == 14
    assert found.multiply_adds == 2 * (2 * 2 * 3 * 10)
    assert found.receptive_field == 5


# Memory and dense layers.


def test_memory_by_hand():
    """conv 1 -> 4 on 8 x 8, ReLU, conv 4 -> 2: float32 is 4 bytes."""
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
    found = describe(model, (1, 8, 8))
    one = 4 * 64
    assert [x.forward_bytes for x in found.layers] == [2 * one, 4 * one, 4 * one, 2 * one]
    assert found.forward_bytes == one + 4 * one + 4 * one  # the image, the maps before and after the ReLU
    assert found.training_bytes == one + 4 * one  # the image, and the ReLU's output that serves both
    assert [x.training_bytes for x in found.layers] == [5 * one, one, 4 * one, 0]


@pytest.mark.parametrize("name", ["resnet20", "densenet40_12", "unet_bn", "vgg11_bn"])
def test_memory_without_values_is_memory_with_them(name):
    small = {"resnet20": dict(width=4), "densenet40_12": dict(width=4, growth=2, depths=(2, 2))}
    small |= {"unet_bn": dict(width=2, levels=3), "vgg11_bn": dict(width=2, hidden=8)}
    model, shape = create(name, dim=2, **small[name]), (3, 32, 32)
    dry, wet = run_as_predicting(model, shape, "meta")[2], run_as_predicting(model, shape, "cpu")[2]
    assert dry.multiply_adds == wet.multiply_adds
    assert 0 <= dry.peak - wet.peak <= 64  # without values, a batch norm makes its statistics in eval as well
    assert Counter(run_as_training(model, shape, "meta")) == Counter(run_as_training(model, shape, "cpu"))


def test_a_dense_layer_in_place_of_each_convolution():
    found = own("vgg16")
    first = next(x for x in found.layers if x.dense)
    assert first.dense == 3 * 224**2 * 64 * 224**2 + 64 * 224**2
    assert first.own_parameters == 1792
    pointwise = describe(nn.Conv1d(2, 3, 1, bias=False), (2, 1))
    assert pointwise.layers[0].dense == pointwise.parameters == 6


# The effective receptive field.


def test_the_effective_field_of_averages_is_known():
    """n uniform 3-wide filters have the n-fold convolution of ones as their gradient, for any image."""
    n, share = 8, 0.95
    model = nn.Sequential(*(nn.Conv1d(1, 1, 3, padding=1, bias=False) for _ in range(n)))
    for layer in model:
        nn.init.constant_(layer.weight, 1 / 3)
    taps = np.ones(1)
    for _ in range(n):
        taps = np.convolve(taps, np.ones(3) / 3)
    energy = taps**2 / (taps**2).sum()
    half = next(r for r in range(n + 1) if energy[n - r : n + r + 1].sum() >= share)
    found = effective_field(model, (1, 41), images=5)
    assert (found.value, found.low, found.high, found.n) == (2 * half + 1,) * 3 + (5,)
    assert found.value < 2 * n + 1


def test_the_effective_field_is_within_the_theoretical_and_repeatable():
    torch.manual_seed(0)
    model = create("resnet20", width=4, depths=(1, 1, 1), dim=2)
    one, two = (describe(model, (3, 33, 33), effective=True).as_dict() for _ in range(2))
    found = one["effective_field"]
    assert found == two["effective_field"]
    assert 1 <= found["low"] <= found["value"] <= found["high"] <= one["receptive_field"]
    assert found["n"] == 16


def test_the_effective_field_depends_on_the_seed_alone():
    torch.manual_seed(0)
    model = create("resnet20", width=4, depths=(1, 1, 1), dim=1)
    one, two = (
        [effective_field(model, (3, 64), images=1, seed=s).value for s in range(12)] for _ in range(2)
    )
    assert one == two
    assert len(set(one)) > 1


# What is asked for, and what comes back.


def test_the_model_is_left_as_it_was():
    model = create("resnet20", width=4, depths=(1, 1, 1)).train()
    model.bn1.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    describe(model, (3, 16, 16), effective=True)
    describe(NeedsValues(), (1, 16))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert modes == [m.training for m in model.modules()]
    assert all(p.grad is None and p.device.type == "cpu" for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_batch_norm_with_values_is_left_as_it_was():
    model = nn.Sequential(NeedsValues(), nn.BatchNorm1d(2))
    describe(model, (1, 16))
    assert torch.equal(model[1].running_mean, torch.zeros(2)) and model[1].num_batches_tracked == 0


def test_one_document_and_one_text():
    found = inspect("resnet18", size=64, classes=7, channels=1)
    document = json.loads(json.dumps(found.as_dict()))
    assert {"parameters", "multiply_adds", "receptive_field", "total_stride", "layers"} <= document.keys()
    assert (document["shape"], document["output_shape"]) == ([1, 64, 64], [7])
    text = str(found)
    assert "435, larger than the image's 64" in text
    assert "layer3 Sequential" in text and "conv2 Conv2d" in text
    assert len(found.table(1).splitlines()) == 1 + sum(x.depth <= 1 for x in found.layers)


@pytest.mark.parametrize("name", ["unet", "densenet121", "resnet50"])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_text_fits_its_width_and_breaks_no_word(name, width):
    found = own(name)
    wide, narrow = found.table(width=1000), found.table(width=width)
    words = set(f"{found.summary(1000)} {wide}".split())
    note = set() if "Not shown" not in narrow else set(narrow[narrow.index("Not shown") :].split())
    assert set(found.summary(width).split()) <= words and set(narrow.split()) <= words | note
    assert max(map(len, f"{found.summary(width)}\n{narrow}".splitlines())) <= width
    assert "\x1b" not in narrow and ("Not shown" in narrow) == (width < max(map(len, wide.splitlines())))
    assert all(layer.label in narrow for layer in found.layers)


def test_a_pipe_gets_whole_lines(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert own("resnet50").table() == own("resnet50").table(width=1000)


@pytest.mark.parametrize(
    "path", sorted(Path(eyespot.anatomy.__file__).parent.glob("*.py")), ids=lambda p: p.stem
)
def test_the_modules_import_in_no_circle(path):
    """Imports go one way, inside functions too."""
    order = "field axes rules follow state effective table description measure picture taps gradients __init__".split()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("eyespot.anatomy"):
            names = (
                [node.module.split(".")[2]] if node.module.count(".") > 1 else [a.name for a in node.names]
            )
            assert all(order.index(name) < order.index(path.stem) for name in names), node.lineno


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_a_picture(tmp_path, ending):
    path = draw(inspect("unet", size=64), tmp_path / f"unet{ending}")
    start = path.read_bytes()[:200]
    assert start.startswith(b"\x89PNG") or b"<?xml" in start
    with pytest.raises(UserError, match="end its name in"):
        draw(inspect("small"), tmp_path / "small.txt")


def test_a_run_is_described_as_it_was_trained(tmp_path):
    changes = dict(stem=4, widths=[4, 8])
    network = create("small", classes=3, channels=1, stem=4, widths=(4, 8))
    preprocessing = dict(
        size=20, side=24, fit="pad", channels=1, accepts=["L"], depth=8, mean=[0.5], std=[0.2]
    )
    write_model(tmp_path / NAME, network.state_dict(), Card("small", changes, ["a", "b", "c"], preprocessing))
    for run in (tmp_path, tmp_path / NAME):
        found = inspect(run)
        assert (found.shape, found.output_shape) == ((1, 24, 24), (3,))
        assert found.parameters == sum(prod(p.shape) for p in network.parameters())
    assert inspect(tmp_path, size=48).shape == (1, 48, 48)
    with pytest.raises(UserError, match="classes cannot be changed"):
        inspect(tmp_path, classes=5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda p: inspect("resnet81"), "'resnet81' is neither .* did you mean 'resnet18'"),
        (lambda p: inspect(p), "holds no model.safetensors"),
        (lambda p: inspect("vgg16", size=16), "needs at least 32 samples"),
        (lambda p: inspect("resnet18", size=0), "size is 0"),
        (lambda p: inspect("resnet18", size=-4), "size is -4"),
        (lambda p: inspect("resnet18", size=(32, 32, 32)), "size has 3 numbers"),
        (lambda p: inspect("resnet18", dim=4), "dim is 4"),
        (lambda p: inspect("resnet18", classes=0), "classes is 0"),
        (lambda p: inspect("resnet18", widht=3), "did you mean 'width'"),
        (lambda p: describe(nn.Conv2d(3, 1, 3), (1, 8, 8)), "cannot take an image of shape"),
        (lambda p: describe(nn.Conv2d(3, 1, 3), (3,)), "one to three axes"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, call, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        call(tmp_path)
    assert "\n" not in str(error.value)
