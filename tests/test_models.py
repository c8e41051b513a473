"""The networks against their papers, against torchvision, and against what symmetry promises."""

import hashlib
import importlib.util
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from contract import CHECKS
from eyespot.errors import UserError
from eyespot.kit import Kit
from eyespot.models import PRESETS, create, presets
from eyespot.models.initial import Up
from eyespot.models.network import Network

GOLDEN = json.loads((Path(__file__).parent / "golden" / "torchvision.json").read_text())["networks"]

PARAMETERS = {  # as counted in the papers or from their authors' code; torchvision's are in GOLDEN
    **{
        "resnet20": 269_722,
        "resnet32": 464_154,
        "resnet44": 658_586,
        "resnet56": 853_018,
        "resnet110": 1_727_962,
    },
    **{"densenet40_12": 1_019_722, "densenet100_12": 6_979_642, "densenet100_24": 27_249_082},
    **{"densenet_bc_100_12": 769_162, "densenet_bc_190_40": 25_624_430},
    **{"unet": 31_030_658, "unet3d": 19_069_955},
    **{"fcdensenet56": 1_376_795, "fcdensenet67": 3_463_243, "fcdensenet103": 9_322_091},
}

# Each kind of network made small: what `create` is given instead of the paper's sizes.
SMALL_RESNET = dict(width=4, depths=(1, 1, 1))
SMALL_DENSENET = dict(width=16, depths=(1, 2, 1), growth=8)
KINDS = {
    "vgg11": dict(width=2, hidden=8, depths=(1, 1, 1)),
    "vgg11_bn": dict(width=2, hidden=8, depths=(1, 1, 1)),
    "resnet18": SMALL_RESNET,
    "resnet50": dict(width=4, depths=(1, 1, 2)),
    "resnet20": SMALL_RESNET,
    "densenet121": SMALL_DENSENET,
    "densenet40_12": SMALL_DENSENET,
    "densenet_bc_100_12": SMALL_DENSENET,
    "unet": dict(width=4, levels=3),
    "unet_bn": dict(width=4, levels=3),
    "unet3d": dict(width=4, levels=3),
    "fcdensenet56": dict(width=4, growth=2, depths=(1, 2), bottom=1),
}
CHANGES = [
    dict(padding="circular", blur=3),
    dict(padding="reflect", blur=5, norm="group"),
    dict(padding="replicate", subsample="average", norm="instance"),
    dict(subsample="stride", blur=2, norm="none"),
    dict(subsample="max", init="dirac"),
]


def built(name: str) -> bool:
    return importlib.util.find_spec(PRESETS[name][0].split(":")[0]) is not None


ALL = [name for name in presets() if built(name)]
if "small" in ALL:
    KINDS["small"] = dict(stem=4, widths=(4, 8))
    KINDS["tiny"] = dict(stem=4, widths=(4, 8))

MASKS = ("unet", "unet_bn", "unet3d", "fcdensenet56")  # the kinds whose logits have the image's axes
CLASSIFIERS = {name: sizes for name, sizes in KINDS.items() if name not in MASKS}
# With a grid, the dense layers see positions.
CLASSIFIERS |= {vgg: {**KINDS[vgg], "grid": 1} for vgg in ("vgg11", "vgg11_bn")}


def seeded(name: str, seed: int = 0, **changes) -> nn.Module:
    torch.manual_seed(seed)
    return create(name, **changes)


def on_meta(name: str, **changes) -> nn.Module:
    with torch.device("meta"):
        return create(name, **changes)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def far(a: Tensor, b: Tensor) -> float:
    """The largest difference over the largest value."""
    return ((a - b).abs().max() / b.abs().max()).item()


# The contract for each kind of network and each rank, and for every preset at its own depth (slow). Exporting takes
# seconds: one rank of each kind by default, the others are slow.
*QUICK_CHECKS, EXPORTS = CHECKS
named = {"ids": lambda check: check.__name__}
slow = pytest.mark.slow
OTHER_KITS = ["vgg11_bn", "resnet18", "resnet20", "densenet121", "unet_bn", "fcdensenet56"]
RANK = dict.fromkeys(KINDS, 2) | {"unet3d": 3, "resnet20": 1}


