"""The saving form of a dense block against the plain one: the same numbers, and the plain one where it must be."""

import copy
import gc
import pickle
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from eyespot.models import create, dense_memory, dense_steps, densenet, fcdensenet

SMALL = dict(width=16, depths=(1, 3, 2), growth=8)
FORMS = {
    "bottleneck": ("densenet121", SMALL),
    "plain": ("densenet40_12", SMALL),
    "dropout": ("densenet40_12", {**SMALL, "dropout": 0.3}),
    "circular": ("densenet121", {**SMALL, "padding": "circular"}),
    "reflect": ("densenet40_12", {**SMALL, "padding": "reflect"}),
    "not affine": ("densenet121", {**SMALL, "affine": False}),
    "tiramisu": ("fcdensenet56", dict(width=8, growth=4, depths=(1, 3), bottom=2)),
}


def network(form: str = "bottleneck", dim: int = 2, **changes) -> nn.Module:
    name, sizes = FORMS[form]
    torch.manual_seed(0)
    return create(name, dim=dim, **{**sizes, **changes}).train()


def images(dim: int = 2, dtype: torch.dtype = torch.float64, batch: int = 3) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(batch, 3, *((97,), (41, 35), (18, 17, 19))[dim - 1], dtype=dtype)


@pytest.fixture
def calls(monkeypatch) -> list[nn.Module]:
    """The blocks that took the saving form."""
    found = []

    def grown(x: Tensor, block: nn.Module) -> Tensor:
        found.append(block)
        return dense_memory.grown(x, block)

    for module in (densenet, fcdensenet):
        monkeypatch.setattr(module, "grown", grown)
    return found


@pytest.fixture
def transitions(monkeypatch) -> list[nn.Module]:
    """The norms of the transitions that took the saving form."""
    found = []

    def again(x: Tensor, norm: nn.Module, conv: nn.Module) -> Tensor:
        found.append(norm)
        return dense_memory.again(x, norm, conv)

    monkeypatch.setattr(densenet, "again", again)
    return found


def step(model: nn.Module, x: Tensor, half: bool = False) -> dict[str, Tensor]:
    """The logits of a copy, all gradients, and the running statistics afterwards."""
    model, x = copy.deepcopy(model), x.clone().requires_grad_()
    torch.manual_seed(2)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        y = model(x)
    (y.double() * torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view(y.shape)).sum().backward()
    found = {"logits": y, "image": x.grad, **dict(model.named_buffers())}
    return {
        **{k: v.detach().double() for k, v in found.items()},
        **{n: p.grad.double() for n, p in model.named_parameters()},
    }


def both(model: nn.Module, x: Tensor, monkeypatch, calls: list, half: bool = False) -> tuple[dict, dict]:
    """A step in the saving form, and one in the plain form."""
    saving = step(model, x, half)
    assert calls
    calls.clear()
    for module in (densenet, fcdensenet):
        monkeypatch.setattr(module, "saves", lambda block, x, room: False)
    plain = step(model, x, half)
    assert not calls
    return saving, plain


def far(a: dict[str, Tensor], b: dict[str, Tensor], part: str = "") -> float:
    """The largest difference over the size of what differs, or over 1% of the largest value in the network.

    Before a batch norm some gradients are 0 but for rounding, and have no size of their own.
    """
    least = 0.01 * max(value.norm().item() for value in b.values() if value.dim())
    return max(((a[n] - b[n]).norm() / b[n].norm().clamp(min=least)).item() for n in b if part in n)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("form", FORMS)
def test_every_number_is_that_of_the_plain_form(form, dim, monkeypatch, calls):
    saving, plain = both(network(form, dim).double(), images(dim), monkeypatch, calls)
    assert far(saving, plain) < 1e-10


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_transitions_keep_their_input_only(dim, transitions):
    model = network(dim=dim)
    assert model(images(dim, torch.float32)).grad_fn
    assert transitions == [model.features.transition1.norm, model.features.transition2.norm]
    model.eval()(images(dim, torch.float32))
    model.train().features.transition1.conv.register_forward_hook(lambda *seen: None)
    model(images(dim, torch.float32))
    assert transitions[2:] == [model.features.transition2.norm]


