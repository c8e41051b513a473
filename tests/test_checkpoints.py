"""Weights to start from: every kind of file, other names, other channels and classes, and what is refused."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from eyespot.errors import UserError
from eyespot.models import create, presets
from eyespot.weights.adapt import ends, to_channels
from eyespot.weights.card import Card, write_model
from eyespot.weights.load import read
from eyespot.weights.names import torchvision_names
from eyespot.weights.published import DIGESTS
from eyespot.weights.start import start

# Each kind of network made small.
RESNET = dict(width=8, depths=(1, 1, 1))
VGG = dict(width=4, depths=(1, 1), grid=2, hidden=8)
DENSENET = dict(width=8, depths=(1, 2), growth=4)
SIZES = {"resnet18": RESNET, "vgg11_bn": VGG, "densenet121": DENSENET, "small": dict(widths=(8, 8))}


def seeded(name: str, seed: int = 0, **changes):
    """A network with weights and statistics that no other seed gives."""
    torch.manual_seed(seed)
    model = create(name, **{**SIZES[name], **changes})
    for key, tensor in model.state_dict().items():
        if "num_batches" not in key:
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in key else 0.2 * torch.randn_like(tensor))
    return model.eval()


def same(a, b) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def prefixed(tensors, prefix: str):
    return {prefix + name: tensor for name, tensor in tensors.items()}


WRITERS = {
    "plain.safetensors": lambda t, path: save_file(t, path),
    "plain.pth": torch.save,
    "old.pth": lambda t, path: torch.save(t, path, _use_new_zipfile_serialization=False),
    "wrapped.pt": lambda t, path: torch.save({"epoch": 3, "state_dict": t, "best": 0.5}, path),
    "twice.pth": lambda t, path: torch.save({"model": {"state_dict": t}, "optimizer": {}}, path),
    "parallel.pth": lambda t, path: torch.save({"model": prefixed(t, "module.")}, path),
    "compiled.pth": lambda t, path: torch.save(prefixed(t, "module._orig_mod."), path),
    "without_counters.pth": lambda t, path: torch.save({k: v for k, v in t.items() if "num_" not in k}, path),
    "half.safetensors": lambda t, path: save_file({k: v.bfloat16() if v.is_floating_point() else v for k, v in t.items()}, path),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_is_read(tmp_path, kind):
    model = seeded("resnet18")
    if kind.startswith("half"):
        model.bfloat16().float()
    WRITERS[kind](model.state_dict(), tmp_path / kind)
    started = create("resnet18", **RESNET, weights=tmp_path / kind)
    assert same(started, model)
    assert started.started_from.source == str(tmp_path / kind) and not started.started_from.new


def test_a_model_file_of_ours_and_its_folder_are_read(tmp_path):
    model = seeded("small")
    write_model(tmp_path / "model.safetensors", model.state_dict(), Card("small", {}, [*"abcdefghij"], {}))
    for weights in (tmp_path, str(tmp_path / "model.safetensors")):
        assert same(create("small", **SIZES["small"], weights=weights), model)


@pytest.mark.parametrize("name", SIZES)
def test_a_state_dict_is_read_and_never_changed(name):
    tensors = seeded(name).state_dict()
    before = {key: tensor.clone() for key, tensor in tensors.items()}
    with torch.no_grad():
        for parameter in create(name, **SIZES[name], weights=tensors, channels=5, classes=3).parameters():
            parameter.zero_()
    assert list(tensors) == list(before) and all(torch.equal(tensors[key], before[key]) for key in before)


def test_without_weights_nothing_is_told():
    assert create("small").started_from is None


# Names.
def timm_vgg(tensors):
    """The names and shapes of timm 1.0.31, where its VGG differs: compared with its own state dicts by hand."""
    names = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if name == "classifier.0.weight":
            tensor = tensor.view(8, 8, 2, 2)
        if name == "classifier.3.weight":
            tensor = tensor[..., None, None]
        renamed[f"{names.get(layer, layer)}.{kind}"] = tensor
    return renamed


def old_densenet(tensors):
    """The names in torchvision's published files."""
    for n in ("norm1", "norm2", "conv1", "conv2"):
        tensors = {
            k.replace(f"denselayer1.{n}.", f"denselayer1.{n[:4]}.{n[4]}."): v for k, v in tensors.items()
        }
    return {k: v for k, v in tensors.items() if "num_batches" not in k}