@pytest.mark.parametrize("check", QUICK_CHECKS, **named)
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("name", KINDS)
def test_contract(name, dim, check):
    check(partial(seeded, name, dim=dim, **KINDS[name]), dim)


@pytest.mark.parametrize(
    ("name", "dim"),
    [pytest.param(n, d, marks=[] if d == RANK[n] else slow) for n in KINDS for d in (1, 2, 3)],
)
def test_contract_of_export(name, dim):
    EXPORTS(partial(seeded, name, dim=dim, **KINDS[name]), dim)


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("check", [*QUICK_CHECKS, pytest.param(EXPORTS, marks=slow)], **named)
@pytest.mark.parametrize("name", OTHER_KITS)
def test_contract_under_other_kits(name, check, change):
    check(partial(seeded, name, **KINDS[name], **change), 2)


@pytest.mark.parametrize("check", CHECKS, **named)
def test_contract_of_the_unpadded_unet(check):
    check(partial(seeded, "unet", padded=False, width=4, levels=3), 2)


NARROW = {"VGG": dict(width=8, hidden=32), "DenseNet": dict(width=16, growth=8), "ResNet": dict(width=8)}
NARROW |= {"UNet": dict(width=4), "FCDenseNet": dict(width=8, growth=4), "Small": dict(stem=4)}


def narrow(name: str, dim: int):
    """A way to make a preset at its own depth, with few channels."""
    return partial(seeded, name, dim=dim, **NARROW[PRESETS[name][0].split(":")[1]])


@slow
@pytest.mark.parametrize("check", QUICK_CHECKS, **named)
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("name", ALL)
def test_contract_at_full_depth(name, dim, check):
    check(narrow(name, dim), dim)


@slow
@pytest.mark.parametrize("name", ALL)
def test_contract_of_export_at_full_depth(name):
    dim = RANK.get(name, 2)
    EXPORTS(narrow(name, dim), dim)


# Sizes and names.
@pytest.mark.parametrize("name", [name for name in ALL if name in PARAMETERS or name in GOLDEN])
def test_parameters_to_the_unit(name):
    assert count(on_meta(name)) == (PARAMETERS.get(name) or GOLDEN[name]["parameters"])


def test_parameters_of_other_published_forms():
    assert count(on_meta("unet", channels=3)) == 31_031_810
    assert count(on_meta("unet_bn", channels=3, classes=1)) == 31_043_521
    assert count(on_meta("densenet_bc_100_12", growth=24, width=48, depths=(41, 41, 41))) == 15_324_406
    assert count(on_meta("densenet121", depths=(6, 12, 64, 48))) == 33_337_704  # DenseNet-264
    assert count(on_meta("resnet20", depths=(200, 200, 200))) == 19_421_274  # ResNet-1202
    assert count(on_meta("resnet152")) < count(on_meta("vgg19")) / 2


@pytest.mark.parametrize("name", GOLDEN)
def test_names_shapes_and_order_are_torchvisions(name):
    tensors = [[k, list(v.shape)] for k, v in on_meta(name).state_dict().items() if "num_batches" not in k]
    text = json.dumps(tensors, separators=(",", ":"))
    assert len(tensors) == GOLDEN[name]["tensors"]
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN[name]["names_and_shapes"]


def uniform(n: int, phase: float) -> np.ndarray:
    """n numbers of mean 0 and variance 1 from a hash of their position."""
    a = np.sin(12.9898 * np.arange(1, n + 1, dtype=np.float64) + phase) * 43758.5453
    return (2 * (a - np.floor(a)) - 1) * np.sqrt(3)


def fill(model: nn.Module) -> None:
    """The fixed weights that the golden logits were computed with."""
    tensors = {k: v for k, v in model.state_dict().items() if "num_batches" not in k}
    for index, (name, tensor) in enumerate(tensors.items()):
        a = uniform(tensor.numel(), 78.233 * (index + 1))
        if tensor.dim() >= 2:
            a *= np.sqrt(2 / tensor[0].numel())
        elif name.endswith(("running_var", "weight")):
            a = 1 + 0.1 * a
        else:
            a *= 0.1
        tensor.copy_(torch.from_numpy(a.reshape(tensor.shape)))


