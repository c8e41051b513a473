"""Precisions are compared with plain float32 before they are used: the right ones pass, planted errors do not."""

import re
import tomllib

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import eyespot
from eyespot import fast
from eyespot.fast import conv_gradients, enabled, verify, winograd
from eyespot.fast.verify import Reference, departs
from eyespot.models import create
from eyespot.training.timing import Allowance, NetworkTimer

PRECISIONS = ("float32", "winograd", "bfloat16", "im2col")
NETWORKS = {
    "small_w16": (2, 32, {}),
    "resnet18": (2, 64, dict(width=16)),
    "densenet121": (2, 64, dict(width=16, depths=(2, 4, 2), growth=8)),
    "vgg11": (2, 32, dict(width=8, hidden=32)),
    "unet_bn": (2, 32, dict(width=8, levels=3)),
    "unet3d": (3, 24, dict(width=8)),
}


def setup(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    dim, side, changes = NETWORKS[name]
    torch.manual_seed(0)
    network = create(name, dim=dim, channels=3, classes=4, **changes)
    x = torch.randn(8 if dim == 2 else 2, 3, *[side] * dim)
    places = x.shape[2:] if network.of_positions else ()
    return network.train(), x, torch.randint(4, (len(x), *places))


def loss(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), y)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_differs_by_rounding_only_is_used(name, monkeypatch):
    for limit in ("FEWEST", "LARGE", "SPREAD", "LEAST", "ROW"):
        monkeypatch.setattr(conv_gradients, limit, 1)
    network, x, y = setup(name)
    fast.use_compiled()
    try:
        reference = Reference(
            network.to(memory_format=torch.channels_last) if x.dim() == 4 else network, loss, x, y, "cpu"
        )
        for precision in PRECISIONS:
            assert reference.departs(precision) is None
    finally:
        fast.use_compiled(False)


def plant(monkeypatch, wrong) -> None:
    """Let the weight's gradient of the convolutions in float32 be wrong(gradient)."""
    monkeypatch.setattr(conv_gradients, "FEWEST", 1)
    right = winograd.gradients_of

    def gradients_of(*args):
        dx, dw = right(*args)
        return dx, wrong(dw)

    monkeypatch.setattr(winograd, "gradients_of", gradients_of)


def nan_in_one_place(dw: Tensor) -> Tensor:
    dw = dw.clone()
    dw[0, 0, 0, 0] = torch.nan
    return dw


WRONG = {
    "ten percent": (lambda dw: 1.1 * dw, "departs from float32's by 0.1 of its size"),
    "not a number": (nan_in_one_place, "not finite: the gradient of layer"),
    "huge": (lambda dw: dw + 1e37, "departs from float32's by .*e\\+|not finite"),
    "another sign": (lambda dw: -dw, "departs from float32's by 2 of its size"),
    "shuffled": (lambda dw: dw.flip(0), "departs from float32's by 1"),
}


@pytest.mark.skipif(not enabled(), reason="EYESPOT_FAST=0: the fast code is switched off")
@pytest.mark.parametrize("kind", WRONG)
def test_a_planted_error_is_a_sentence(kind, monkeypatch):
    wrong, sentence = WRONG[kind]
    plant(monkeypatch, wrong)
    network, x, y = setup("resnet18")
    assert re.search(sentence, departs(network, loss, x, y, "winograd", "cpu") or "")
    assert departs(network, loss, x, y, "float32", "cpu") is None


@pytest.mark.skipif(not enabled(), reason="EYESPOT_FAST=0: the fast code is switched off")
@pytest.mark.parametrize("scale", [0.0, -1.0, 1e30])
def test_a_wrong_gradient_in_bfloat16_is_a_sentence(scale, monkeypatch):
    monkeypatch.setattr(conv_gradients, "ROW", 1)
    right = conv_gradients.by_columns

    def by_columns(*args):
        dx, dw = right(*args)
        return dx, scale * dw

    monkeypatch.setattr(conv_gradients, "by_columns", by_columns)
    network, x, y = setup("resnet18")
    assert "departs from float32's by" in (departs(network, loss, x, y, "im2col", "cpu") or "")
    assert departs(network, loss, x, y, "bfloat16", "cpu") is None


def test_a_wrong_output_is_a_sentence(monkeypatch):
    network, x, y = setup("resnet18")
    right, steps = Reference._step, []

    def step(self, precision):
        steps.append(precision)
        tensors = right(self, precision)
        return {**tensors, "": 1.5 * tensors[""]} if precision == "bfloat16" else tensors

    monkeypatch.setattr(Reference, "_step", step)
    assert "bfloat16 the output departs" in (departs(network, loss, x, y, "bfloat16", "cpu") or "")


def test_an_error_that_comes_and_goes_is_seen(monkeypatch):
    network, x, y = setup("small_w16")
    right, steps = Reference._step, []

    def step(self, precision):
        steps.append(precision)
        tensors = right(self, precision)
        wrong = steps.count("bfloat16") == verify.TRIES
        return {name: 3 * t for name, t in tensors.items()} if wrong else tensors

    monkeypatch.setattr(Reference, "_step", step)
    assert departs(network, loss, x, y, "bfloat16", "cpu") is not None


def test_a_network_is_left_as_it_was():
    network, x, y = setup("resnet18")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = torch.get_rng_state()
    Reference(network, loss, x, y, "cpu").departs("bfloat16")
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters()) and network.training
    assert not any(fast.heard(module) for module in network.modules())


@pytest.mark.skipif(not enabled(), reason="EYESPOT_FAST=0: the fast code is switched off")
def test_a_rejected_precision_is_not_used_and_the_plan_says_why(tmp_path, monkeypatch):
    right = Reference.departs
    monkeypatch.setattr("eyespot.training.timing.multiplies_bfloat16", lambda device: True)
    monkeypatch.setattr(Reference, "departs", lambda self, p: "planted" if p != "float32" else right(self, p))
    seconds = {"im2col": 0.1, "bfloat16": 0.2, "float32": 0.3}  # so that each would be used if it could
    monkeypatch.setattr(NetworkTimer, "_seconds", lambda self, way: seconds[way.split()[0]])
    monkeypatch.setattr(Allowance, "fits", lambda self, seconds: True)
    run = eyespot.train("digits", epochs=0.1, model="tiny", out=tmp_path / "run")
    plan = tomllib.loads((run.folder / "plan.toml").read_text())
    assert plan["precision"] == "float32"
    assert {name.split()[0] for name in plan["timed"]} == {"float32", "predict", "batch", "update"}
    assert "im2col not used: planted; bfloat16 not used: planted" in plan["reasons"]["precision"]