@pytest.mark.parametrize(
    "name,others", [("vgg11_bn", timm_vgg), ("densenet121", old_densenet), ("resnet18", dict)]
)
def test_names_of_other_programs_give_the_same_logits(name, others):
    model = seeded(name)
    tensors = others(model.state_dict())
    assert name == "resnet18" or tensors.keys() != model.state_dict().keys()
    started = create(name, **SIZES[name], weights=tensors).eval()
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(started(x), model(x))


def test_a_name_that_the_network_has_is_not_changed():
    zero = torch.zeros(1)
    own = {"head.fc.weight": zero, "classifier.6.weight": zero}
    assert torchvision_names(own, own).keys() == own.keys()
    strange = {"head.fc.weight": zero, "stem.weight": zero}
    assert torchvision_names(strange, {"stem.weight": zero}).keys() == strange.keys()


# Channels and classes.
@pytest.mark.parametrize("cin", [1, 3, 4])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 7])
def test_the_response_to_an_image_that_is_the_same_in_all_channels_is_kept(cin, channels):
    weight = torch.randn(5, cin, 3, 3, dtype=torch.float64)
    adapted = to_channels(weight, channels)
    assert adapted.shape == (5, channels, 3, 3)
    torch.testing.assert_close(adapted.sum(1), weight.sum(1))
    if channels == cin:
        assert torch.equal(adapted, weight)


def test_more_channels_repeat_the_given_ones_in_turn():
    weight = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1)
    assert to_channels(weight, 4).flatten().tolist() == [0.5, 2.0, 4.0, 0.5]
    assert to_channels(weight, 6).flatten().tolist() == [0.5, 1.0, 2.0, 0.5, 1.0, 2.0]
    assert to_channels(weight, 1).flatten().tolist() == [7.0]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_other_channels_see_a_grey_image_as_before(name, channels):
    model = seeded(name)
    started = create(name, **SIZES[name], channels=channels, weights=model.state_dict()).eval()
    grey = torch.randn(2, 1, 32, 32)
    before, after = (m(grey.expand(-1, m.channels, -1, -1)) for m in (model, started))
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    first = f"{ends(model)[0]}.weight"
    assert started.started_from.adapted == ((first,) if channels != 3 else ())


@pytest.mark.parametrize("name", SIZES)
def test_for_other_classes_only_the_head_is_new(name):
    model = seeded(name, classes=9)
    torch.manual_seed(7)
    started = create(name, **SIZES[name], classes=4, weights=model.state_dict())
    torch.manual_seed(7)
    drawn = create(name, **SIZES[name], classes=4).state_dict()
    head, told = ends(model)[1], started.started_from
    assert told.new == (f"{head}.weight", f"{head}.bias") and not told.adapted and not told.unused
    for key, tensor in started.state_dict().items():
        assert torch.equal(tensor, drawn[key] if key in told.new else model.state_dict()[key]), key
    assert f"new for other classes: {head}.weight" in str(told)


