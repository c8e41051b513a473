"""Distances of features by layer: planted strides, one axis, and where they are left out."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from eyespot.invariances.layers import NO_NETWORK, first_jump, last_of, layers_of
from eyespot.invariances.measure import measured_on
from eyespot.invariances.page import page
from test_invariance import Roll, catalogue, images_for, predictor_of


class Strided(nn.Module):
    """Circular convolutions, of which only the second has a stride: a roll moves the first's maps, and aliases in the second's."""

    channels, classes, dim, smallest, of_positions = 1, 2, 2, 4, False

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(self.conv(1, 16), nn.ReLU())
        self.second = nn.Sequential(self.conv(16, 16, 4), nn.ReLU())
        self.fc = nn.Linear(16, 2)

    def conv(self, cin: int, cout: int, stride: int = 1) -> nn.Conv2d:
        return nn.Conv2d(cin, cout, 3, stride, padding=1, padding_mode="circular")

    def forward(self, x):
        return self.fc(self.second(self.first(x)).flatten(2).mean(2))


@pytest.fixture
def images(tmp_path):
    network = Strided().eval()

    def normalised(batch):
        return torch.from_numpy(np.moveaxis(batch, -1, 1).astype(np.float32)) / 50 - 2

    def logits(batch):
        with torch.no_grad():
            return (scores := network(normalised(batch)).numpy()) - scores.mean(0)

    predictor = predictor_of(logits)
    predictor.network = network
    predictor.engine = SimpleNamespace(
        network=network, normalised=normalised, view=lambda x, flipped, pixels: x, with_network=None
    )
    return images_for(tmp_path, predictor, n=40)


def test_the_first_jump_is_at_the_layer_whose_stride_aliases(images):
    roll = SimpleNamespace(
        measured=SimpleNamespace(change=Roll("shift", "pixels", (1.0, 2.0, 4.0), 1.0)), at=0
    )
    layers = layers_of(images, [roll])
    (curve,) = layers.curves
    assert layers.names == ["input", "first.1", "second.1", "output"]
    assert curve.jump == "second.1"
    errors = np.array([[score["value"] for score in layer] for layer in curve.errors])
    assert np.abs(errors[:2]).max() < 1e-5, "what moves with the image has the same means"
    assert (errors[2, :2] > 0.1).all()
    assert abs(errors[2, 2]) < 1e-5, "a roll by the stride itself"


def test_text_json_and_page_have_the_curves(images, monkeypatch):
    images.predictor.engine.with_network = lambda network: images.predictor.engine
    monkeypatch.setattr("eyespot.invariances.measure.with_random_weights", lambda predictor: None)
    monkeypatch.setattr("eyespot.invariances.measure.flag_of", lambda measurement: "")
    result = measured_on(images, "run", catalogue("hflip", "shift"))
    assert "first jump" in str(result)
    content = json.loads(json.dumps(result.as_dict()))["layers"]
    assert [c["transform"] for c in content["curves"]] == ["hflip", "shift"]
    assert len(content["curves"][0]["errors"]) == len(content["names"])
    assert "Layer by layer" in page(result)


def test_an_exported_file_leaves_them_out_with_a_sentence(images, monkeypatch):
    monkeypatch.setattr("eyespot.invariances.measure.flag_of", lambda measurement: "")
    images.predictor.engine = SimpleNamespace()
    result = measured_on(images, "run", catalogue("vflip"))
    assert result.layers is None
    assert NO_NETWORK in result.notes


def test_a_rise_that_chance_explains_is_no_jump():
    rng = np.random.default_rng(0)
    noise = rng.normal(0.3, 0.3, (3, 12)).clip(0)
    assert first_jump(["input", "a", "b"], noise) is None
    assert first_jump(["input", "a", "b"], noise + np.array([[0], [0], [2.0]])) == "b"


def test_sequences_are_named_by_their_last_layer():
    assert last_of(Strided(), "first") == "first.1"
    assert last_of(Strided(), "fc") == "fc"
