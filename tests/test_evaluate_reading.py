"""Data that is evaluated may be stored otherwise than that trained on: the options of the refusals are there."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

import eyespot
from conftest import one_sentence, write_set
from eyespot.errors import UserError
from eyespot.evaluation.masks import _about_few, _about_specks
from eyespot.prediction.segmenter import Segmenter
from eyespot.prediction.torch_engine import TorchEngine

UPRIGHT = np.diag([1.0, 1, 2, 1])
MOVED = np.diag([-1.0, -1, 2, 1])


def volumes(root, affine_of_masks=UPRIGHT, nan=False):
    for i in range(4):
        rng = np.random.default_rng(i)
        mask = np.zeros((16, 16, 16), np.uint8)
        mask[3:10, 4:12, 2 + i : 9 + i] = 1
        image = (rng.normal(0, 1, mask.shape) + 5 * mask).astype(np.float32)
        if nan:
            image[0, 0, 0] = np.nan
        for name, values, affine in (("images", image, UPRIGHT), ("masks", mask, affine_of_masks)):
            (root / name).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, affine), root / name / f"{i}.nii.gz")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    volumes(folder / "d")
    eyespot.train(folder / "d", out=folder / "run", epochs=1)
    return folder / "run"


def test_masks_of_other_affines_are_evaluated_by_their_indices(run, tmp_path):
    volumes(tmp_path, MOVED)
    with pytest.raises(UserError, match="--align array"):
        eyespot.evaluate(run, tmp_path)
    assert not eyespot.evaluate(run, tmp_path, align="array").errors


def test_a_value_for_nan_may_be_given(run, tmp_path):
    volumes(tmp_path, nan=True)
    with pytest.raises(UserError, match=r"not finite.*--nan VALUE"):
        eyespot.evaluate(run, tmp_path)
    evaluated = eyespot.Run(run)
    assert not evaluated.evaluate(tmp_path, nan=0.0).errors
    assert evaluated.predictor.preprocessing.nan is None  # of this evaluation only


def test_specks_that_cannot_match_are_said():
    sizes = [(np.array([40, 12]), np.array([38, 2, 1])), (np.array([30]), np.array([29, 11]))]
    (note,) = _about_specks(sizes, "volume")
    assert note.startswith(
        "note: 2 of 5 predicted objects are under half the size of the smallest true one (12 voxels)"
    )
    assert not list(_about_specks([(np.array([40]), np.array([39, 25]))], "image"))
    assert not list(_about_specks([], "image"))


def test_it_is_said_which_set_was_measured(trained, tmp_path):
    run, data = trained
    assert run.evaluation.split == "validation"
    evaluation = eyespot.evaluate(run.folder)
    assert " of the validation set; in brackets" in str(evaluation)
    assert evaluation.as_dict()["split"] == "validation"
    assert eyespot.evaluate(run.folder, data).split == ""
    write_set(tmp_path / "new" / "train", per_class=4)
    write_set(tmp_path / "new" / "test", per_class=4, seed=5)
    assert "12 images of the test set; " in str(eyespot.evaluate(run.folder, tmp_path / "new"))


def test_few_images_are_a_warning_about_their_interval():
    """Resampling two volumes cannot show how volumes differ, also where each is a group of its own."""
    (line,) = _about_few(2, "volume", None)
    assert line.startswith("warning: the scores come from 2 volumes only") and "5 volumes" in line
    assert not _about_few(5, "volume", None)


def not_finite(monkeypatch, share):
    """The engine's result is not a number for this share of the images, or pixels, of each batch."""
    real = TorchEngine.logits

    def logits(self, images):
        values = real(self, images)
        values[: round(share * len(values))] = np.nan
        return values

    monkeypatch.setattr(TorchEngine, "logits", logits)


def test_a_result_that_is_not_finite_is_no_class(trained, cli, monkeypatch):
    run, data = trained
    not_finite(monkeypatch, 0.25)
    result = cli("evaluate", run.folder, data, "--json")
    document = json.loads(result.out)
    assert result.code == 1 and len(document["unreadable"]) == 22  # of the only batch, of 90
    assert document["accuracy"]["n"] == 68
    assert all("is not finite" in reason for reason in document["unreadable"].values())
    assert "is not finite" in one_sentence(cli("invariance", run.folder, data, "--changes", "hflip"))
    not_finite(monkeypatch, 1)
    assert "is not finite" in one_sentence(cli("evaluate", run.folder, data))


def test_a_mask_that_is_not_finite_is_not_compared(run, cli, tmp_path, monkeypatch):
    volumes(tmp_path)
    labels = Segmenter.labels
    numbers = iter(range(4))
    monkeypatch.setattr(
        Segmenter, "labels", lambda self, image: labels(self, image * (np.nan if next(numbers) == 1 else 1))
    )
    evaluation = eyespot.evaluate(run, tmp_path)
    assert list(evaluation.errors) == [str(tmp_path / "images" / "1.nii.gz")]
    assert [Path(case.path).name for case in evaluation.details.cases if "1.nii" in case.path] == []
    assert len(evaluation.details.cases) == 3
    not_finite(monkeypatch, 1)
    monkeypatch.setattr(Segmenter, "labels", labels)
    assert "is not finite" in one_sentence(cli("evaluate", run, tmp_path))
    assert "is not finite" in one_sentence(cli("invariance", run, tmp_path, "--changes", "hflip"))
