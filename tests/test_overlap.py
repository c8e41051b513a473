"""Scores of masks against loops over pixels, cases by hand, and what must not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyespot.labels import VOID, border
from eyespot.metrics.intervals import bootstrap
from eyespot.metrics.masks import count, score

SHAPES = [(24,), (9, 11), (4, 5, 6)]
CLASSES = list("abc")


def some(shape, n=5, k=3, seed=0, void=0.1, wrong=0.3):
    rng = np.random.default_rng(seed)
    truths = rng.integers(0, k, (n, *shape))
    guesses = np.where(rng.random(truths.shape) < wrong, rng.integers(0, k, truths.shape), truths)
    return np.where(rng.random(truths.shape) < void, VOID, truths), guesses


def scored(truths, guesses, classes=CLASSES, groups=None):
    counts = [count(t, g, len(classes)) for t, g in zip(truths, guesses, strict=True)]
    return score(counts, classes, groups)


def values(scores) -> list:
    """All values in it, in order"""
    inner = [v for c in scores["classes"].values() for v in c.values()]
    return [s["value"] for s in [*(v for v in scores.values() if "value" in v), *inner]]


@pytest.mark.parametrize("shape", SHAPES)
def test_values_are_those_of_loops_over_pixels(shape):
    truths, guesses = some(shape)
    pairs = [(t, g) for t, g in zip(truths.flat, guesses.flat, strict=True) if t != VOID]
    got, ious, dices = scored(truths, guesses), [], []
    for i, name in enumerate(CLASSES):
        both = sum(t == g == i for t, g in pairs)
        there, said = sum(t == i for t, _ in pairs), sum(g == i for _, g in pairs)
        ious.append(both / (there + said - both))
        dices.append(2 * both / (there + said))
        expected = [ious[-1], dices[-1], both / there, both / said]
        c = got["classes"][name]
        assert [c[s]["value"] for s in ("iou", "dice", "recall", "precision")] == pytest.approx(expected)
    assert got["pixel_accuracy"]["value"] == pytest.approx(np.mean([t == g for t, g in pairs]))
    assert got["mean_iou"]["value"] == pytest.approx(np.mean(ious))
    assert got["mean_dice"]["value"] == pytest.approx(np.mean(dices))
    assert got["mean_iou"]["n"] == 5 and np.sum(got["confusion"]) == len(pairs)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_perfect_prediction_scores_one(shape):
    truths, _ = some(shape)
    got = scored(truths, np.where(truths == VOID, 0, truths))
    del got["confusion"]
    for c in got["classes"].values():
        del c["false_alarm"]
    assert set(values(got)) == {1.0}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(SHAPES))
def test_order_of_images_and_what_void_was_given_do_not_matter(seed, shape):
    truths, guesses = some(shape, seed=seed)
    order = np.random.default_rng(seed).permutation(len(truths))
    other = np.where(truths == VOID, (guesses + 1) % 3, guesses)
    expected = [v for v in values(scored(truths, guesses)) if v is not None]
    assert [v for v in values(scored(truths[order], other[order])) if v is not None] == pytest.approx(
        expected
    )


def test_boundaries_by_hand():
    truth, guess = np.zeros((20, 20), int), np.zeros((20, 20), int)
    truth[5:15, :], guess[8:15, :] = 1, 1  # the upper border is 3 pixels off, the lower one is right
    assert count(truth, guess, 2).edges[1].tolist() == [40, 20, 40, 20]
    assert count(truth, guess, 2, tolerance=3).edges[1].tolist() == [40, 40, 40, 40]
    got = scored([truth], [guess], ["rest", "band"])
    assert got["classes"]["band"]["boundary_f"]["value"] == pytest.approx(0.5)
    nothing = scored([truth], [0 * guess], ["rest", "band"])
    assert nothing["classes"]["band"]["boundary_f"]["value"] == 0
    assert nothing["classes"]["band"]["precision"]["value"] is None


def test_a_border_is_inside_and_not_beside_void_or_the_edge():
    inside = np.array([0, 1, 1, 1, 1, 1, 0, 1, 1], bool)
    valid = np.array([0, 1, 1, 1, 1, 1, 1, 1, 1], bool)
    assert np.flatnonzero(border(inside, valid)).tolist() == [5, 7]


def test_a_class_that_never_occurs_is_left_out_and_its_false_alarms_are_told():
    truths, guesses = some((9, 11), n=6, void=0)
    truths = np.where(truths == 2, 0, truths)
    truths[0, 0, 0] = 2  # of class c, one image has a pixel
    guesses = np.where(guesses == 2, 0, guesses)
    guesses[[2, 4], 3, 3] = 2
    got = scored(truths[1:], guesses[1:])
    assert got["classes"]["c"]["iou"] == {"value": None, "low": None, "high": None, "n": 0}
    assert (got["classes"]["c"]["false_alarm"]["value"], got["classes"]["c"]["false_alarm"]["n"]) == (0.4, 5)
    ab = [got["classes"][c]["iou"]["value"] for c in "ab"]
    assert got["mean_iou"]["value"] == pytest.approx(np.mean(ab))
    one = scored(truths, guesses)["classes"]["c"]["iou"]
    assert (one["value"], one["low"], one["high"], one["n"]) == (0, 0, 1, 1)


def test_an_image_of_void_alone_counts_for_nothing():
    truths, guesses = some((9, 11))
    more = np.concatenate([truths, np.full((1, 9, 11), VOID)]), np.concatenate([guesses, guesses[:1]])
    got, expected = scored(*more), scored(truths, guesses)
    assert values(got)[:4] == values(expected)[:4] and got["pixel_accuracy"]["n"] == 5


def test_groups_are_drawn_as_one():
    truths, guesses = some((9, 11), n=4)
    truths, guesses = np.tile(truths, (5, 1, 1)), np.tile(guesses, (5, 1, 1))
    alone = scored(truths, guesses)["mean_iou"]
    grouped = scored(truths, guesses, groups=["one", "two", "three", "four"] * 5)["mean_iou"]
    assert grouped["value"] == pytest.approx(alone["value"]) and (
        grouped["n"],
        grouped["groups"],
        alone["n"],
    ) == (20, 4, 20)
    assert grouped["high"] - grouped["low"] > 1.5 * (alone["high"] - alone["low"])
    assert grouped == scored(truths, guesses, groups=["one", "two", "three", "four"] * 5)["mean_iou"]


@pytest.mark.parametrize("n,least", [(5, 0.85), (30, 0.92)])
def test_intervals_cover_the_truth(n, least):
    rng, inside = np.random.default_rng(0), 0
    for _ in range(300):
        sizes, quality = rng.integers(20, 100, n), rng.beta(8, 2, n)
        counts = np.column_stack([rng.binomial(sizes, quality), sizes]).astype(float)
        got = bootstrap(counts, lambda c: c[..., :1] / c[..., 1:], draws=300)[0]
        inside += got["low"] <= 0.8 <= got["high"]
    assert least <= inside / 300 <= 0.98