@pytest.mark.parametrize(
    "room,saving", [(2 * (16 + 32) * 2 * 64 * 4 - 1, 1), (2 * (16 + 32) * 2 * 64 * 4, 0)]
)
def test_a_block_with_room_keeps_its_activations(room, saving, calls):
    model = network()
    dense_memory.give_room(model, room)
    model.features.denseblock1(torch.randn(2, 16, 8, 8))
    assert len(calls) == saving


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("room", [1, 8 * 2 * 40 * 6 * 5])  # one image; two of three, and a rest
@pytest.mark.parametrize("form", ["bottleneck", "plain"])
def test_a_few_images_or_positions_at_a_time(form, room, layout, monkeypatch, calls):
    monkeypatch.setattr(dense_steps, "AT_ONCE", room)
    monkeypatch.setattr(dense_steps, "NEAR", room // 3)
    x = images().to(memory_format=layout)
    saving, plain = both(network(form).double().to(memory_format=layout), x, monkeypatch, calls)
    assert far(saving, plain) < 1e-10


@pytest.mark.parametrize("form", ["bottleneck", "plain"])
def test_float32_differs_by_rounding(form, monkeypatch, calls):
    model, x = network(form), images(dtype=torch.float32, batch=8)
    exact = step(copy.deepcopy(model).double(), x.double())
    saving, plain = both(model, x, monkeypatch, calls)
    assert far(saving, exact) < max(1e-4, 2 * far(plain, exact))


def test_bfloat16_is_as_near_as_the_plain_form(monkeypatch, calls):
    model, x = network(), images(dtype=torch.float32, batch=8)
    exact = step(copy.deepcopy(model).double(), x.double())
    saving, plain = both(model, x, monkeypatch, calls, half=True)
    for part in ("logits", "denseblock", "running"):
        assert far(saving, exact, part) < 1.5 * far(plain, exact, part), part


def test_statistics_of_bfloat16_maps_are_float32(calls):
    block, x = network().features.denseblock1, (torch.randn(4, 16, 8, 8) + 3).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        block(x)
    assert calls
    assert torch.allclose(block.denselayer1.norm1.running_mean, 0.1 * x.float().mean((0, 2, 3)), rtol=1e-5)


def test_momentum_none_is_the_mean_of_all_batches(monkeypatch, calls):
    model = network().double()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = None
    for _ in range(2):
        model(images(batch=2))
    saving, plain = both(model, images(), monkeypatch, calls)
    assert far(saving, plain, "running") < 1e-10


def test_gradients_are_those_of_differences(calls):
    block = densenet.DenseBlock(2, 3, 2, 2, 0.0, densenet.Kit()).double().train()
    x = torch.randn(2, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (x,))
    assert calls


def test_frozen_parameters_get_no_gradient(calls):
    model = network()
    for parameter in model.features.parameters():
        parameter.requires_grad_(False)
    model.features.denseblock2.denselayer2.conv1.weight.requires_grad_(True)
    model(images(dtype=torch.float32)).sum().backward()
    graded = [n for n, p in model.named_parameters() if p.grad is not None]
    names = ["features.denseblock2.denselayer2.conv1.weight", "classifier.weight", "classifier.bias"]
    assert graded == names and calls


def test_a_second_derivative_is_refused(calls):
    x = images().requires_grad_()
    (slope,) = torch.autograd.grad(network().double()(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        slope.sum().backward()


def test_what_a_step_keeps_goes_with_it():
    model = network()
    features = model.features.denseblock1(torch.randn(2, 16, 8, 8))
    gone = weakref.ref(features.grad_fn)
    gc.disable()
    try:
        del features
        assert gone() is None
    finally:
        gc.enable()


def test_a_state_survives_pickling(calls):
    model = network()
    model(images(dtype=torch.float32))
    state = pickle.loads(pickle.dumps(model.state_dict()))
    copied = copy.deepcopy(model)
    copied.load_state_dict(state)
    x = images(dtype=torch.float32)
    assert torch.equal(model.eval()(x), copied.eval()(x))


# Where the plain form is used.
def hear(model: nn.Module, heard: list) -> None:
    model.features.denseblock1.denselayer1.conv1.register_forward_hook(lambda *a: heard.append(a))


def test_a_hook_inside_a_block_is_called(calls):
    model, heard = network(), []
    hear(model, heard)
    model(images(dtype=torch.float32))
    assert heard and model.features.denseblock1 not in calls and model.features.denseblock2 in calls


def norm_to_eval(model: nn.Module) -> None:
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.eval()


def dilate(model: nn.Module) -> None:
    for conv in (m for m in model.modules() if isinstance(m, nn.Conv2d) and m.padding == (1, 1)):
        conv.dilation, conv.padding = (2, 2), (2, 2)


def untracked(model: nn.Module) -> None:
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean = norm.running_var = None


@pytest.mark.parametrize("change", [nn.Module.eval, norm_to_eval, dilate, untracked])
def test_other_behaviour_is_the_plain_form(change: Callable, calls):
    model = network()
    change(model)
    assert model(images(dtype=torch.float32)).isfinite().all()
    assert not calls


@pytest.mark.parametrize("norm", ["group", "instance", "none"])
def test_other_norms_are_the_plain_form(norm, calls):
    model = network(norm=norm)
    assert model(torch.randn(2, 3, 64, 70)).isfinite().all()
    assert not calls


def test_float32_maps_under_autocast_are_the_plain_form(calls):
    block = network().features.denseblock1
    with torch.autocast("cpu", torch.bfloat16):
        assert block(torch.randn(2, 16, 8, 8)).dtype == torch.float32
    assert not calls


def test_transforms_and_tracing_take_the_plain_form(calls):
    answers = []
    block = network().features.denseblock1
    assert dense_memory.saves(block.children(), torch.randn(2, 16, 8, 8), 0)
    torch.func.grad(lambda x: [answers.append(dense_memory.saves(block.children(), x, 0)), x.sum()][1])(
        torch.ones(2, 16, 8)
    )
    assert answers == [False]
    program = torch.export.export(block, (torch.randn(2, 16, 8, 8),))
    assert program.module()(torch.randn(2, 16, 8, 8)).shape == (2, 24, 8, 8)
    torch.compile(block, backend="eager", fullgraph=True)(torch.randn(2, 16, 8, 8))
    assert not calls


def test_a_single_value_is_refused_by_the_norm(calls):
    with pytest.raises(ValueError, match="Expected more than 1 value"):
        network().features.denseblock1(torch.randn(1, 16, 1, 1))
    assert not calls
