"""Training that starts from weights, and fine-tuning."""

import shutil
import tomllib

import pytest
import torch
from safetensors.torch import load_file, save_file

import eyespot
from conftest import one_sentence
from eyespot.config import Config, read_config
from eyespot.data.sources.builtin import unpack
from eyespot.errors import UserError
from eyespot.models import create
from eyespot.tasks.classification_settings import usual_model
from eyespot.training import optimise
from eyespot.training.optimise import LEVELS, finetune_optimisers, set_rates
from eyespot.training.schedule import HEAD_ALONE, rate
from eyespot.weights.adapt import ends, within


def digits(folder, classes, which: slice = slice(60)):
    """A data set of some of the digits, some images of each."""
    for k in classes:
        (folder / str(k)).mkdir(parents=True)
        for path in sorted((unpack("digits") / str(k)).iterdir())[which]:
            shutil.copy(path, folder / str(k))
    return folder


@pytest.fixture(scope="module")
def low(tmp_path_factory):
    """A network that knows the digits 0 to 4, and a data set of the digits 5 to 9."""
    root = tmp_path_factory.mktemp("start")
    eyespot.train(digits(root / "low", range(5)), epochs=6, batch=32, augment="none", out=root / "run")
    return root / "run", digits(root / "high", range(5, 10))


def test_training_goes_on_from_the_weights(low, tmp_path):
    """More images of the classes that the network knows: its head is kept, and after a step it is far ahead of a new network."""
    more = digits(tmp_path / "more", range(5), slice(60, 120))
    kinds = {
        "scratch": {},
        "started": dict(start_from=low[0]),
        "tuned": dict(start_from=low[0], fine_tune=True),
    }
    loss = {}
    for kind, start in kinds.items():
        trained = eyespot.train(more, epochs=0.1, batch=32, augment="none", out=tmp_path / kind, **start)
        assert trained.evaluation is not None
        loss[kind] = trained.evaluation.scores["log_loss"]["value"]
    assert max(loss["started"], loss["tuned"]) < 0.25 * loss["scratch"], loss


def test_the_plan_tells_what_became_of_the_weights_and_repeats(cli, low, tmp_path):
    run, high = low
    typed = ["--epochs", 1, "--batch", 64, "--start-from", run, "--fine-tune", "--out", tmp_path / "a"]
    said = " ".join(cli("train", high, *typed).err.split())
    assert f"40 tensors of {run / 'model.safetensors'}" in said
    assert f"the network of {run / 'model.safetensors'}" in said
    assert "the head alone for 15% of the run, then all layers, early ones at the lowest rate" in said
    plan = tomllib.loads((tmp_path / "a" / "plan.toml").read_text())
    assert plan["start_from"] == str(run) and plan["fine_tune"] is True and plan["model"] == "small"
    eyespot.train(config=tmp_path / "a" / "plan.toml", out=tmp_path / "b")
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_colour_photographs_start_from_grey_digits(cli, low, photos, tmp_path):
    result = cli("train", photos, "--epochs", 1, "--start-from", low[0], "--out", tmp_path / "run")
    said = " ".join(result.err.split())
    assert "adapted to other channels: stem.weight; new for other classes: fc.weight, fc.bias" in said


def test_while_the_head_learns_alone_the_body_keeps_its_weights(low, tmp_path, monkeypatch):
    monkeypatch.setattr(optimise, "HEAD_ALONE", 1.0 - 1e-9)
    run, high = low
    eyespot.train(high, epochs=2, batch=64, start_from=run, fine_tune=True, out=tmp_path / "tuned")
    before, after = (load_file(folder / "model.safetensors") for folder in (run, tmp_path / "tuned"))
    learned = [name for name, _ in create("small", classes=5, channels=1).named_parameters()]
    changed = [name for name in learned if not torch.equal(before[name], after[name])]
    assert changed == ["fc.weight", "fc.bias"]


def step(network, steppers, fraction: float) -> dict[str, float]:
    """Take one step there; how far each tensor moved, at most."""
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    set_rates(steppers, fraction)
    network(torch.randn(4, 3, 64, 64)).square().sum().backward()
    steppers[0].step()
    steppers[0].zero_grad()
    return {name: (p - before[name]).abs().max().item() for name, p in network.named_parameters()}


