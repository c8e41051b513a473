"""Networks that compute activations again in the backward pass: the same numbers as without, in less memory."""

import copy
from collections.abc import Callable
from itertools import accumulate

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from eyespot.devices import arithmetic
from eyespot.models import activation_checkpoint, create
from eyespot.models.activation_checkpoint import can_checkpoint

SMALL = dict(width=16, depths=(1, 3, 2), growth=8)
FORMS = {
    "bottleneck": ("densenet121", SMALL),
    "plain": ("densenet40_12", SMALL),
    "dropout": ("densenet40_12", {**SMALL, "dropout": 0.3}),
    "group norm": ("densenet121", {**SMALL, "norm": "group"}),
    "circular": ("densenet121", {**SMALL, "padding": "circular"}),
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
def repeated(monkeypatch) -> list[nn.Module]:
    """The layers that were computed again."""
    layers = []
    recomputation = activation_checkpoint.recomputation

    def spy(layer, gradients):
        layers.append(layer)
        return recomputation(layer, gradients)

    monkeypatch.setattr(activation_checkpoint, "recomputation", spy)
    return layers


def step(model: nn.Module, x: Tensor, precision: str = "float32") -> dict[str, Tensor]:
    """The logits of a copy, all gradients, and the running statistics afterwards."""
    model = copy.deepcopy(model)
    x = x.clone().requires_grad_()
    torch.manual_seed(2)
    with arithmetic("cpu", precision):
        y = model(x)
    (y.double() * torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view(y.shape)).sum().backward()
    numbers = {"logits": y, "image": x.grad, **dict(model.named_buffers())}
    numbers |= {name: p.grad for name, p in model.named_parameters()}
    return {name: value.detach().clone() for name, value in numbers.items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("form", FORMS)
def test_every_number_is_that_of_the_network_without(form, dim, repeated):
    saving = step(network(form, dim).double(), images(dim))
    assert repeated
    repeated.clear()
    same(saving, step(network(form, dim, checkpoint=False).double(), images(dim)))
    assert not repeated


@pytest.mark.parametrize("precision", ["float32", "winograd", "bfloat16", "im2col"])
def test_the_second_pass_is_by_the_kernels_of_the_first(precision, repeated, monkeypatch):
    for limit, value in {"FEWEST": 1, "SPREAD": 1, "LEAST": 1, "WIDE": 8, "ROW": 1}.items():
        monkeypatch.setattr(f"eyespot.fast.conv_gradients.{limit}", value)
    x = images(dtype=torch.float32)
    same(step(network(), x, precision), step(network(checkpoint=False), x, precision))
    assert repeated


def test_momentum_none_is_the_mean_of_all_batches(repeated):
    models = [network().double(), network(checkpoint=False).double()]
    for model in models:
        for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.momentum = None
        for _ in range(2):
            model(images(batch=2)).sum().backward()
            model.zero_grad()
    saving, plain = (step(model, images()) for model in models)
    same(saving, plain)
    assert repeated and plain["features.denseblock1.denselayer1.norm1.num_batches_tracked"] == 3


def test_a_norm_is_as_before_after_the_second_pass():
    model = network()
    before = [(n.momentum, id(n.num_batches_tracked)) for n in model.modules() if hasattr(n, "momentum")]
    model(images(dtype=torch.float32)).sum().backward()
    assert before == [
        (n.momentum, id(n.num_batches_tracked)) for n in model.modules() if hasattr(n, "momentum")
    ]


def peak(model: nn.Module, x: Tensor) -> int:
    """Bytes of tensors at the peak of a step, beyond those before it"""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        model(x).sum().backward()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())))


@pytest.mark.parametrize("name", ["densenet121", "densenet40_12", "fcdensenet56"])
def test_the_peak_of_a_step_is_at_most_three_fifths(name):
    sizes = dict(depths=(4, 4), bottom=4) if name == "fcdensenet56" else dict(depths=(6, 12, 8), growth=16)
    x = torch.randn(2, 3, 64, 64)
    saving, plain = (peak(create(name, checkpoint=on, **sizes).train(), x) for on in (True, False))
    assert saving < 0.6 * plain, (saving, plain)


def test_a_copied_network_still_computes_twice(repeated):
    model = copy.deepcopy(network())
    model(images(dtype=torch.float32)).sum().backward()
    assert len(repeated) == 6


# Where nothing is computed twice
def norm_to_eval(model: nn.Module) -> None:
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.eval()


def test_frozen_statistics_stay_frozen(repeated):
    model = network()
    norm_to_eval(model)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(images(dtype=torch.float32)).sum().backward()
    same(dict(model.named_buffers()), before)
    assert repeated


def in_evaluation(model: nn.Module) -> Tensor:
    return model.eval()(images(dtype=torch.float32))


@torch.no_grad()
def without_gradients(model: nn.Module) -> Tensor:
    return model(images(dtype=torch.float32))


def under_a_transform(model: nn.Module) -> Tensor:
    x = images(dtype=torch.float32)
    return torch.func.grad(lambda x: torch.func.functional_call(model.eval(), {}, (x,)).sum())(x)


def exported(model: nn.Module) -> Tensor:
    block = model.features.denseblock1
    program = torch.export.export(block, (torch.randn(2, 16, 8, 8),))
    return program.module()(torch.randn(2, 16, 8, 8))


@pytest.mark.parametrize("use", [in_evaluation, without_gradients, under_a_transform, exported])
def test_elsewhere_nothing_is_kept_for_a_second_pass(use: Callable, monkeypatch):
    monkeypatch.setattr(activation_checkpoint, "checkpoint", lambda *a, **k: pytest.fail("checkpointed"))
    assert use(network()).isfinite().all()


def test_a_hook_inside_a_layer_is_called_once_a_step(repeated):
    model = network()
    layer = model.features.denseblock2.denselayer2
    calls = []
    layer.conv1.register_forward_hook(lambda *a: calls.append(a))
    assert not can_checkpoint(layer) and can_checkpoint(model.features.denseblock2.denselayer1)
    model(images(dtype=torch.float32)).sum().backward()
    assert len(calls) == 1 and layer not in repeated and len(repeated) == 5


def test_a_single_value_is_refused_by_the_norm():
    with pytest.raises(ValueError, match="Expected more than 1 value"):
        network().features.denseblock1(torch.randn(1, 16, 1, 1))
