"""A user's own network, by name: created, trained, saved, loaded, and missed where it is not registered."""

import subprocess
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

import eyespot
from eyespot.anatomy import describe
from eyespot.errors import UserError
from eyespot.models import create, presets, unregister
from eyespot.models.network import Network


class Mine(nn.Module):
    def __init__(self, classes: int, channels: int, width: int = 8):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.body = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.scale * self.body(x).amax((2, 3)))


class PerPixel(nn.Module):
    of_positions = True

    def __init__(self, classes: int, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


@pytest.fixture
def mine():
    eyespot.register("mine", Mine, width=16)
    yield
    if "mine" in presets():
        unregister("mine")


def test_a_users_network_trains_loads_and_predicts(mine, tmp_path):
    run = eyespot.train("digits", model="mine", epochs=1, batch=64, out=tmp_path / "run")
    names = set(load_file(run.folder / "model.safetensors"))
    assert names == set(Mine(10, 1).state_dict())
    predictor = eyespot.load(run.folder)
    size = predictor.preprocessing.size
    images = [Image.linear_gradient("L").resize((size, size)).rotate(angle) for angle in (0, 90, 180)]
    assert len(predictor(images)) == 3
    unregister("mine")
    sentence = (
        r"model\.safetensors was trained with the network 'mine', which is not registered: call "
        r"eyespot\.register\('mine', \.\.\.\) first"
    )
    with pytest.raises(UserError, match=sentence) as error:
        eyespot.load(run.folder)
    assert "\n" not in str(error.value)


def test_it_is_fine_tuned_from_its_own_weights(mine, tmp_path):
    run = eyespot.train("digits", model="mine", epochs=0.2, batch=64, out=tmp_path / "a")
    network = create("mine", classes=4, channels=3, weights=run.folder)
    assert network.started_from.adapted == ("body.0.weight",)
    eyespot.train("digits", start_from=run.folder, fine_tune=True, epochs=0.2, out=tmp_path / "b")


def test_names_in_the_network_are_the_modules_own(mine):
    network = create("mine", classes=3, channels=2)
    module = Mine(3, 2, 16)
    assert [name for name, _ in network.named_parameters()] == [n for n, _ in module.named_parameters()]
    assert [name for name, _ in network.named_buffers()] == [n for n, _ in module.named_buffers()]
    network.load_state_dict(module.state_dict())
    x = torch.randn(2, 2, 9, 8)
    assert torch.equal(network.eval()(x), module.eval()(x))
    assert not any(m.training for m in network.modules()) and isinstance(network, Network)


def test_it_is_inspected_as_the_module_itself_is(mine):
    torch.manual_seed(0)
    module = Mine(3, 2, 16)
    network = create("mine", classes=3, channels=2)
    network.load_state_dict(module.state_dict())
    expected = describe(module, (2, 9, 8), name="mine", effective=True)
    assert expected.parameters == sum(p.numel() for p in module.parameters())
    assert describe(network, (2, 9, 8), name="mine", effective=True).as_dict() == expected.as_dict()
    inspected = eyespot.inspect("mine", classes=3, channels=2, size=(9, 8))
    assert inspected.as_dict() == expected.as_dict() | {"effective_field": None}
    assert "ForeignNetwork" not in str(inspected)
    eyespot.register("mine", lambda classes: nn.Sequential(nn.Flatten(), nn.Linear(12, classes)))
    with pytest.raises(UserError, match=r"this Sequential cannot take an image of shape \(3, 4, 4\)"):
        eyespot.inspect("mine", size=4)


@pytest.mark.parametrize("wrapped", [False, True])
def test_one_within_another_module_is_measured_too(mine, wrapped):
    network = create("mine", classes=3, channels=2)
    outer = nn.Sequential(network if wrapped else network.module, nn.Linear(3, 2))
    measured = describe(outer, (2, 9, 8))
    assert measured.parameters == sum(p.numel() for p in Mine(3, 2, 16).parameters()) + 8
    assert [layer.name for layer in measured.layers] == [
        "",
        "0",
        "0.body",
        *(f"0.body.{k}" for k in range(3)),
        "0.head",
        "1",
    ]


def test_a_function_gets_what_it_accepts(mine):
    given = []

    def build(**settings):
        given.append(settings)
        return nn.Flatten()

    eyespot.register("mine", build, depth=3)
    create("mine", channels=1, depth=4)
    eyespot.register("mine", lambda: nn.Flatten())
    create("mine", classes=2, dim=3)
    assert given == [{"classes": 1000, "channels": 1, "dim": 2, "depth": 4}]


@pytest.mark.parametrize(
    ("constructor", "settings", "x", "sentence"),
    [
        (Mine, dict(widht=3), None, "mine has no setting 'widht'; did you mean 'width'?"),
        (lambda: 3, {}, None, "the constructor of 'mine' returned a int, not a torch.nn.Module"),
        (Mine, dict(channels=3), (2, 1, 8, 8), "built for 3 channels"),
        (Mine, {}, (2, 3, 8), "takes a batch of shape"),
        (
            nn.Flatten,
            {},
            (2, 3, 2, 2),
            r"Flatten gives \(2, 12\) for a batch of \(2, 3, 2, 2\); logits of classes",
        ),
        (PerPixel, dict(classes=5), (2, 3, 8, 8), None),
    ],
)
def test_what_does_not_fit_is_one_sentence(mine, constructor, settings, x, sentence):
    eyespot.register("mine", constructor)
    if sentence is None:
        assert create("mine", **settings)(torch.zeros(x)).shape == (2, 5, 8, 8)
        return
    with pytest.raises(UserError, match=sentence):
        create("mine", **settings)(torch.zeros(x))


def test_a_network_for_masks_is_not_for_classes(mine, tmp_path):
    eyespot.register("mine", PerPixel)
    with pytest.raises(UserError, match="mine is for masks"):
        eyespot.train("digits", model="mine", epochs=1, out=tmp_path / "run")


def test_only_sensible_registrations_are_taken(mine):
    with pytest.raises(UserError, match="'resnet18' is a network of eyespot's own"):
        eyespot.register("resnet18", Mine)
    with pytest.raises(UserError, match="give a class or a function"):
        eyespot.register("mine", 3)
    with pytest.raises(UserError, match="cannot be called ''"):
        eyespot.register("", Mine)
    with pytest.raises(UserError, match="no network was registered as 'resnet18'"):
        unregister("resnet18")
    assert "mine" in presets()


def test_registering_needs_no_torch():
    code = "import sys, eyespot; eyespot.register('mine', 'my.file:Mine'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
