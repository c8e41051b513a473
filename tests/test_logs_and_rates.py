"""The learning rate and weight decay that were typed, the logs of a run, and the callback."""

import json
import sys
import tomllib
from dataclasses import asdict, fields
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import eyespot
from conftest import one_sentence, write_set
from eyespot import run_log
from eyespot.config import Config
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.run_folder import settings_digest
from eyespot.run_log import JsonLines, TensorBoard, check_log, new_log
from eyespot.tasks.classification import Classification
from eyespot.training import networks
from eyespot.training.loop import clock
from eyespot.training.optimise import Muon, finetune_optimisers, optimisers
from eyespot.training.plan import make_plan
from eyespot.training.state import Row

ROW = Row(1.0, 2.0, 0.5, 24, 0.5, 1.5, 1.25, 0.75, 100.0)


def rates(steppers):
    return [(type(s).__name__, g["lr"], g.get("weight_decay")) for s in steppers for g in s.param_groups]


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))


def test_the_rate_that_is_typed_is_that_of_the_main_optimiser():
    assert rates(optimisers(network(), 64, 0.0, lr=0.5, weight_decay=0.1)) == [("AdamW", 0.5, 0.1)]
    both = rates(optimisers(network(), 64, 0.15, lr=0.3, weight_decay=0.1))
    assert [name for name, *_ in both] == ["Muon", "AdamW"]
    assert both[0][1] == pytest.approx(0.3) and both[1][1:] == (pytest.approx(0.04), 0.1)
    head, *body = rates(finetune_optimisers(network(), 64, lr=0.1, weight_decay=0.1))
    assert head[1] == pytest.approx(0.1) and body[-1][1] == pytest.approx(0.04)
    assert {decay for *_, decay in (head, *body)} == {0.1}


def test_without_them_only_the_rates_of_adamw_go_with_small_batches():
    plain = optimisers(network(), 128)
    assert rates(plain)[0][1] == 0.15 and rates(plain)[1] == ("AdamW", 0.02, 0.0)
    assert rates(optimisers(network(), 128, 0.0)) == [("AdamW", 0.0015, 0.01)]
    assert isinstance(plain[0], Muon) and rates(finetune_optimisers(network(), 128))[0][1] == 0.025


@pytest.mark.parametrize(
    ("recipe", "lr", "reason", "decay"),
    [
        ("muon", 0.15, "of Muon, for filters; AdamW has 13% of it for the rest; the same for batches", 0.0),
        ("none", 0.0005303, "of AdamW; by the root of the batch, 16", 0.01),
    ],
)
def test_the_plan_says_the_rate_and_why(recipe, lr, reason, decay, photos):
    asked = Config(str(photos), model="tiny", size=16, epochs=1, batch=16, device="cpu", recipe=recipe)
    plan = make_plan(survey_data(photos), asked, clock())
    assert plan.config.lr == pytest.approx(lr, rel=0.01) and reason in plan.reasons["lr"]
    assert plan.config.weight_decay == decay and plan.reasons["weight_decay"]


def test_small_batches_train_filters_as_fast_and_large_ones_faster():
    muon = [rates(optimisers(network(), batch))[0][1] for batch in (16, 64, 512, 2048)]
    assert muon == pytest.approx([0.15, 0.15, 0.15, 0.3])


def test_the_batch_is_for_the_steps_of_the_epochs_also_where_images_grow(photos, monkeypatch):
    counted = []
    monkeypatch.setattr(
        networks, "batch_for", lambda usual, images, least: (counted.append(images) or usual, "")
    )
    monkeypatch.setattr(Classification, "cost", lambda task: 0.25)
    asked = Config(str(photos), model="tiny", size=16, epochs=1, device="cpu")
    plan = make_plan(survey_data(photos), asked, clock())
    assert counted == [plan.images]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--lr", "0"], "lr is 0.0; give a number above 0"),
        (["--lr", "inf"], "lr is inf; give a number above 0"),
        (["--weight-decay", "-1"], "weight_decay is -1.0; give 0 or a number above 0"),
        (["--log", "json"], "did you mean 'jsonl'"),
    ],
)
def test_wrong_values_are_refused_in_a_sentence(typed, message, cli, photos, tmp_path):
    result = cli("train", photos, "--out", tmp_path / "run", *typed)
    assert message in one_sentence(result)