QUICK = ("resnet18", "resnet50", "densenet121")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else slow) for n in GOLDEN])
def test_logits_are_torchvisions(name):
    golden, model = GOLDEN[name], create(name).eval()
    fill(model)
    image = torch.from_numpy(uniform(2 * 3 * 64 * 64, 0.0).reshape(2, 3, 64, 64) / np.sqrt(3)).float()
    with torch.no_grad():
        logits = model(image).double()
    rms = golden["norm"] / logits.numel() ** 0.5
    assert (logits[:, :8] - torch.tensor(golden["first8"]).double()).abs().max() < 1e-4 * rms
    assert logits.norm().item() == pytest.approx(golden["norm"], rel=1e-4)
    assert logits.argmax(1).tolist() == golden["argmax"]


def test_the_papers_unet_sees_572_and_answers_388():
    model = on_meta("unet", padded=False)
    assert model(torch.zeros(1, 1, 572, 572, device="meta")).shape == (1, 2, 388, 388)
    assert model(torch.zeros(1, 1, 188, 188, device="meta")).shape == (1, 2, 4, 4)
    volume = on_meta("unet3d", padded=False)
    assert volume(torch.zeros(1, 3, 116, 132, 132, device="meta")).shape == (1, 3, 28, 44, 44)


def test_the_unpadded_unet_is_the_middle_of_the_padded_one():
    torch.set_grad_enabled(False)
    valid, same = (seeded("unet", width=4, padded=p).eval() for p in (False, True))
    x = torch.randn(1, 1, 316, 300)
    y = valid(x)
    assert far(y, same(nn.functional.pad(x, [2, 2, 2, 2]))[:, :, 94:-94, 94:-94]) < 1e-5
    torch.set_grad_enabled(True)


# What symmetry promises.
@pytest.mark.parametrize(
    "change", [dict(), dict(blur=3), dict(subsample="max"), dict(blur=2, subsample="average")]
)
@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.no_grad()
def test_a_circular_shift_by_the_total_stride_changes_nothing(name, change):
    model = seeded(name, padding="circular", **CLASSIFIERS[name], **change).eval()
    size = [2 * model.total_stride, 3 * model.total_stride]
    x = torch.randn(2, model.channels, *size)
    y = model(x)
    s = model.total_stride
    for shift in [(s, 0), (0, s), (s, -s)]:
        assert far(model(x.roll(shift, (2, 3))), y) < 1e-5
    assert far(model(x.roll(1, 3)), y) > 1e-5 or change  # the law is about the stride, not about any shift


@pytest.mark.parametrize("name", MASKS)
@torch.no_grad()
def test_a_circular_shift_by_the_total_stride_shifts_the_mask(name):
    model = seeded(name, dim=2, padding="circular", **KINDS[name]).eval()
    x = torch.randn(1, model.channels, 4 * model.total_stride, 3 * model.total_stride)
    shifted = model(x.roll(model.total_stride, 2))
    assert far(shifted, model(x).roll(model.total_stride, 2)) < 1e-5


@torch.no_grad()
def test_blur_makes_resnet18_five_times_steadier():
    """The change of the logits when a random image moves by one pixel, around a circle, with fresh weights."""
    change = {}
    for blur in (0, 3):
        model = seeded("resnet18", padding="circular", blur=blur).eval()
        x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        y = model(x)
        change[blur] = sum((model(x.roll(1, axis)) - y).square().mean().sqrt() for axis in (2, 3))
    assert change[0] > 5 * change[3]


