"""Norm, activation and pooling by compiled passes: as near to the exact numbers as torch's, and torch's where they must be."""

import copy
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import eyespot
from eyespot import fast
from eyespot.fast import compiled, enabled
from eyespot.models import create

pytestmark = pytest.mark.skipif(not enabled(), reason="EYESPOT_FAST=0: the fast code is switched off")

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
SHAPES = [(3, 5, 7, 9), (4, 64, 28, 30), (2, 3, 4, 5, 6), (64, 130, 2, 2), (1, 33, 51, 60)]
TYPES = [torch.float32, torch.bfloat16]


@pytest.fixture
def used():
    """The compiled passes are used, as in training."""
    fast.use_compiled()
    if not compiled.passes(torch.float32):
        pytest.skip("no C compiler here, or one that cannot")
    yield
    fast.use_compiled(False)


def maps(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0, offset: float = 2.0) -> Tensor:
    torch.manual_seed(seed)
    return (torch.randn(shape) * 3 + offset).to(dtype).contiguous(memory_format=LAYOUTS[len(shape)])


def norm_of(shape: tuple[int, ...], momentum: float | None = 0.1) -> nn.Module:
    torch.manual_seed(3)
    norm = (nn.BatchNorm2d, nn.BatchNorm3d)[len(shape) - 4](shape[1], momentum=momentum)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


def numbers(layer, norm: nn.Module, *inputs: Tensor) -> dict[str, Tensor]:
    """What layer(norm, *inputs) makes, all gradients, and the running statistics"""
    norm, inputs = copy.deepcopy(norm), tuple(x.detach().clone().requires_grad_() for x in inputs)
    y = layer(norm, *inputs)
    torch.manual_seed(4)
    (y * torch.randn(y.shape).to(y.dtype)).sum().backward()
    given = {f"input {i}": x.grad for i, x in enumerate(inputs)}
    taught = {name: p.grad for name, p in norm.named_parameters()}
    return {"y": y.detach(), **given, **taught, **dict(norm.named_buffers())}


def farthest(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, float]:
    return {n: ((a[n].double() - b[n].double()).norm() / b[n].double().norm()).item() for n in b}


ACTS = {
    "relu": (fast.norm_relu, lambda norm, x: F.relu(norm(x)), 1),
    "added": (fast.norm_relu, lambda norm, x, more: F.relu(norm(x) + more), 2),
    "gelu": (fast.norm_gelu, lambda norm, x: F.gelu(norm(x)), 1),
}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("act", ACTS)
def test_numbers_are_as_near_to_the_exact_ones_as_torchs(act, shape, dtype, used):
    ours, torchs, count = ACTS[act]
    norm, inputs = norm_of(shape), [maps(shape, dtype, seed) for seed in range(count)]
    assert "NormAct" in str(ours(copy.deepcopy(norm), *inputs).grad_fn)
    exact = numbers(torchs, copy.deepcopy(norm).double(), *(x.double() for x in inputs))
    mine, theirs = (farthest(numbers(f, norm, *inputs), exact) for f in (ours, torchs))
    least = 1e-6 if dtype == torch.float32 else 4e-3
    for name, error in mine.items():
        assert error <= max(least, 1.5 * theirs[name]), (name, error, theirs[name])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_pools_are_exactly_torchs(shape, dtype, used):
    pool = (nn.MaxPool2d, nn.MaxPool3d)[len(shape) - 4](2)
    x = maps(shape, dtype).mul(2).round().div(2)  # with values as large as each other
    found = []
    for layer in (pool, lambda y: fast.max_pool(pool, y)):
        y = x.clone().requires_grad_()
        z = layer(y)
        (z * torch.arange(z.numel()).view(z.shape).to(z.dtype)).sum().backward()
        found += [z, y.grad]
    assert "Pool" in type(z.grad_fn).__name__ and "MaxPool" not in type(z.grad_fn).__name__
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[3])


def test_means_far_from_zero_keep_their_variance(used):
    x = maps((8, 16, 40, 40), torch.float32, offset=3000.0)
    norm = norm_of(x.shape, momentum=1.0)
    fast.norm_relu(norm, x)
    assert torch.allclose(norm.running_var, x.double().var((0, 2, 3)).float(), rtol=1e-4)
    assert torch.allclose(norm.running_mean, x.double().mean((0, 2, 3)).float(), rtol=1e-6)


def test_momentum_none_is_the_mean_of_all_batches(used):
    ours, theirs = norm_of((4, 6, 8, 8), None), norm_of((4, 6, 8, 8), None)
    for seed in range(3):
        x = maps((4, 6, 8, 8), torch.float32, seed)
        fast.norm_relu(ours, x)
        theirs(x)
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        assert torch.allclose(mine, other, rtol=1e-5)


@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_are_the_same_with_any_number_of_threads(dtype, used):
    shape, before, found = (5, 24, 61, 67), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(numbers(fast.norm_gelu, norm_of(shape), maps(shape, dtype)))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in other)


def test_what_is_no_number_stays_none(used):
    x = maps((2, 3, 8, 8), torch.float32)
    x[0, 1, 2, 3] = torch.nan
    y = fast.norm_relu(norm_of(x.shape), x)
    assert y[:, 1].isnan().all() and y[:, [0, 2]].isfinite().all()
    assert fast.max_pool(nn.MaxPool2d(2), x)[0, 1, 1, 1].isnan()


