"""The model file round-trips and refuses what is not a whole model file of ours."""

import json

import pytest
import torch
from safetensors.torch import save_file

from eyespot.errors import UserError
from eyespot.models import create
from eyespot.weights.card import Card, load_strict, read_card, read_tensors, write_model


@pytest.fixture
def model(tmp_path):
    network = create("small", classes=2, channels=1, widths=(8, 8, 8))
    card = Card("small", {"widths": [8, 8, 8]}, ["a", "b"], {"size": 16})
    path = tmp_path / "model.safetensors"
    write_model(path, network.state_dict(), card)
    return path, network, card


def test_round_trip(model):
    path, network, card = model
    assert read_card(path) == card
    for name, tensor in network.state_dict().items():
        assert torch.equal(read_tensors(path)[name], tensor)


def test_no_pickle_and_no_code(model):
    content = model[0].read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["eyespot"])["classes"] == ["a", "b"]


@pytest.mark.parametrize("cut", [0, 4, 100, -100])
def test_a_file_cut_short_is_refused(model, cut):
    path = model[0]
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match="cut short or not a model file"):
        read_card(path)


def test_other_files_are_refused(model, tmp_path):
    path, network, _ = model
    save_file(network.state_dict(), path)
    with pytest.raises(UserError, match="no eyespot card"):
        read_card(path)
    with pytest.raises(UserError, match="does not exist"):
        read_card(tmp_path / "none.safetensors")
    for document, message in (
        ({"format": 99}, "has the format 99, newer than"),
        ({"format": 1, "presets": "x"}, "unknown entry 'presets'; did you mean 'preset'"),
        ({"format": 1}, "is not complete"),
    ):
        save_file(network.state_dict(), path, {"eyespot": json.dumps(document)})
        with pytest.raises(UserError, match=message):
            read_card(path)
    save_file(network.state_dict(), path, {"eyespot": "{"})
    with pytest.raises(UserError, match="damaged"):
        read_card(path)


def test_weights_of_another_network_are_named(model):
    _, network, _ = model
    tensors = create("small", classes=3, channels=1, widths=(8, 8)).state_dict()
    before = dict(tensors)
    with pytest.raises(UserError, match=r"missing \(blocks.2.*fc.weight \(3, 8\) for \(2, 8\)"):
        load_strict(network, tensors, "x")
    assert tensors.keys() == before.keys()