def slices(model: nn.Module, of: nn.Module) -> None:
    """Give a network the weights of one with fewer axes, as the middle slice of each kernel.

    A transposed convolution makes two samples of one along the new axis: two slices, one for each.
    """
    for new, old in zip(model.modules(), of.modules(), strict=True):
        values = dict(old.named_parameters(recurse=False))
        for name, tensor in new.named_parameters(recurse=False):
            value = values[name]
            if value.dim() == tensor.dim():
                tensor.copy_(value)
                continue
            doubles, middle = isinstance(new, Up), (tensor.shape[2] - 1) // 2
            tensor.zero_().narrow(2, middle, 2 if doubles else 1).copy_(value.unsqueeze(2))


@pytest.mark.parametrize("blur", [0, 3])
@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20"])
@torch.no_grad()
def test_an_axis_of_length_one_is_no_axis(name, dim, blur):
    """The image as one row: whatever padding adds beside it meets no kernel value."""
    change = dict(blur=blur, padding="replicate") if blur else {}
    low, high = (seeded(name, dim=d, **KINDS[name], **change).eval() for d in (dim, dim + 1))
    slices(high, low)
    x = torch.randn(2, 3, *(40, 37)[:dim])
    assert far(high(x[:, :, None]), low(x)) < 1e-5


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_an_axis_without_change_is_no_axis(name, dim):
    """The image repeated along a new axis; kernels that are a slice of it. It serves networks that halve any axis."""
    sizes = CLASSIFIERS.get(name, KINDS[name])
    low, high = (seeded(name, dim=d, **sizes).eval() for d in (dim, dim + 1))
    slices(high, low)
    n = 2 * low.total_stride
    x = torch.randn(2, low.channels, *(n, n + low.total_stride)[:dim])
    y = low(x)
    if y.dim() > 2:
        y = y[:, :, None].expand(-1, -1, n, *y.shape[2:])
    assert far(high(x[:, :, None].expand(-1, -1, n, *x.shape[2:])), y) < 1e-5


