"""Validation images that the weights to start from were trained on are counted and said."""

import numpy as np
import pytest
from PIL import Image

import eyespot
from eyespot.evaluation.run_split import trained_before


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


def test_what_was_trained_on_before_is_said(runs):
    assert not [note for note in runs[0].evaluation.notes if "trained on by" in note]
    for run in runs[1:]:
        (note,) = [note for note in run.evaluation.notes if "trained on by" in note]
        assert "for validation and testing have been trained on by" in note and "too good" in str(
            run.evaluation
        )
        assert "trained on by" in (run.folder / "report.html").read_text()


def test_earlier_starts_count_too(runs):
    first = trained_before(str(runs[0].folder))
    assert len(first) == 48 and len(trained_before(str(runs[2].folder))) > 55
    assert first < trained_before(str(runs[1].folder / "model.safetensors"))


def test_weights_without_a_run_say_nothing(tmp_path):
    assert trained_before(str(tmp_path / "weights.pth")) == set()
