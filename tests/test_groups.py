"""Intervals of rows that belong together: by bootstrap over groups, after training and when evaluated again."""

import csv

import numpy as np
import pytest
from PIL import Image

import eyespot
from conftest import one_sentence, texture
from eyespot.data.groups import share_of_groups
from eyespot.metrics.class_groups import widened
from eyespot.metrics.classes import score
from eyespot.metrics.intervals import bootstrap, ratio, share


def clustered(n_groups, size, p, rho, rng):
    """Whether each image of some groups is right: the groups differ in how often."""
    q = rng.beta(p * (1 - rho) / rho, (1 - p) * (1 - rho) / rho, n_groups)
    right = rng.random((n_groups, size)) < q[:, None]
    return right.ravel(), np.repeat(np.arange(n_groups), size).astype(str).tolist()


def predictions(right, rng, k=2):
    """Probabilities and labels of which those are right."""
    labels = rng.integers(0, k, len(right))
    said = np.where(right, labels, (labels + 1) % k)
    p = np.full((len(right), k), 0.3 / max(1, k - 1))
    p[np.arange(len(right)), said] = 0.7
    return p, labels


def test_intervals_over_groups_cover_the_truth():
    """What intervals of independent images do here in half of the cases only."""
    rng = np.random.default_rng(0)
    inside = alone = 0
    for _ in range(40):
        right, groups = clustered(20, 15, 0.8, 0.3, rng)
        p, labels = predictions(right, rng)
        plain = score(p, labels, ["a", "b"])
        alone += plain["accuracy"]["low"] <= 0.8 <= plain["accuracy"]["high"]
        grouped = widened(score(p, labels, ["a", "b"]), p, labels, groups)
        inside += grouped["accuracy"]["low"] <= 0.8 <= grouped["accuracy"]["high"]
    assert alone < 28 <= 34 <= inside


def test_every_score_has_an_interval_over_groups():
    rng = np.random.default_rng(1)
    right, groups = clustered(9, 12, 0.7, 0.3, rng)
    p, labels = predictions(right, rng, k=24)
    names = [f"c{i}" for i in range(24)]
    plain = score(p, labels, names)
    grouped = widened(score(p, labels, names), p, labels, groups)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "top5_accuracy", "log_loss"):
        assert grouped[name]["value"] == plain[name]["value"] and grouped[name]["n"] == plain[name]["n"]
        assert grouped[name]["groups"] == 9
        assert grouped[name]["low"] <= plain[name]["low"] and grouped[name]["high"] >= plain[name]["high"]
    width = [s["accuracy"]["high"] - s["accuracy"]["low"] for s in (plain, grouped)]
    assert width[1] > 1.3 * width[0]
    recall = grouped["classes"]["c3"]["recall"]
    assert recall["groups"] == len({g for g, y in zip(groups, labels, strict=True) if y == 3})
    assert all(row["accuracy"]["groups"] for row in grouped["reliability"])


def test_groups_without_a_mistake_are_not_certain():
    """Twelve patients that are all right say little about the thirteenth, however many images they have."""
    p, labels = predictions(np.ones(1200, bool), np.random.default_rng(0))
    groups = np.repeat(np.arange(12), 100).astype(str).tolist()
    accuracy = widened(score(p, labels, ["a", "b"]), p, labels, groups)["accuracy"]
    assert accuracy["value"] == accuracy["high"] == 1 and 0.7 < accuracy["low"] < 0.8
    alarm = share(np.zeros(1200, bool), groups)
    assert alarm["value"] == 0 and 0.2 < alarm["high"] < 0.3
    (grown,) = bootstrap(np.ones((1200, 2)), lambda c: ratio(c[..., :1], c[..., 1:]), groups=groups)
    assert (grown["n"], grown["groups"]) == (1200, 12) and grown["low"] < 0.8


def test_one_group_says_nothing():
    p, labels = predictions(np.arange(50) % 5 > 0, np.random.default_rng(0))
    grouped = widened(score(p, labels, ["a", "b"]), p, labels, ["one"] * 50)
    assert (grouped["accuracy"]["low"], grouped["accuracy"]["high"]) == (0, 1)
    assert grouped["log_loss"]["low"] is None


def test_groups_are_counted_by_side():
    names = list("aabbccc")
    sides = ["train"] * 4 + ["val"] * 3
    assert share_of_groups(names, sides, "val") == "1 of 3 groups (33%) held out for validation"
    assert share_of_groups(list("abcdefg"), sides, "val") == ""


def write_patients(root, patients, per_patient=4, first=0):
    """Textures in two classes: the first patients' are rows, the others' are columns."""
    for patient in range(first, first + patients):
        for i in range(per_patient):
            folder = root / ("rows", "columns")[patient % 2]
            folder.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(100 * patient + i)
            Image.fromarray(texture(patient % 2, rng)).save(folder / f"p{patient:02}_{i}.png")
    return root


