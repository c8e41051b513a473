"""Cross-validation: folds, out-of-fold predictions, their metrics, and the ensemble; resumed and repeated."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import eyespot
from conftest import one_sentence, texture, write_set
from eyespot.config import Config
from eyespot.data.folds import assign_folds
from eyespot.errors import UserError
from eyespot.prediction.ensemble import EnsembleEngine
from eyespot.training.loop import Loop

QUICK = dict(epochs=1, model="tiny", recipe="none", augment="none")


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_folds_are_even_in_size_and_classes():
    labels = np.repeat([0, 1, 2], [40, 25, 7])
    fold = assign_folds(labels, np.arange(72), 5, seed=1)
    assert np.ptp(np.bincount(fold)) <= 1
    for label in range(3):
        assert np.ptp(np.bincount(fold[labels == label], minlength=5)) <= 1
    assert (fold == assign_folds(labels, np.arange(72), 5, seed=1)).all()
    assert (fold != assign_folds(labels, np.arange(72), 5, seed=2)).any()


def test_a_group_is_in_one_fold_and_groups_are_spread():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 25, 300)
    labels = groups % 2  # each patient has one diagnosis
    fold = assign_folds(labels, groups, 5, seed=0)
    assert all(len(set(fold[groups == g].tolist())) == 1 for g in range(25))
    for label in range(2):
        assert np.ptp(np.bincount(fold[labels == label], minlength=5)) < 15


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """A cross-validation of textures in three folds."""
    root = tmp_path_factory.mktemp("folds")
    data = write_set(root / "data", per_class=9)
    run = eyespot.train(data, folds=3, seed=5, epochs=4, model="tiny", out=root / "run")
    return SimpleNamespace(run=run, data=data, folder=run.folder)


def test_every_image_is_out_of_fold_once(folds):
    split = rows_of(folds.folder / "split.csv")
    predictions = rows_of(folds.folder / "predictions.csv")
    assert len(split) == len(predictions) == 27
    assert len({row["path"] for row in predictions}) == 27
    fold_of = {
        row["path"].rsplit("/", 2)[1] + row["path"].rsplit("/", 1)[1]: row["validated_in"] for row in split
    }
    for row in predictions:
        assert fold_of[row["path"].rsplit("/", 2)[1] + row["path"].rsplit("/", 1)[1]] == f"fold-{row['fold']}"
    for number in "123":
        of_fold = rows_of(folds.folder / f"fold-{number}" / "split.csv")
        val = [row["path"] for row in of_fold if row["split"] == "val"]
        assert val == [row["path"] for row in split if row["validated_in"] == f"fold-{number}"]
        assert [val.count(path) for path in val] == [1] * 9 and len(of_fold) == 27


def test_the_pooled_metrics_are_those_of_the_predictions(folds):
    predictions = rows_of(folds.folder / "predictions.csv")
    right = sum(row["label"] == row["predicted"] for row in predictions)
    accuracy = folds.run.evaluation.scores["accuracy"]
    assert (accuracy["value"], accuracy["n"]) == (right / 27, 27)
    for number in (1, 2, 3):
        of_fold = [row for row in predictions if row["fold"] == str(number)]
        mean = sum(row["label"] == row["predicted"] for row in of_fold) / len(of_fold)
        alone = eyespot.evaluate(folds.folder / f"fold-{number}")
        assert alone.scores["accuracy"]["value"] == pytest.approx(mean)
        assert folds.run.evaluation.folds.scores[number] == alone.scores["accuracy"]


def test_it_is_said_what_the_metrics_are_of(folds):
    text = str(folds.run.evaluation)
    assert "trained on about 2/3 of the images" in text and "has not been measured" in text
    assert "a spread, not an interval" in text
    page = (folds.folder / "report.html").read_text()
    assert "fold-2/report.html" in page and "has not been measured" in page
    assert "trained on the others. The accuracy of the folds is " in page and "folds: accuracy" not in page
    assert "cross-validation of 27 images in 3 folds" in page
    assert "out-of-fold accuracy" in repr(eyespot.load(folds.folder))


def test_evaluate_repeats_the_pooled_metrics(folds, cli):
    again = eyespot.evaluate(folds.folder)
    assert again.as_dict() == folds.run.evaluation.as_dict()
    assert str(again) == str(folds.run.evaluation)
    opened = eyespot.Run(folds.folder)
    assert opened.evaluation.as_dict() == again.as_dict() and "out-of-fold" in opened._repr_html_()
    assert "folds" in cli("evaluate", folds.folder, "--json").out


def test_the_ensemble_predicts_the_mean_of_the_probabilities(folds, cli):
    images = sorted(folds.data.rglob("*.png"))[:5]
    members = [eyespot.load(folds.folder / f"fold-{n}")(images) for n in (1, 2, 3)]
    for i, mean in enumerate(eyespot.predict(folds.folder, images)):
        for name, value in mean.probabilities.items():
            assert value == pytest.approx(np.mean([m[i].probabilities[name] for m in members]), abs=1e-6)
    assert cli("predict", folds.folder, images[0]).code == 0


def test_the_ensemble_on_other_data_says_what_it_saw(folds, cli, tmp_path):
    assert "27 of these 27 images were trained on" in cli("evaluate", folds.folder, folds.data).out
    other = write_set(tmp_path / "other", per_class=3, seed=9)
    result = cli("evaluate", folds.folder, other)
    assert result.code == 0 and "trained on" not in result.out


def test_a_fold_is_a_run_that_can_be_repeated_alone(folds, tmp_path):
    again = eyespot.train(config=folds.folder / "fold-2" / "plan.toml", out=tmp_path / "again")
    first = load_file(folds.folder / "fold-2" / "model.safetensors")
    second = load_file(tmp_path / "again" / "model.safetensors")
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    assert again.evaluation.scores["accuracy"] == folds.run.evaluation.folds.scores[2]


def stop_in(monkeypatch, number, after=2):
    """Ctrl-C in the fold of this number, after some steps."""
    step = Loop._one_step
    steps = []

    def stopped(self):
        if self.config.fold == number:
            steps.append(1)
            if len(steps) > after:
                raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(Loop, "_one_step", stopped)


def test_an_interrupted_run_keeps_its_folds_and_is_resumed(folds, tmp_path, monkeypatch, cli):
    monkeypatch.setenv("EYESPOT_CHECKPOINT_SECONDS", "0.0001")
    with monkeypatch.context() as patch:
        stop_in(patch, 2)
        result = cli("train", "--config", folds.folder / "plan.toml", "--out", tmp_path / "run")
    assert result.code == 130
    assert "folds complete: 1; missing: 2, 3" in result.err
    assert "2 folds of 3 (2, 3) are missing" in result.out and "--resume" in result.out
    assert "9 images" in result.out
    kept = (tmp_path / "run" / "fold-1" / "model.safetensors").stat().st_mtime_ns
    assert cli("predict", tmp_path / "run", next(folds.data.rglob("*.png"))).code == 0
    result = cli("train", "--resume", tmp_path / "run", "--json")
    assert result.code == 0, result
    assert (tmp_path / "run" / "fold-1" / "model.safetensors").stat().st_mtime_ns == kept
    for number in (1, 2, 3):
        first = load_file(folds.folder / f"fold-{number}" / "model.safetensors")
        second = load_file(tmp_path / "run" / f"fold-{number}" / "model.safetensors")
        assert all(first[name].tobytes() == second[name].tobytes() for name in first), number
    assert eyespot.evaluate(tmp_path / "run").scores == folds.run.evaluation.scores
    assert "nothing to resume" in cli("train", "--resume", tmp_path / "run").err


def test_a_run_without_a_complete_fold_predicts_nothing_and_says_why(folds, tmp_path, monkeypatch, cli):
    stop_in(monkeypatch, 1)
    result = cli("train", "--config", folds.folder / "plan.toml", "--out", tmp_path / "run")
    assert "folds complete: none; missing: 1, 2, 3" in result.err
    monkeypatch.undo()
    line = one_sentence(cli("predict", tmp_path / "run", next(folds.data.rglob("*.png"))))
    assert "no complete fold yet" in line and "--resume" in line


def test_groups_and_duplicates_stay_in_one_fold(tmp_path):
    """Twelve patients of four images, of which one is stored twice under the name of another patient."""
    for patient in range(12):
        folder = tmp_path / "data" / ("rows", "columns")[patient % 2]
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(4):
            image = texture(patient % 2, np.random.default_rng(50 * patient + i))
            Image.fromarray(image).save(folder / f"p{patient:02}_{i}.png")
    first = tmp_path / "data" / "rows" / "p00_0.png"
    (tmp_path / "data" / "rows" / "p02_9.png").write_bytes(first.read_bytes())
    run = eyespot.train(tmp_path / "data", folds=3, group=r"(p\d+)_", **QUICK, out=tmp_path / "run")
    folds = {}
    for row in rows_of(run.folder / "split.csv"):
        folds.setdefault(row["group"], set()).add(row["validated_in"])
    assert all(len(of) == 1 for of in folds.values()) and folds["p00"] == folds["p02"]
    text = str(run.evaluation)
    assert "by bootstrap over 11 groups (each held out in one of 3 folds)" in text
    assert run.evaluation.scores["accuracy"]["groups"] == 11
    assert eyespot.evaluate(run.folder).as_dict() == run.evaluation.as_dict()


def test_a_test_set_stays_one(tmp_path):
    write_set(tmp_path / "data" / "train", per_class=6)
    write_set(tmp_path / "data" / "test", per_class=4, seed=3)
    run = eyespot.train(tmp_path / "data", folds=2, **QUICK, out=tmp_path / "run")
    split = rows_of(run.folder / "split.csv")
    assert sorted({(row["split"], row["validated_in"]) for row in split}) == [
        ("test", ""),
        ("train", "fold-1"),
        ("train", "fold-2"),
    ]
    assert run.evaluation.scores["accuracy"]["n"] == 12
    pooled = run.evaluation.folds.pooled
    assert pooled["n"] == 18 and len(rows_of(run.folder / "predictions.csv")) == 18
    assert "of the ensemble, on the test set; out-of-fold accuracy" in str(run.evaluation)
    assert "not been measured" not in (run.folder / "report.html").read_text()
    assert eyespot.evaluate(run.folder).as_dict() == run.evaluation.as_dict()


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        ("plain", ("--folds", 1), "give a whole number from 2 on"),
        ("plain", ("--folds", 9), "--folds 9 needs 9 images that are no duplicates of each other with class 'columns', and there are 4: give --folds 4 or fewer"),
        ("uneven", ("--folds", 5), "with class 'rows', and there are 3: give --folds 3 or fewer"),
        ("plain", ("--folds", 4, "--group", "/(00[01])|/00."), "give --folds"),
        ("own", ("--folds", 2), "has a validation set of its own"),
        ("plain", ("--folds", 2, "--minutes", 0.01), "is not enough for 2 folds"),
    ],
)  # fmt: skip
def test_folds_that_cannot_be_are_refused(cli, tmp_path, data, options, expected):
    write_set(tmp_path / "plain", per_class=4)
    write_set(tmp_path / "uneven", per_class=4)
    next((tmp_path / "uneven" / "rows").iterdir()).unlink()
    write_set(tmp_path / "own" / "train", per_class=4)
    write_set(tmp_path / "own" / "val", per_class=4, seed=1)
    result = cli(
        "train", tmp_path / data, "--epochs", 1, "--model", "tiny", "--out", tmp_path / "run", *options
    )
    assert expected in one_sentence(result)
    assert not (tmp_path / "run").exists()


def test_folds_and_a_share_exclude_each_other(tmp_path):
    with pytest.raises(UserError, match="leave one of them out"):
        eyespot.train(
            write_set(tmp_path / "data", per_class=4), folds=3, val_fraction=0.1, out=tmp_path / "run"
        )
    with pytest.raises(UserError, match="from 1 to that number"):
        Config(folds=3, fold=4)


def test_minutes_are_for_all_folds_together(tmp_path):
    import time

    data = write_set(tmp_path / "data", per_class=6)
    start = time.monotonic()
    run = eyespot.train(data, folds=2, minutes=0.8, **QUICK | {"epochs": 500}, out=tmp_path / "run")
    assert time.monotonic() - start < 0.8 * 60 * 1.25
    assert (run.folder / "fold-2" / "report.html").exists()
    assert "for all 2 folds together" in (run.folder / "plan.toml").read_text()


def test_forcing_leaves_no_older_fold(tmp_path):
    data = write_set(tmp_path / "data", per_class=6, kinds=2)
    eyespot.train(data, folds=3, **QUICK, out=tmp_path / "run")
    run = eyespot.train(data, folds=2, **QUICK, out=tmp_path / "run", force=True)
    assert sorted(path.name for path in run.folder.glob("fold-*")) == ["fold-1", "fold-2"]
    eyespot.train(data, **QUICK, out=tmp_path / "run", force=True)
    assert not list((tmp_path / "run").glob("fold-*")) and eyespot.load(tmp_path / "run").network is not None


def test_masks_have_folds_too(tmp_path, cli):
    for i in range(9):
        rng = np.random.default_rng(i)
        mask = np.zeros((32, 32), np.uint8)
        mask[6:20, 4 + i : 16 + i] = 255
        image = (rng.integers(0, 90, mask.shape) + (mask > 0) * 100).astype(np.uint8)
        for folder, values in (("images", image), ("masks", mask)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(tmp_path / "data" / folder / f"{i}.png")
    data = tmp_path / "data"
    run = eyespot.train(data, folds=3, epochs=1, model="unet_narrow", size=16, out=tmp_path / "run")
    assert run.evaluation.scores["mean_iou"]["n"] == 9
    rows = rows_of(run.folder / "predictions.csv")
    assert len(rows) == 9 and {row["fold"] for row in rows} == {"1", "2", "3"}
    assert eyespot.evaluate(run.folder).scores == run.evaluation.scores
    assert "has not been measured" in (run.folder / "report.html").read_text()
    written = cli("predict", run.folder, data / "images", "--out", tmp_path / "masks")
    assert written.code == 0 and len(list((tmp_path / "masks").glob("*.png"))) == 9


class Logits:
    """An engine that gives what it was made with."""

    device = "cpu"

    def __init__(self, values):
        self.values = np.asarray(values, np.float32)

    def logits(self, batch):
        return self.values


def test_an_ensemble_has_the_mean_of_probabilities():
    from scipy.special import expit, softmax

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 1, 3, 4, 5))
    cards: list = [SimpleNamespace(preprocessing={}, temperature=t) for t in (1.0, 2.0)]
    logits = EnsembleEngine([Logits(a), Logits(b)], cards).logits(np.zeros(1))
    mean = (softmax(a, axis=1) + softmax(b / 2, axis=1)) / 2
    assert softmax(logits, axis=1) == pytest.approx(mean, abs=1e-6)
    several = EnsembleEngine([Logits(a), Logits(b)], cards)
    several.multilabel = True
    assert expit(several.logits(np.zeros(1))) == pytest.approx((expit(a) + expit(b / 2)) / 2, abs=1e-6)
    with pytest.raises(UserError, match="ensemble of 2 networks"):
        _ = several.network