def test_what_the_network_has_no_place_for_is_told():
    tensors = seeded("resnet18").state_dict()
    extra = {"aux.weight": torch.zeros(2, 3), "queue": torch.zeros(4)}
    told = create("resnet18", **RESNET, weights=tensors | extra).started_from
    assert told.unused == ("aux.weight", "queue") and "not used: aux.weight, queue" in str(told)
    body = {name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")}
    deeper = body | {"fc.1.weight": torch.zeros(2, 2), "fc.1.bias": torch.zeros(2)}
    told = create("resnet18", **RESNET, weights=deeper).started_from
    assert told.new == ("fc.weight", "fc.bias") and told.unused == ("fc.1.weight", "fc.1.bias")


# Refusals: one sentence with the names and shapes.
def refused(weights, name: str = "resnet18", **changes) -> str:
    with pytest.raises(UserError) as error:
        create(name, **{**SIZES[name], **changes}, weights=weights)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(seeded("vgg11_bn").state_dict(), tmp_path / "vgg.pth")
    said = refused(tmp_path / "vgg.pth")
    assert f"the weights of {tmp_path / 'vgg.pth'} do not fit this ResNet" in said
    assert (
        "missing (conv1.weight (8, 3, 7, 7)," in said
        and "unexpected (features.0.weight (4, 3, 3, 3)," in said
    )


def test_a_deeper_network_is_another_network():
    deeper = seeded("resnet18", depths=(1, 2, 1)).state_dict()
    assert "12 unexpected (layer2.1.conv1.weight (16, 16, 3, 3)," in refused(deeper)
    said = refused(seeded("resnet18").state_dict(), depths=(1, 2, 1))
    assert "10 missing (layer2.1.conv1.weight (16, 16, 3, 3)," in said


def test_partial_weights_are_refused(tmp_path):
    tensors = seeded("resnet18").state_dict()
    partial = {name: tensor for name, tensor in tensors.items() if "layer3" not in name}
    assert "do not fit this ResNet: 15 missing (layer3.0.conv1.weight (32, 16, 3, 3)," in refused(partial)
    assert "1 missing (fc.bias (1000,))" in refused({k: v for k, v in tensors.items() if k != "fc.bias"})
    assert "the state dict do not fit" in refused({})


def test_another_number_of_axes_and_undefined_values_are_refused():
    tensors = seeded("resnet18").state_dict()
    assert (
        "are for images of 2 axes (conv1.weight (8, 3, 7, 7)), and this ResNet sees 3: create it with dim=2"
        in (refused(tensors, dim=3))
    )
    tensors["layer2.0.bn1.bias"][3] = torch.nan
    assert "layer2.0.bn1.bias in the state dict has infinite or undefined values" in refused(tensors)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path(__file__).with_name("ran-code"),))


@pytest.mark.parametrize(
    "content,sentence",
    [
        (b"", "is damaged or not a file of weights"),
        (b"not weights at all", "is damaged or not a file of weights (no torch.save wrote it); give"),
        (pickle.dumps({"state_dict": Evil()}, protocol=2), "holds objects that could run code"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, sentence):
    (tmp_path / "x.pth").write_bytes(content)
    said = refused(tmp_path / "x.pth")
    assert said.startswith(f"{tmp_path / 'x.pth'} {sentence}")
    assert not Path(__file__).with_name("ran-code").exists()


def test_a_whole_module_a_cut_file_and_no_weights_are_refused(tmp_path):
    path = tmp_path / "x.pth"
    torch.save(seeded("resnet18"), path)
    assert "holds objects that could run code" in refused(path)
    torch.save(seeded("resnet18").state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "is damaged" in refused(path)
    torch.save({"epoch": 3, "lr": 0.1}, path)
    assert "holds no weights by name (it holds epoch, lr)" in refused(path)
    torch.save(torch.zeros(3), path)
    assert "holds no weights by name (it holds Tensor)" in refused(path)
    save_file({"a": torch.zeros(1000)}, tmp_path / "x.safetensors")
    (tmp_path / "x.safetensors").write_bytes((tmp_path / "x.safetensors").read_bytes()[:-10])
    assert "cannot be read" in refused(tmp_path / "x.safetensors")


def test_unknown_weights_are_refused(tmp_path):
    assert (
        "there are no weights 'imagenett'; give a .safetensors or .pth file, a run folder, or imagenet"
        in (refused("imagenett"))
    )
    assert f"there are no weights '{tmp_path / 'model.safetensors'}'" not in refused(tmp_path)
    with pytest.raises(UserError, match="no weights are published for 'resnet20'; did you mean 'resnet"):
        create("resnet20", weights="imagenet")


def test_published_weights_are_of_presets():
    assert set(DIGESTS) < set(presets()) and len(set(DIGESTS.values())) == 17
    assert all(len(digest) == 8 and int(digest, 16) for digest in DIGESTS.values())


def test_start_tells_the_source(tmp_path):
    model = seeded("small")
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    told = start(seeded("small", seed=1), tmp_path / "w.safetensors", "small")
    assert str(told) == f"{len(told.kept)} tensors of {tmp_path / 'w.safetensors'}"
    assert read(tmp_path / "w.safetensors").keys() == set(told.kept)