BY_PATIENT = r"(p\d+)_"


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """A run on six patients, and what it printed."""
    root = tmp_path_factory.mktemp("patients")
    data = write_patients(root / "data", 6)
    return eyespot.train(data, epochs=1, model="tiny", group=BY_PATIENT, out=root / "run"), data


def test_a_run_says_over_which_groups_its_intervals_are(patients):
    run, _ = patients
    text = str(run.evaluation)
    assert "2 of 6 groups (33%) held out for validation" in text
    assert "95% interval by bootstrap over 2 groups" in text
    assert "warning: the scores come from 2 groups only" in text
    assert "independent" not in text
    page = (run.folder / "report.html").read_text()
    assert "by bootstrap over 2 groups" in page and "as independent of each other" not in page
    assert "that it was not trained on" in page
    plan = (run.folder / "plan.toml").read_text()
    assert "2 of 6 groups (33%) held out for validation" in plan
    (warning,) = [
        line
        for line in page.splitlines()
        if "warning: the scores come from 2 groups" in line and "<li>" in line
    ]
    assert warning


def test_evaluate_repeats_groups_and_intervals(patients):
    run, _ = patients
    again = eyespot.evaluate(run.folder)
    assert again.as_dict() == run.evaluation.as_dict()
    assert str(again) == str(run.evaluation)


def test_a_run_of_before_the_column_cluster_is_evaluated_over_its_groups(patients, tmp_path):
    run, _ = patients
    old = tmp_path / "old"
    old.mkdir()
    (old / "model.safetensors").write_bytes((run.folder / "model.safetensors").read_bytes())
    with (run.folder / "split.csv").open() as file:
        rows = [{k: v for k, v in row.items() if k != "cluster"} for row in csv.DictReader(file)]
    with (old / "split.csv").open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert eyespot.evaluate(old).scores == run.evaluation.scores
    with (old / "split.csv").open("w") as file:
        writer = csv.DictWriter(file, ["path", "label", "split", "content"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    assert "for independent images" in str(eyespot.evaluate(old))


def test_another_data_set_is_grouped_as_the_run_was(cli, patients, tmp_path):
    run, _ = patients
    new = write_patients(tmp_path / "new", 6, first=20)
    text = cli("evaluate", run.folder, new).out
    assert "by bootstrap over 6 groups" in text and "warning" not in text
    for path in new.rglob("*.png"):
        path.rename(path.with_name(path.name.replace("p", "s", 1)))
    text = cli("evaluate", run.folder, new).out
    assert "for independent images" in text and "does not match these files" in text
    assert "over 6 groups" in cli("evaluate", run.folder, new, "--group", r"(s\d+)_").out
    assert "none was named" in one_sentence(cli("evaluate", run.folder, "--group", r"(s\d+)_"))
    assert "matches nothing" in one_sentence(cli("evaluate", run.folder, new, "--group", r"(x\d+)_"))


def test_duplicates_count_as_one(tmp_path):
    """Five copies of each image on one side are five times one image."""
    for kind in range(2):
        folder = tmp_path / "data" / "ab"[kind]
        folder.mkdir(parents=True)
        for i in range(10):
            image = Image.fromarray(texture(kind, np.random.default_rng(10 * kind + i)))
            for copy in range(5):
                image.save(folder / f"{i}-{copy}.png")
    run = eyespot.train(tmp_path / "data", epochs=1, model="tiny", out=tmp_path / "run")
    assert "20 images of the validation set; in brackets the 95% interval by bootstrap over 4 groups" in str(
        run.evaluation
    )
    assert run.evaluation.scores["accuracy"]["groups"] == 4
    assert eyespot.evaluate(run.folder).as_dict() == run.evaluation.as_dict()


def test_masks_have_groups_in_every_score_and_again(tmp_path):
    for i in range(24):
        rng = np.random.default_rng(i)
        mask = np.zeros((32, 32), np.uint8)
        if i % 3:
            mask[8:20, 8 : 16 + i % 8] = 255
        image = (rng.integers(0, 90, mask.shape) + (mask > 0) * 100).astype(np.uint8)
        for folder, values in (("images", image), ("masks", mask)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(tmp_path / "data" / folder / f"p{i // 4}_{i}.png")
    run = eyespot.train(
        tmp_path / "data", epochs=1, model="unet_narrow", size=16, group=BY_PATIENT, out=tmp_path / "run"
    )
    again = eyespot.evaluate(run.folder)
    assert again.as_dict() == run.evaluation.as_dict()
    text = str(again)
    n = again.scores["mean_iou"]["groups"]
    assert f"{n} of 6 groups" in text and f"by bootstrap over {n} group" in text
    assert all(
        "groups" in row["false_alarm"] or not row["false_alarm"]["n"]
        for row in again.scores["classes"].values()
    )