@pytest.mark.parametrize(
    "name,change",
    [
        ("resnet18", dict(width=8)),
        ("vgg11_bn", dict(width=4, hidden=8, grid=1)),
        ("densenet121", dict(width=8, growth=4, depths=(1, 2, 1))),
    ],
)
def test_fine_tuning_is_head_first_then_early_layers_least(name, change):
    torch.manual_seed(0)
    network = create(name, classes=4, **change)
    (first, head), steppers = ends(network), finetune_optimisers(network, 64)
    moved = step(network, steppers, 0.1)
    assert {name for name, far in moved.items() if far} == {f"{head}.weight", f"{head}.bias"}
    peak = HEAD_ALONE + 0.1 * (1 - HEAD_ALONE)
    moved = step(network, steppers, peak)
    assert all(moved.values())
    assert moved[f"{first}.weight"] < 0.3 * moved[f"{head}.weight"]
    rates = [group["lr"] for group in steppers[0].param_groups]
    assert len(rates) == LEVELS + 1 and rates[0] > max(rates[1:]) and rates[1:] == sorted(rates[1:])


def test_each_group_has_a_cycle_of_its_own():
    network = torch.nn.Linear(2, 2)
    optimiser = torch.optim.SGD(
        [{"params": [network.weight], "lr": 2.0}, {"params": [network.bias], "lr": 4.0, "start": 0.5}]
    )
    for fraction in (0.0, 0.3, 0.5, 0.55, 0.9, 1.0):
        set_rates([optimiser], fraction)
        first, second = (group["lr"] for group in optimiser.param_groups)
        assert first == 2 * rate(fraction) and network.weight.requires_grad
        assert network.bias.requires_grad == (fraction >= 0.5)
        if fraction >= 0.5:
            assert second == 4 * rate((fraction - 0.5) / 0.5)


def test_every_weight_learns_and_the_head_is_a_group_of_its_own():
    network = create("resnet18", width=8)
    groups = finetune_optimisers(network, 64)[0].param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    names = {id(p): name for name, p in network.named_parameters()}
    assert [names[id(p)] for p in groups[0]["params"]] == ["fc.weight", "fc.bias"]
    assert not any(within("fc", names[id(p)]) for group in groups[1:] for p in group["params"])


def test_the_model_is_that_of_the_weights(low, tmp_path):
    assert usual_model(32, None)[0] == "small" and usual_model(100, None)[0] == "resnet18"
    assert usual_model(100, str(low[0])) == ("small", f"the network of {low[0] / 'model.safetensors'}")
    assert usual_model(32, "imagenet") == ("resnet18", "the smallest with published weights")
    for path in (tmp_path / "w.pth", tmp_path / "w.safetensors"):
        tensors = create("small").state_dict()
        torch.save(tensors, path) if path.suffix == ".pth" else save_file(tensors, path)
        with pytest.raises(UserError, match=r"w\..* does not tell which network .*name it with --model"):
            usual_model(32, str(path))


def test_settings_of_the_start_survive_a_file_and_wrong_ones_are_named(tmp_path):
    (tmp_path / "c.toml").write_text("start_from = 'w.pth'\nfine_tune = true")
    assert read_config(tmp_path / "c.toml", {}) == Config(start_from="w.pth", fine_tune=True)
    (tmp_path / "c.toml").write_text("fine_tune = 1")
    with pytest.raises(UserError, match="fine_tune is 1; give true or false"):
        read_config(tmp_path / "c.toml", {})


def test_impossible_starts_are_one_sentence(cli, low, photos, tmp_path):
    assert "fine-tuning needs weights to start from" in one_sentence(cli("train", photos, "--fine-tune"))
    out = ("--epochs", 1, "--out", tmp_path / "run")
    said = one_sentence(cli("train", photos, "--start-from", "nothere.pth", *out))
    assert "there are no weights 'nothere.pth'" in said
    said = one_sentence(cli("train", photos, "--start-from", low[0], "--model", "resnet18", *out))
    assert "do not fit this ResNet: 100 missing (conv1.weight (64, 3, 7, 7)," in said
    said = one_sentence(cli("train", photos, "--start-from", "imagenet", "--model", "small", *out))
    assert "no weights are published for 'small'" in said
    assert not (tmp_path / "run").exists()


def test_weights_are_looked_at_before_the_images(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("eyespot.run.survey_data", lambda *_: pytest.fail("the images were read"))
    (tmp_path / "bad.pth").write_bytes(b"not weights")
    with pytest.raises(UserError, match=r"bad\.pth is damaged or not a file of weights"):
        eyespot.train(photos, start_from=tmp_path / "bad.pth", out=tmp_path / "run")