# At the door.
@pytest.mark.parametrize(
    ("name", "change", "shape", "sentence"),
    [
        (
            "resnet18",
            {},
            (3, 64, 64),
            r"this ResNet takes a batch of shape \(B, 3, H, W\), not \(3, 64, 64\)",
        ),
        ("resnet18", {}, (2, 1, 64, 64), r"built for 3 channels; \(2, 1, 64, 64\) has 1"),
        ("vgg11", {}, (1, 3, 64, 31), r"needs at least 32 samples along each axis; \(1, 3, 64, 31\) has 31"),
        ("densenet121", {}, (1, 3, 28, 64), "needs at least 29"),
        ("unet", {}, (1, 1, 15, 64), "needs at least 16"),
        ("unet", dict(padded=False), (1, 1, 187, 300), "needs at least 188"),
        ("resnet18", dict(padding="reflect"), (1, 3, 32, 32), "padding 'reflect'.* needs at least 33"),
        ("resnet18", dict(padding="circular"), (1, 3, 2, 2), "padding 'circular'.* needs at least 3"),
        ("fcdensenet56", dict(padding="reflect"), (1, 3, 63, 64), "needs at least 64"),
        (
            "resnet18",
            {},
            (1, 3, 32, 32),
            "reduces .* to one value per channel, of which batch norm has no variance",
        ),
        ("resnet20", dict(norm="instance"), (2, 3, 4, 4), "instance norm has no variance"),
        ("unet_bn", {}, (1, 3, 16, 16), "more than 16 samples"),
    ],
)
def test_an_impossible_image_is_one_sentence(name, change, shape, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        on_meta(name, **change)(torch.zeros(shape, device="meta"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("padding", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("blur", [0, 3, 7])
@pytest.mark.parametrize("name", [n for n in KINDS if n != "tiny"])
@torch.no_grad()
def test_the_smallest_image_is_the_smallest(name, blur, padding):
    model = seeded(name, dim=2, padding=padding, blur=blur, **KINDS[name]).eval()
    assert model(torch.zeros(2, model.channels, model.smallest, model.smallest)).isfinite().all()
    n, model.smallest = model.smallest - 1, 0
    if n > 0 and name in CLASSIFIERS:  # a U-Net could fill a smaller image up, with more outside than image
        with pytest.raises(RuntimeError):
            model(torch.zeros(2, model.channels, n, n))


@torch.no_grad()
def test_lone_is_the_largest_image_that_ends_as_one_sample():
    for name in ("small", "resnet18", "resnet20", "densenet121", "unet_bn", "fcdensenet56"):
        model = seeded(name, dim=2, norm="instance", **KINDS[name]).eval()
        n = model.max_collapsing_size
        assert model(torch.zeros(1, 3, n + 1, n)).isfinite().all()
        model.max_collapsing_size = 0
        with pytest.raises(ValueError, match="Expected more than 1 spatial element"):
            model(torch.zeros(1, 3, n, n))


# By name.
def test_the_list_of_presets_needs_no_torch():
    code = "import sys; from eyespot.models import presets; assert 'resnet18' in presets(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_preset_of_the_papers_is_there():
    ours = [
        "tiny",
        "small",
        "small_w128",
        "small_w16",
        "small_w32",
        "small_w96",
        "resnet18_w16",
        "resnet18_w32",
    ]
    centred = [f"resnet{n}_centred" for n in (20, 32, 44, 56, 110)]
    named = [*ours, *centred, *GOLDEN, *PARAMETERS, "unet_bn", "unet_narrow"]
    assert sorted(named) == sorted(presets())


@pytest.mark.parametrize(
    ("name", "dim"),
    [pytest.param(n, d, marks=[] if d == 2 or n in KINDS else slow) for n in ALL for d in (1, 2, 3)],
)
def test_a_preset_takes_any_classes_channels_and_rank(name, dim):
    model = on_meta(name, classes=7, channels=2, dim=dim)
    assert isinstance(model.kit, Kit)
    assert model.kit.dim == dim
    n = 2 * model.total_stride
    y = model(torch.zeros(2, 2, *[n + 1] * dim, device="meta"))
    assert y.shape in ((2, 7), (2, 7, *[n + 1] * dim))


def test_the_defaults_are_the_papers():
    for name, classes, channels, dim in [
        ("vgg16", 1000, 3, 2),
        ("resnet20", 10, 3, 2),
        ("unet", 2, 1, 2),
        ("unet3d", 3, 3, 3),
    ]:
        model = on_meta(name)
        assert (model.classes, model.channels, model.kit.dim) == (classes, channels, dim)


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("resnet81", {}, "no preset is called 'resnet81'; did you mean 'resnet18'?"),
        ("alexnet", {}, "no preset is called 'alexnet'"),
        ("resnet18", dict(paddding="zeros"), "resnet18 has no setting 'paddding'; did you mean 'padding'?"),
        ("resnet18", dict(xyz=3), "resnet18 has no setting 'xyz'; known: affine, "),
        ("resnet18", dict(kit=Kit()), "resnet18 has no setting 'kit'"),
        ("resnet18", dict(norm="bacth"), "norm is 'bacth'; did you mean 'batch'?"),
        ("resnet18", dict(block="bottle"), "block is 'bottle'; did you mean 'bottleneck'?"),
        ("resnet18", dict(shortcut="none"), "shortcut is 'none'"),
        ("resnet18", dict(stem=5), "stem is 5; known: 3, 7"),
        ("resnet18", dict(classes=0), "classes is 0; a network needs a whole number from 1"),
        ("unet", dict(channels=2.5), "channels is 2.5; a network needs a whole number from 1"),
        ("unet", dict(levels=1), "levels is 1; a U-Net has at least 2"),
    ],
)
def test_an_impossible_request_is_one_sentence(name, change, sentence):
    with pytest.raises(UserError) as error:
        create(name, **change)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_shortcuts_are_the_courses_two():
    learned, kept = on_meta("resnet20", shortcut="projection"), on_meta("resnet20")
    assert count(learned) - count(kept) == (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
    assert isinstance(learned, Network)
    block = seeded("resnet20", init="zero_last").eval().layer2[0]
    x = torch.rand(1, 16, 6, 6)
    y = block(x)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert not y[:, 16:].any()
    y = seeded("resnet20_centred", init="zero_last").eval().layer2[0](x)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any() and not y[:, 24:].any()
