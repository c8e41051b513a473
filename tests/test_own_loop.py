"""`eyespot.datasets` and the estimator: for those who have their own loop, or scikit-learn's."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import eyespot
from conftest import write_set
from eyespot.config import Config
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.training.division import split_rows

GUIDE = (Path(__file__).parent.parent / "docs" / "guide" / "notebook.md").read_text()
SMALL = dict(epochs=1, model="tiny", augment="none", size=16, recipe="none", batch=8)


def test_the_split_and_the_values_are_those_of_train(photos):
    data = eyespot.datasets.read(photos, seed=3, group=r"(\d\d)\.png")
    config = Config(data=str(photos), seed=3, group=r"(\d\d)\.png")
    survey = survey_data(photos, config)
    division = split_rows(survey, config)
    assert data.validation.paths == [survey.path(int(row)) for row in division.val]
    assert not {p[-6:] for p in data.train.paths} & {p[-6:] for p in data.validation.paths}
    image, label = data.train[0]
    assert image.dtype == torch.float32 and 0 <= image.min() and 0.5 < image.max() <= 1
    assert data.classes[label] in data.train.paths[0]
    want = np.moveaxis(survey.images.pixels[int(division.train[0])], -1, 0) / np.float32(255)
    np.testing.assert_allclose(image, want, atol=1e-6)
    stacked = torch.stack([x for x, _ in data.train])
    np.testing.assert_allclose(data.mean, stacked.mean((0, 2, 3)), atol=1e-4)
    assert len(data.test) == 0 and "20% of each class" in str(data)


def test_masks_come_beside_their_images():
    data = eyespot.datasets.read("cells")
    image, mask = data.validation[0]
    assert (
        mask.dtype == torch.int64 and mask.shape == image.shape[1:] and set(mask.unique().tolist()) == {0, 1}
    )


def test_settings_of_training_are_refused(photos):
    with pytest.raises(TypeError, match="lr is for training"):
        eyespot.datasets.read(photos, lr=0.1)


def test_the_loop_of_the_guide_runs(capsys, tmp_path):
    write_set(tmp_path / "grey", channels=1)
    loop = re.search(r"```python\n(data = eyespot\.datasets.*?)```", GUIDE, re.DOTALL)
    assert loop and len(loop[1].splitlines()) <= 10
    names = {"eyespot": eyespot, "torch": torch}
    exec(loop[1].replace('"digits"', repr(str(tmp_path / "grey"))).replace("range(10)", "range(2)"), names)
    assert 0.2 < float(capsys.readouterr().out.split()[-1]) <= 1


def test_the_estimator_does_what_scikit_learn_asks():
    base = pytest.importorskip(
        "sklearn.base", reason="scikit-learn's cross-validation is what the estimator is for"
    )
    selection = pytest.importorskip("sklearn.model_selection")
    y = np.array(["a", "b"] * 15)
    X = np.random.default_rng(0).integers(0, 80, (30, 16, 16)).astype(np.uint8)
    X[y == "b", :8] += 120
    estimator = eyespot.ImageClassifier(**SMALL)
    copied = base.clone(estimator)
    assert copied is not estimator and copied.get_params() == SMALL and base.is_classifier(estimator)
    assert repr(estimator.set_params(seed=1)).endswith("seed=1)") and estimator.get_params()["seed"] == 1
    scores = selection.cross_val_score(copied, X, y, cv=2)
    assert scores.shape == (2,) and ((0 <= scores) & (scores <= 1)).all()
    with pytest.raises(UserError, match="call fit first"):
        copied.predict(X)


def test_the_estimator_refuses_what_are_no_images():
    estimator = eyespot.ImageClassifier(**SMALL)
    for X, words in (
        (np.zeros((10, 64)), "take 3 axes"),
        (np.zeros((2, 9, 4, 20)), "does not tell channels"),
        (np.zeros((3, 16, 16)), "3 images, and y 2 labels"),
    ):
        with pytest.raises(UserError, match=words):
            estimator.fit(X, [0, 1])
    with pytest.raises(TypeError, match="not a setting"):
        eyespot.ImageClassifier(epoch=3)
