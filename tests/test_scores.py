"""Scores against scikit-learn and against their own promise: 95% intervals hold about 95% of the time."""

import numpy as np
import pytest
from sklearn import metrics

from eyespot.metrics.classes import calibration, score, temperature
from eyespot.metrics.intervals import average, proportion


def some(n: int = 400, k: int = 4, seed: int = 0, skill: float = 1.5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + skill * np.eye(k)[labels]
    p = np.exp(logits)
    return p / p.sum(1, keepdims=True), labels, logits


def test_values_are_scikit_learns():
    p, y, _ = some()
    s, predicted = score(p, y, list("abcd")), p.argmax(1)
    assert s["accuracy"]["value"] == pytest.approx(metrics.accuracy_score(y, predicted))
    assert s["balanced_accuracy"]["value"] == pytest.approx(metrics.balanced_accuracy_score(y, predicted))
    assert s["macro_f1"]["value"] == pytest.approx(metrics.f1_score(y, predicted, average="macro"))
    assert s["log_loss"]["value"] == pytest.approx(metrics.log_loss(y, p))
    precision, recall, f1, n = metrics.precision_recall_fscore_support(y, predicted)
    for i, name in enumerate("abcd"):
        c = s["classes"][name]
        assert [c[k]["value"] for k in ("precision", "recall", "f1")] == pytest.approx(
            [precision[i], recall[i], f1[i]]
        )
        assert c["recall"]["n"] == n[i]
    assert s["confusion"] == metrics.confusion_matrix(y, predicted).tolist()


def test_every_score_has_n_and_an_interval_around_it():
    p, y, _ = some()
    s = score(p, y, list("abcd"))
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "calibration_error", "log_loss"):
        assert s[name]["low"] < s[name]["value"] < s[name]["high"] and s[name]["n"] == 400, name


def test_wilson_is_the_published_one():
    got = proportion(81, 263)  # Newcombe 1998, table I
    assert (round(got["low"], 4), round(got["high"], 4)) == (0.2553, 0.3662)
    assert proportion(10, 10)["low"] < 0.75 and proportion(10, 10)["high"] == 1
    assert proportion(0, 0)["value"] is None


def test_intervals_cover_the_truth():
    rng, inside = np.random.default_rng(1), 0
    for _ in range(400):
        classes = [proportion(int(rng.binomial(30, q)), 30) for q in (0.7, 0.9, 0.98)]
        got = average(classes, 90)
        inside += got["low"] <= (0.7 + 0.9 + 0.98) / 3 <= got["high"]
    assert 0.92 <= inside / 400 <= 0.995


def test_a_missing_class_is_left_out_of_averages():
    p, y, _ = some()
    keep = y != 2
    s = score(p[keep], y[keep], list("abcd"))
    assert s["classes"]["c"]["recall"] == {"value": None, "low": None, "high": None, "n": 0}
    recalls = [s["classes"][c]["recall"]["value"] for c in "abd"]
    assert s["balanced_accuracy"]["value"] == pytest.approx(np.mean(recalls))


def test_top5_only_where_it_means_something():
    p, y, _ = some(k=4)
    assert "top5_accuracy" not in score(p, y, list("abcd"))
    p, y, _ = some(k=25)
    expected = metrics.top_k_accuracy_score(y, p, k=5)
    assert score(p, y, [str(i) for i in range(25)])["top5_accuracy"]["value"] == pytest.approx(expected)


def test_calibration_error_of_known_cases():
    confidence, right = np.full(1000, 0.8), np.arange(1000) < 800
    assert calibration(confidence, right)["value"] == pytest.approx(0, abs=1e-9)
    assert calibration(confidence, np.ones(1000, bool))["value"] == pytest.approx(0.2)


def test_temperature_undoes_a_known_scale():
    _, y, logits = some(20_000, skill=1.0)
    honest = temperature(logits, y)
    assert honest == pytest.approx(1.0, abs=0.05)
    assert temperature(3 * logits, y) == pytest.approx(3 * honest, rel=0.01)
