"""Taps record and replace what modules make, and leave a network as it was."""

import pytest
import torch
from torch import nn

from eyespot import fast
from eyespot.anatomy.taps import replace_relu, taps
from eyespot.errors import UserError
from eyespot.models import create

NETS = {
    "small": dict(stem=4, widths=(8, 8)),
    "vgg11_bn": dict(width=4, hidden=8),
    "resnet18": dict(width=4),
    "resnet50": dict(width=4, depths=(1, 1)),
    "densenet121": dict(width=4, growth=4, depths=(2, 2)),
    "densenet40_12": dict(width=4, growth=4, depths=(2, 2)),
    "unet_bn": dict(width=4, levels=3),
    "fcdensenet56": dict(width=4, growth=4, depths=(1, 2), bottom=2, dropout=0.0),
}


@pytest.fixture(autouse=True, scope="module")
def compiled_passes():
    """Fused as in training, where the machine has a compiler."""
    fast.use_compiled()
    yield
    fast.use_compiled(False)


def network_and_images(name: str, training: bool) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    network = create(name, classes=3, dim=2, **NETS[name]).train(training)
    for module in network.modules():  # a dropout that draws would hide a difference
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    layout = torch.channels_last
    return network.to(memory_format=layout), torch.randn(4, 3, 64, 64).to(memory_format=layout)


def hooks_of(network: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_every_module_that_runs_is_recorded_as_the_plain_forward_has_it(name, training):
    network, x = network_and_images(name, training)
    logits = network(x)
    names = [n for n, module in network.named_modules() if not isinstance(module, nn.ModuleList) and n]
    with taps(network, names) as record:
        tapped = network(x)
    assert torch.allclose(tapped, logits, atol=1e-4)
    assert hooks_of(network) == 0
    for n in names:
        assert torch.isfinite(record[n]).all()
        if isinstance(network.get_submodule(n), nn.ReLU):
            assert record[n].min() == 0 < record[n].max()
    for n, module in network.named_modules():  # alone as well: fused code steps aside for each
        if isinstance(module, nn.BatchNorm2d | nn.ReLU | nn.MaxPool2d):
            with taps(network, [n]) as alone:
                assert torch.allclose(network(x), logits, atol=1e-4)
            pairs = zip(alone.calls[n], record.calls[n], strict=True)
            assert all(torch.allclose(a, b, atol=1e-4) for a, b in pairs), n


@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18", "densenet40_12", "unet_bn"])
def test_a_norm_that_an_in_place_layer_follows_is_recorded_before_it(name):
    network, x = network_and_images(name, False)
    norms = [n for n, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    with taps(network, norms) as record:
        network(x)
    assert all(record[n].min() < 0 for n in norms)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["resnet18", "densenet40_12", "unet_bn"])
def test_gradients_are_those_of_autograd(name, training):
    network, x = network_and_images(name, training)
    relu = next(n for n, module in network.named_modules() if isinstance(module, nn.ReLU))
    with taps(network, [relu], gradients=True) as record:
        network(x).square().sum().backward()
    gradient = record.gradient(relu)
    assert gradient.shape == record[relu].shape and gradient.abs().max() > 0
    activations = record[relu].detach()
    step = 1e-3 * gradient / gradient.norm()

    def loss(moved):
        with taps(network, replace={relu: lambda _: moved}), torch.no_grad():
            return network(x).double().square().sum()

    if not training and len(record.calls[relu]) == 1:
        slope = (loss(activations + step) - loss(activations - step)) / 2e-3
        assert slope.item() == pytest.approx(gradient.norm().item(), rel=0.05)


def test_an_output_is_replaced_and_recorded():
    network, x = network_and_images("resnet18", False)
    with taps(network, ["fc"], replace={"layer4": torch.zeros_like}) as record:
        logits = network(x)
    assert torch.equal(logits, network.fc.bias.expand(4, 3)) and torch.equal(record["fc"], logits)
    assert not record["layer4"].any() and not torch.allclose(network(x), logits)


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x.relu()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18", "densenet40_12", "unet_bn", "fcdensenet56"])
def test_relus_are_replaced_for_the_block_only(name, training):
    network, x = network_and_images(name, training)
    logits, before = network(x), dict(network.named_modules())
    with replace_relu(network, lambda relu: nn.Threshold(0.0, 0.0)):
        assert not any(isinstance(m, nn.ReLU) for m in network.modules())
        assert torch.allclose(network(x), logits, atol=1e-4)
    with pytest.raises(ZeroDivisionError), replace_relu(network, lambda relu: Doubled()):
        assert not torch.allclose(network(x), logits, atol=1e-4)
        raise ZeroDivisionError
    assert dict(network.named_modules()) == before and torch.allclose(network(x), logits, atol=1e-4)


def test_hooks_are_removed_after_an_error():
    network, _ = network_and_images("resnet18", False)
    with pytest.raises(ZeroDivisionError), taps(network, ["layer1.0.relu"]):
        assert hooks_of(network) == 1
        raise ZeroDivisionError
    assert hooks_of(network) == 0
    with pytest.raises(UserError, match=r"no module 'layer1.0.rellu'.*did you mean 'layer1.0.relu'"):
        taps(network, ["layer1.0.relu", "layer1.0.rellu"]).__enter__()
    assert hooks_of(network) == 0


def test_what_was_not_recorded_is_said():
    network, x = network_and_images("resnet18", False)
    with taps(network, ["fc"]) as record:
        with pytest.raises(UserError, match="'fc' was not called"):
            record["fc"]
        network(x)
    with pytest.raises(UserError, match="'fc' has no gradient"):
        record.gradient("fc")