@pytest.mark.parametrize("dtype", TYPES)
def test_gelu_alone_is_torchs(dtype, used):
    x = maps((3, 5, 30, 31), dtype, offset=0.0)
    exact = F.gelu(x.double())
    ours, torchs = fast.gelu(x), F.gelu(x)
    assert (ours.double() - exact).abs().max() <= max(1e-6, (torchs.double() - exact).abs().max().item())
    assert dtype == torch.bfloat16 or not torch.equal(ours, torchs)  # it was another way
    x.requires_grad_()
    assert "Gelu" in str(fast.gelu(x).grad_fn)


# Whole networks
NETWORKS = {
    "resnet18": dict(width=8),
    "resnet50": dict(width=8),
    "vgg11_bn": dict(width=8, hidden=16),
    "densenet121": dict(width=16, depths=(1, 3, 2), growth=8),
    "densenet40_12": dict(width=16, depths=(2, 2, 2), growth=8),
    "fcdensenet56": dict(width=8, growth=4, depths=(1, 3), bottom=2),
    "unet_bn": dict(width=8, levels=3),
    "small_w16": {},
}


def step(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    model = copy.deepcopy(model).train()
    torch.manual_seed(5)
    y = model(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)).sum().backward()
    learned = {name: p.grad for name, p in model.named_parameters()}
    return {n: v.detach().double() for n, v in {"y": y, **learned, **dict(model.named_buffers())}.items()}


def far(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """The largest difference over the size of what differs, which is none where a gradient is 0 but for rounding"""
    least = 0.01 * max(value.norm().item() for value in b.values() if value.dim())
    return max(((a[n] - b[n]).norm() / b[n].norm().clamp(min=least)).item() for n in b)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_learn_the_same(name, dim, used):
    torch.manual_seed(0)
    changes = {"dropout": 0.0} if name.startswith(("fc", "vgg")) else {}
    model = create(name, dim=dim, classes=3, **NETWORKS[name], **changes)
    # Few values: of millions some lie so near to 0 that rounding decides whether ReLU lets them pass.
    side = 32 if name.startswith("vgg") else 16 if name.startswith("small") else 33 if dim == 2 else 17
    x = maps((4, 3, *[side] * dim), torch.float32, offset=0.0)
    model = model.to(memory_format=LAYOUTS[dim + 2])
    mine = step(model, x)
    fast.use_compiled(False)
    plain, exact = step(model, x), step(copy.deepcopy(model).double(), x.double())
    assert far(mine, exact) < max(1e-4, 3 * far(plain, exact))
    assert any(not torch.equal(mine[n], plain[n]) for n in plain)  # it was another way


# Where torch's own are used
def hooked(norm: nn.Module, x: Tensor) -> tuple[nn.Module, Tensor]:
    norm.register_forward_hook(lambda *seen: None)
    return norm, x


OTHERS = {
    "evaluation": lambda norm, x: (norm.eval(), x),
    "channels first": lambda norm, x: (norm, x.contiguous()),
    "float64": lambda norm, x: (norm.double(), x.double()),
    "a hook": hooked,
    "another norm": lambda norm, x: (nn.GroupNorm(2, x.shape[1]), x),
    "nothing to learn": lambda norm, x: (nn.BatchNorm2d(x.shape[1], affine=False), x),
    "no statistics": lambda norm, x: (nn.BatchNorm2d(x.shape[1], track_running_stats=False), x),
}


@pytest.mark.parametrize("other", OTHERS)
def test_elsewhere_it_is_torchs_own(other, used):
    x = maps((3, 4, 6, 6), torch.float32)
    norm, x = OTHERS[other](norm_of(x.shape), x)
    expected = F.relu(copy.deepcopy(norm)(x))
    y = fast.norm_relu(norm, x)
    assert torch.equal(y, expected) and "NormAct" not in str(y.grad_fn)


def test_only_training_uses_them():
    x = maps((3, 4, 6, 6), torch.float32)
    assert "NormAct" not in str(fast.norm_relu(norm_of(x.shape), x).grad_fn)


def test_one_value_per_map_is_refused_by_the_norm(used):
    with pytest.raises(ValueError, match="Expected more than 1 value"):
        fast.norm_relu(nn.BatchNorm2d(4), torch.randn(1, 4, 1, 1))


@pytest.mark.parametrize("compiler", ["false", "/no/such/compiler", f"{sys.executable} -c 0"])
def test_without_a_compiler_nothing_is_said(compiler, monkeypatch, capfd):
    monkeypatch.setenv("CC", compiler)
    compiled._compiled.clear()
    fast.use_compiled()
    try:
        x = maps((3, 4, 6, 6), torch.float32)
        assert "NormAct" not in str(fast.norm_relu(norm_of(x.shape), x).grad_fn)
        assert not fast.compiled_by(torch.float32) and not fast.compiled_by(torch.bfloat16)
    finally:
        fast.use_compiled(False)
        compiled._compiled.clear()
    assert capfd.readouterr() == ("", "")


def test_training_says_who_compiled(used, tmp_path, capsys, monkeypatch):
    fast.use_compiled(False)
    monkeypatch.setattr("eyespot.training.plan.FEW_POSITIONS", 0)
    eyespot.train("digits", epochs=1, out=tmp_path / "run")
    said = " ".join(capsys.readouterr().err.split())
    assert f"compiled by {compiled.compiler()}" in said
    assert not compiled._wanted


def test_help_compiles_nothing():
    code = "import eyespot.cli, sys; assert 'eyespot.fast.compiled' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