def test_a_plan_with_a_rate_of_its_own_repeats_and_a_new_setting_leaves_old_digests_alone():
    old = Config("x", epochs=1)
    assert settings_digest(old) == settings_digest(Config("x", epochs=1, lr=None))
    assert settings_digest(old) != settings_digest(Config("x", epochs=1, lr=0.1))
    assert settings_digest(old) != settings_digest(Config("x", epochs=1, weight_decay=0.0))


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A run with a rate of its own, a log and a callback; and the rows that the callback had."""
    root = tmp_path_factory.mktemp("logged")
    data, rows = write_set(root / "data", per_class=8), []
    settings: dict[str, Any] = dict(epochs=3, batch=8, model="tiny", size=16, device="cpu", recipe="none")
    run = eyespot.train(
        data, lr=0.002, weight_decay=0.0, log="jsonl", out=root / "run", callback=rows.append, **settings
    )
    return run, rows, data, settings


def test_the_callback_and_the_log_have_the_rows_of_the_table(logged):
    run, rows, _, _ = logged
    columns, *lines = (run.folder / "history.csv").read_text().splitlines()
    assert [f.name for f in fields(Row)] == columns.split(",") == list(rows[0])
    assert len(rows) == len(lines) and rows[-1]["fraction"] == 1
    assert [json.loads(line) for line in (run.folder / "history.jsonl").read_text().splitlines()] == rows
    plan = tomllib.loads((run.folder / "plan.toml").read_text())
    assert plan["lr"] == 0.002 and plan["weight_decay"] == 0 and plan["log"] == "jsonl"
    assert plan["reasons"]["lr"] == plan["reasons"]["weight_decay"] == "as you asked"


def test_an_error_in_the_callback_keeps_the_work_and_a_resumed_log_has_each_row_once(logged, tmp_path):
    run, rows, _, _ = logged
    calls = []

    def failing(row):
        calls.append(row)
        if len(calls) == 3:
            raise ValueError("the disk of the logger is full")

    with pytest.raises(ValueError, match="is full") as caught:
        eyespot.train(config=run.folder / "plan.toml", out=tmp_path / "run", callback=failing)
    assert "callback failing of eyespot.train; the checkpoint is saved" in caught.value.__notes__[0]
    seen: list[dict] = []
    eyespot.train(resume=tmp_path / "run", callback=seen.append)
    timing = ("seconds", "images_per_second")
    plain = [{k: v for k, v in row.items() if k not in timing} for row in rows]
    assert [{k: v for k, v in row.items() if k not in timing} for row in [*calls, *seen]] == plain
    lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [row["epoch"] for row in rows]
    first, second = (torch_weights(folder) for folder in (run.folder, tmp_path / "run"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def torch_weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_a_callback_can_stop_as_ctrl_c_does(logged, tmp_path):
    _, _, data, settings = logged

    def stop(row):
        raise KeyboardInterrupt

    stopped = eyespot.train(data, out=tmp_path / "run", callback=stop, **settings)
    assert stopped.interrupted and stopped.evaluation is not None


class Writer:
    """torch's SummaryWriter, as far as it is used."""

    def __init__(self, folder):
        self.folder, self.scalars, self.flushed = folder, [], 0

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def flush(self):
        self.flushed += 1


def test_tensorboard_has_each_row_once_by_samples_seen(tmp_path, monkeypatch):
    module: Any = ModuleType("torch.utils.tensorboard")
    made = []
    module.SummaryWriter = lambda folder: made.append(Writer(folder)) or made[-1]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events.of.a.killed.run").touch()
    log = new_log("tensorboard", tmp_path, 40)
    assert isinstance(log, TensorBoard) and not (tmp_path / "tensorboard").exists()
    log.write([ROW])
    log.write([ROW, ROW])
    (writer,) = made
    assert writer.folder == str(tmp_path / "tensorboard") and writer.flushed == 2
    assert writer.scalars.count(("score", 0.75, 40)) == 2
    assert len(writer.scalars) == 2 * (len(fields(Row)) - 1)


def test_jsonl_is_written_whole(tmp_path):
    log = new_log("jsonl", tmp_path, 1)
    assert isinstance(log, JsonLines)
    log.write([ROW, ROW])
    log.write([ROW])
    assert json.loads((tmp_path / "history.jsonl").read_text()) == asdict(ROW)
    new_log("csv", tmp_path, 1).write([ROW])
    assert [p.name for p in tmp_path.iterdir()] == ["history.jsonl"]


def test_tensorboard_that_is_missing_is_refused_before_anything_is_read(cli, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(run_log, "find_spec", lambda name: None)
    result = cli("train", photos, "--log", "tensorboard", "--out", tmp_path / "run")
    assert "pip install 'eyespot[tensorboard]'" in one_sentence(result)
    assert "images in" not in result.err
    with pytest.raises(UserError, match="tensorboard"):
        check_log("tensorboard")
    check_log("jsonl")
