"""Validation images that the weights to start from were trained on are counted and said."""

import shutil

import numpy as np
import pytest
from PIL import Image

import eyespot
from eyespot.evaluation.run_split import run_of, trained_before


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs on one data set, each from the one before, with splits of their own."""
    folder = tmp_path_factory.mktemp("runs")
    for k, name in enumerate("ab"):
        for i in range(30):
            values = np.random.default_rng(100 * k + i).integers(0, 200 + 50 * k, (24, 24, 3), np.uint8)
            (folder / "d" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(folder / "d" / name / f"{i}.png")
    made = []
    for seed in range(3):
        start = made[-1].folder if made else None
        made.append(
            eyespot.train(folder / "d", epochs=1, seed=seed, start_from=start, out=folder / f"run{seed}")
        )
    return made


def seen(evaluation):
    return [note for note in evaluation.notes if "were trained on, so the scores are too good" in note]


def test_what_was_trained_on_before_is_said(runs):
    assert not seen(runs[0].evaluation)
    for run in runs[1:]:
        (note,) = seen(run.evaluation)
        assert note in str(run.evaluation) and seen(run.evaluate()) == [note]
        report = (run.folder / "report.html").read_text()
        assert (
            "for validation and testing have been trained on by" in report
            and "split.csv as the data" in report
        )


def test_a_resumed_run_says_it_too(runs, tmp_path, capsys):
    """A run that was stopped before its first checkpoint is started again."""
    folder = tmp_path / "run"
    shutil.copytree(runs[1].folder, folder)
    for name in ("report.html", "model.safetensors"):
        (folder / name).unlink()
    resumed = eyespot.train(resume=folder)
    assert "have been trained on by" in capsys.readouterr().err and seen(resumed.evaluation)


def test_earlier_starts_count_too(runs):
    first = trained_before(runs[0].folder)
    assert len(first) == 48 and len(trained_before(runs[2].folder)) > 55
    assert first < trained_before(run_of(runs[1].folder / "model.safetensors"))


def test_weights_without_a_run_say_nothing(tmp_path):
    assert trained_before(run_of(tmp_path / "weights.pth")) == set()
