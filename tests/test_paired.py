"""Differences of scores on the same images."""

import numpy as np
import pytest

from eyespot.metrics.intervals import ratio
from eyespot.metrics.paired import score_difference, share_difference


def test_equal_predictions_do_not_prove_that_nothing_is_lost():
    hits = np.arange(100) < 90
    result = share_difference(hits, hits)
    assert result["value"] == 0
    assert result["low"] == pytest.approx(-0.0269, abs=2e-3)
    assert result["high"] == -result["low"]


def test_bonett_and_price():
    """By hand: 10 of 100 only before, 4 only after."""
    before = np.arange(100) < 60
    after = (np.arange(100) >= 10) & (np.arange(100) < 64)
    result = share_difference(before, after)
    centre = 5 / 102 - 11 / 102
    spread = 1.959964 * np.sqrt((16 / 102 - centre**2) / 102)
    assert result["value"] == pytest.approx(-0.06)
    assert (result["low"], result["high"]) == pytest.approx((centre - spread, centre + spread))


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        kind = rng.choice(4, 150, p=[0.8, 0.06, 0.02, 0.12])
        result = share_difference(kind <= 1, (kind == 0) | (kind == 2))
        covered += result["low"] <= -0.04 <= result["high"]
    assert 935 <= covered <= 985


def test_images_of_one_group_count_once():
    rng = np.random.default_rng(0)
    hits = np.repeat(rng.random(10) < 0.8, 20)
    after = np.repeat(rng.random(10) < 0.6, 20)
    groups = np.repeat(np.arange(10), 20).tolist()
    wide = share_difference(hits, after, groups)
    plain = share_difference(hits, after)
    assert wide["groups"] == 10
    assert wide["high"] - wide["low"] > 2 * (plain["high"] - plain["low"])


def test_the_difference_of_sums_over_images():
    rng = np.random.default_rng(0)
    before = np.stack([rng.integers(50, 100, 30), np.full(30, 100)], axis=1).astype(float)
    after = before - [10, 0]
    result = score_difference(before, after, lambda c: ratio(c[..., 0], c[..., 1]))
    assert result["value"] == pytest.approx(-0.1)
    assert result["low"] == pytest.approx(-0.1)
    assert result["high"] == pytest.approx(-0.1)
