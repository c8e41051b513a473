"""A run that is killed and resumed equals one that is not: weights bit for bit, history line for line."""

import os
import signal
import subprocess
import sys
import time

import pytest
from safetensors.numpy import load_file

import eyespot
from eyespot.run_folder import CHECKPOINT

TIMING = ("seconds", "images_per_second")

SIGKILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Which Windows does not have."""


def history(folder):
    lines = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()]
    kept = [i for i, name in enumerate(lines[0]) if name not in TIMING]
    return [[line[i] for i in kept] for line in lines]


def assert_same(a, b):
    first, second = (load_file(folder / "model.safetensors") for folder in (a, b))
    assert first.keys() == second.keys()
    assert [name for name in first if first[name].tobytes() != second[name].tobytes()] == []
    assert history(a) == history(b)


def start(code, folder):
    """eyespot in a process of its own, with a checkpoint after almost every step."""
    environment = os.environ | {"EYESPOT_CHECKPOINT_SECONDS": "0.05"}
    command = [sys.executable, "-c", f"import eyespot; {code}"]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)


@pytest.fixture(scope="module", params=["digits", "cells"])
def whole(request, tmp_path_factory):
    """A folder with plan.toml and an uninterrupted run of it."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = {"digits": dict(epochs=6, model="small_w16"), "cells": dict(epochs=1, batch=8, size=64)}
    eyespot.train(request.param, seed=3, device="cpu", out=folder / "first", **settings[request.param])
    (folder / "plan.toml").write_text((folder / "first" / "plan.toml").read_text())
    eyespot.train(config=folder / "plan.toml", out=folder / "whole")
    return folder


@pytest.mark.parametrize(
    ("number", "lines"),
    [
        (SIGKILL, 2),
        (signal.SIGTERM, 4),
        pytest.param(SIGKILL, 4, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 2, marks=pytest.mark.slow),
    ],
)
def test_killed_and_resumed_equals_uninterrupted(whole, number, lines):
    cut = whole / f"cut-{number}-{lines}"
    process = start(f"eyespot.train(config='plan.toml', out={cut.name!r})", whole)

    def far_enough():
        file = cut / "history.csv"
        return file.exists() and len(file.read_text().splitlines()) >= lines and (cut / CHECKPOINT).exists()

    wait_for(far_enough, process)
    process.send_signal(number)
    message = process.communicate()[1]
    assert (cut / CHECKPOINT).exists(), message
    if number == signal.SIGTERM:
        assert process.returncode == 143 and "checkpoint is saved" in message
    run = eyespot.train(resume=cut)
    assert_same(whole / "whole", cut)
    assert run.evaluation is not None
    assert not (cut / CHECKPOINT).exists()


def test_a_run_without_a_checkpoint_starts_again(whole):
    cut = whole / "early"
    process = start(f"eyespot.train(config='plan.toml', out={cut.name!r})", whole)
    wait_for((cut / "plan.toml").exists, process)
    process.kill()
    process.communicate()
    (cut / CHECKPOINT).unlink(missing_ok=True)
    eyespot.train(resume=cut)
    assert_same(whole / "whole", cut)


def test_a_complete_run_has_nothing_to_resume(whole, capsys):
    before = (whole / "whole" / "model.safetensors").read_bytes()
    run = eyespot.train(resume=whole / "whole")
    assert "is complete" in capsys.readouterr().err
    assert run.evaluation is not None
    assert (whole / "whole" / "model.safetensors").read_bytes() == before


def test_what_cannot_be_resumed_is_refused_in_a_sentence(whole, tmp_path):
    with pytest.raises(eyespot.UserError, match=r"holds no plan\.toml"):
        eyespot.train(resume=tmp_path)
    with pytest.raises(eyespot.UserError, match="takes no other settings, and seed was given"):
        eyespot.train(resume=whole / "whole", seed=1)


def test_other_data_is_refused(tmp_path):
    from conftest import write_set

    write_set(tmp_path / "data", per_class=8)
    run = eyespot.train(tmp_path / "data", epochs=1, batch=8, out=tmp_path / "run")
    (run.folder / "report.html").unlink()
    next((tmp_path / "data").glob("*/*.png")).unlink()
    with pytest.raises(eyespot.UserError, match="has changed since"):
        eyespot.train(resume=run.folder)


def test_changed_settings_are_refused_and_not_ignored(tmp_path):
    from conftest import write_set

    write_set(tmp_path / "data", per_class=8)
    run = eyespot.train(tmp_path / "data", epochs=1, batch=8, out=tmp_path / "run")
    (run.folder / "report.html").unlink()
    plan = run.folder / "plan.toml"
    text = plan.read_text()
    for changed, message in (
        (text.replace("epochs = 1", "epochs = 2", 1), "were changed after the run was started"),
        (text.replace("[budget]", "[budgets]"), "unknown key"),
        (text[: text.index("[budget]")], "does not say what a resumed run needs"),
    ):
        assert changed != text
        plan.write_text(changed)
        with pytest.raises(eyespot.UserError, match=message):
            eyespot.train(resume=run.folder)
    plan.write_text(text)
    eyespot.train(resume=run.folder)


def test_a_damaged_checkpoint_is_a_sentence(tmp_path):
    from conftest import write_set

    write_set(tmp_path / "data", per_class=8)
    run = eyespot.train(tmp_path / "data", epochs=1, batch=8, out=tmp_path / "run")
    (run.folder / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(eyespot.UserError, match="cannot be read"):
        eyespot.train(resume=run.folder)
