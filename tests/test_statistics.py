"""Batch-norm statistics computed anew, and the network that is saved: it is the one that was validated."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import eyespot
from eyespot.tasks.classification import Classification
from eyespot.training import keeping
from eyespot.training.statistics import estimate_statistics, is_lagging, samples_needed


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 1)).eval()


def test_statistics_are_those_of_the_batches(network):
    x = torch.randn(64, 1, 9, 9) * 3 + 2
    network[1].running_mean += 7
    weights = {k: v.clone() for k, v in network.named_parameters()}
    estimate_statistics(network, x.split(16))
    maps = network[0](x)
    torch.testing.assert_close(network[1].running_mean, maps.mean((0, 2, 3)))
    torch.testing.assert_close(network[1].running_var, maps.var((0, 2, 3)), rtol=0.05, atol=0)
    assert network[1].momentum == 0.1 and not any(m.training for m in network.modules())
    assert all(torch.equal(v, weights[k]) for k, v in network.named_parameters())


def test_no_batch_is_drawn_without_batch_norms():
    def batches():
        raise AssertionError("a batch was drawn")
        yield

    estimate_statistics(nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2)), batches())


def test_momentum_comes_back_after_an_error(network):
    with pytest.raises(RuntimeError):
        estimate_statistics(network, [torch.zeros(1, 3, 9, 9)])
    assert network[1].momentum == 0.1 and not network[1].training


def test_how_many_samples_and_how_long():
    assert samples_needed(100, 50) == 50 and samples_needed(100, 5000) == 256
    assert samples_needed(30_000, 5000) == 600 and samples_needed(10**6, 5000) == 1024
    assert is_lagging(20, 0) and not is_lagging(40, 0)
    assert is_lagging(1000, 900) and not is_lagging(1000, 800)


def textures(folder, n=60):
    """Two classes that differ in the size of their grains, one image in ten with the other's label."""
    rng = np.random.default_rng(0)
    for k, name in enumerate(("fine", "coarse")):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            side = 32 >> 2 * (k ^ (i % 10 == 0))
            noise = Image.fromarray(rng.integers(0, 255, (side, side), np.uint8))
            noise.resize((32, 32), Image.Resampling.NEAREST).save(folder / name / f"{i}.png")
    return folder


def test_the_last_row_is_of_the_saved_network(tmp_path, monkeypatch):
    """Images grow in the run, so that running statistics lag."""
    monkeypatch.setattr(keeping, "PATIENCE", 1.0)
    recipe = "muon|grow_long|ema|smooth"
    data = textures(tmp_path / "d")
    run = eyespot.train(data, epochs=5, seed=0, batch=16, recipe=recipe, augment="none", out=tmp_path / "run")
    rows = list(csv.DictReader((run.folder / "history.csv").read_text().splitlines()))
    assert {row["size"] for row in rows} > {"32"} and float(rows[-1]["fraction"]) == 1
    kept = [float(row["score"]) for row in rows if row["fraction"] in ("1", "1.0")]
    assert run.evaluation is not None
    assert run.evaluation.scores["accuracy"]["value"] == pytest.approx(kept[0], abs=0.1)


def test_the_better_network_is_kept_where_the_last_one_is_clearly_worse(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(keeping, "PATIENCE", 1.0)
    validate = Classification.validate

    def worse_at_the_end(self, network, rows, side):
        loss, metric = validate(self, network, rows, side)
        worse_at_the_end.calls += 1
        return loss, 0.99 if worse_at_the_end.calls == 2 else metric / 2

    worse_at_the_end.calls = 0
    monkeypatch.setattr(Classification, "validate", worse_at_the_end)
    eyespot.train(textures(tmp_path / "d"), epochs=2, seed=0, batch=16, out=tmp_path / "run")
    assert "of the run with 99.0%: the better one is kept" in capsys.readouterr().err


def test_the_network_that_is_kept_is_evaluated_at_its_own_size(tmp_path):
    """The best metric is reached first with small images, and again with larger ones, whose network is kept."""
    for k, name in enumerate(("dark", "bright")):
        for i in range(40):
            value = np.random.default_rng(100 * k + i).integers(0, 60, (48, 48, 3)) + 150 * k
            (tmp_path / "d" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(value.astype(np.uint8)).save(tmp_path / "d" / name / f"{i}.png")
    run = eyespot.train(
        tmp_path / "d", epochs=4, seed=0, batch=8, recipe="muon|grow_short|ema", out=tmp_path / "run"
    )
    rows = list(csv.DictReader((run.folder / "history.csv").read_text().splitlines()))
    best = max(float(row["score"]) for row in rows)
    kept = [row for row in rows if float(row["score"]) == best][-1]
    assert int(kept["size"]) > int(rows[0]["size"]) and best == 1
    assert run.predictor.card.preprocessing["side"] == int(kept["size"])
    assert run.evaluation is not None and run.evaluation.scores["accuracy"]["value"] == 1
