"""Scores of objects against pairs of pixels counted one by one, cases by hand, and what must not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyespot.labels import VOID, components, thinned
from eyespot.metrics.instances import Table, compare, score

SHAPES = [(40,), (9, 11), (4, 5, 6)]
SQUARE = np.zeros((12, 21), int)
SQUARE[1:11, 0:10], SQUARE[1:11, 11:21] = 1, 2


def blocks(shape, seed=0, void=0.0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 5, [n // 2 + 1 for n in shape])
    for axis in range(len(shape)):
        coarse = coarse.repeat(2, axis)
    ids = coarse[tuple(slice(n) for n in shape)]
    return np.where(rng.random(shape) < void, VOID, ids)


def value(truth, predicted):
    return {name: s["value"] for name, s in score([compare(truth, predicted)]).items()}


@pytest.mark.parametrize("shape", SHAPES)
def test_v_rand_is_what_pairs_of_pixels_say(shape):
    truth, predicted = blocks(shape), blocks(shape, 1)
    inside = truth > 0
    t, s = truth[inside], predicted[inside]
    s = np.where(s > 0, s, 100 + np.arange(len(s)))  # background: an object per pixel
    same_t, same_s = t[:, None] == t, s[:, None] == s
    precision, recall = (same_t & same_s).sum() / same_s.sum(), (same_t & same_s).sum() / same_t.sum()
    expected = 2 * precision * recall / (precision + recall)
    assert Table(t, predicted[inside]).rand() == pytest.approx(expected)
    assert value(truth, predicted)["adapted_rand_error"] == pytest.approx(1 - expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_v_info_is_scikit_learns_mutual_information(shape):
    from sklearn.metrics import normalized_mutual_info_score

    truth, predicted = blocks(shape), blocks(shape, 1)
    t, s = truth[truth > 0], predicted[truth > 0]
    expected = normalized_mutual_info_score(t, np.where(s > 0, s, 100 + np.arange(len(s))))
    assert Table(t, s).info() == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(SHAPES))
def test_the_names_of_objects_and_the_prediction_in_void_do_not_matter(seed, shape):
    truth, predicted = blocks(shape, seed, void=0.1), blocks(shape, seed + 1)
    names = np.concatenate([[0], 10 + np.random.default_rng(seed).permutation(5)])
    renamed = np.where(truth == VOID, VOID, names[np.maximum(truth, 0)])
    before, after = compare(truth, predicted), compare(renamed, names[predicted])
    # Where two objects are equally near, the higher id yields, so the thinned line may differ.
    assert after[[0, 1, 2, 3, 4, 7, 8]] == pytest.approx(before[[0, 1, 2, 3, 4, 7, 8]])
    changed = np.where(truth == VOID, 7, predicted)
    assert compare(truth, changed)[:5][[0, 2, 3, 4]].tolist() == before[:5][[0, 2, 3, 4]].tolist()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_perfect_prediction_has_no_error(shape):
    truth = components(blocks(shape) > 0)
    expected = {"object_f1": 1, "pixel_error": 0, "v_rand": 1, "v_info": 1, "adapted_rand_error": 0}
    assert value(truth, truth * 3) == pytest.approx(expected)


def test_two_squares_by_hand():
    merged = np.where(SQUARE > 0, 1, 0)
    got = value(SQUARE, merged)  # one object of 200 for two of 100
    rand = 2 * (0.5**2 + 0.5**2) / (1 + 0.5**2 + 0.5**2)
    assert (got["object_f1"], got["v_rand"], got["v_info"]) == pytest.approx((0, rand, 0))
    split = SQUARE.copy()
    split[1:11, 4] = 0
    split[1:11, :4] = (
        3  # of the first square 50 of 100 pixels, after 10 became background, so half is not over half
    )
    split[1:11, 5] = 0
    got = value(SQUARE, split)
    assert got["object_f1"] == pytest.approx(2 / 5) and got["pixel_error"] == pytest.approx(20 / 252)
    shares = np.array([0.2, 0.2, 0.5])
    ones = 0.1 / 200
    rand = 2 * ((shares**2).sum() + ones) / ((shares**2).sum() + ones + 0.5)
    assert got["adapted_rand_error"] == pytest.approx(1 - rand)
    assert got["v_rand"] > rand


def test_thinning_leaves_one_line_between_objects():
    ids = np.array([0, 0, 4, 0, 0, 0, 0, 9, 9, 0, 9])
    assert thinned(ids).tolist() == [4, 4, 4, 4, 4, 0, 9, 9, 9, 9, 9]
    wide = np.where(np.arange(21) % 20 < 7, SQUARE, 0)
    thin = thinned(wide)
    assert (thin == 0).sum() <= 2 * 12 and (thin[wide > 0] == wide[wide > 0]).all()
    for a, b in ((thin[:, :-1], thin[:, 1:]), (thin[:-1], thin[1:])):
        assert ((a == b) | (a == 0) | (b == 0)).all()
    assert not thinned(0 * ids).any()


def test_the_width_of_a_membrane_does_not_matter_after_thinning():
    wide = SQUARE.copy()
    wide[:, 8:13] = 0
    assert value(SQUARE, wide)["v_rand"] > 0.99 > 0.9 > 1 - value(SQUARE, wide)["adapted_rand_error"]


def test_components_touch_over_faces_and_keep_void():
    mask = np.array([[1, 0, 0], [0, 255, VOID], [0, 255, 0]])
    assert components(mask).tolist() == [[1, 0, 0], [0, 2, VOID], [0, 2, 0]]


def test_images_without_objects_have_no_v_rand():
    empty = np.zeros_like(SQUARE)
    got = score([compare(SQUARE, SQUARE), compare(empty, empty), compare(empty, SQUARE)])
    assert got["v_rand"]["n"] == 1 and got["v_rand"]["value"] == 1
    assert got["pixel_error"]["n"] == 3 and got["object_f1"]["value"] == pytest.approx(4 / 6)
    alone = score([compare(empty, empty)])
    assert alone["v_rand"]["value"] is None and alone["object_f1"]["value"] is None
    assert alone["pixel_error"]["value"] == 0
