"""What `predict` takes in Python, and what it makes of images that cannot be read."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import serving_models as models
from eyespot.errors import UserError

RNG = np.random.default_rng(0)


def save(folder, n, shape, start=0):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i}.png" for i in range(start, start + n)]
    for path in paths:
        Image.fromarray(RNG.integers(0, 255, shape, np.uint8)).save(path)
    return paths


@pytest.fixture(scope="module")
def colours():
    return models.predictor_of_card(models.class_card())


@pytest.fixture(scope="module")
def grey():
    return models.predictor_of_card(models.class_card(channels=1, accepts=[1], mean=[100.0], std=[50.0]))


@pytest.fixture(scope="module")
def masks():
    return models.predictor_of_card(models.mask_card())


def probabilities(predictions):
    return [p.probability for p in predictions]


def test_folders_patterns_and_lists_of_them_are_their_files(colours, tmp_path):
    paths = save(tmp_path / "a", 3, (20, 26, 3)) + save(tmp_path / "b", 2, (20, 26, 3))
    want = probabilities(colours(paths))
    for given in (
        [tmp_path / "a", str(tmp_path / "b" / "*.png")],
        np.array([str(path) for path in paths]),
        (str(path) for path in paths),
        [tmp_path / "a", np.asarray(Image.open(paths[3])), Image.open(paths[4])],
    ):
        assert probabilities(colours(given)) == pytest.approx(want, abs=1e-5)
    assert len(colours(tmp_path / "a")) == 3


def test_masks_beside_images_are_left_out_as_on_the_command_line(masks):
    assert len(masks("cells")) == 60


def test_batches_are_their_images(colours, grey):
    x = RNG.integers(0, 255, (6, 16, 20, 3), np.uint8)
    want = probabilities(colours([*x]))
    first = np.moveaxis(x, -1, 1)
    for batch in (x, first, torch.from_numpy(first.copy()), torch.from_numpy(x)):
        assert probabilities(colours(batch)) == pytest.approx(want, abs=1e-5)
    with pytest.warns(UserWarning, match="its values are kept") as warned:
        floats = colours(torch.from_numpy(first.copy()).to(torch.bfloat16).requires_grad_())
    assert warned[0].filename == __file__  # though files are read in threads
    assert probabilities(floats) == pytest.approx(want, abs=1e-5)
    one = RNG.integers(0, 255, (9, 16, 20), np.uint8)
    want = probabilities(grey([*one]))
    for batch in (one, one[:, None], one[..., None], torch.from_numpy(one)):
        assert probabilities(grey(batch)) == pytest.approx(want, abs=1e-5)
    assert probabilities(colours(x[0])) == pytest.approx(probabilities(colours([x[0]])))


@pytest.mark.parametrize("shape", [(3, 16, 20), (16, 16, 16), (2, 9, 9)])
def test_one_image_or_several_is_not_guessed(grey, shape):
    x = RNG.integers(0, 255, shape, np.uint8)
    with pytest.raises(
        UserError, match=r"or \d+ images of one channel: give \[array\] for one, or array\[:, None\]"
    ):
        grey(x)
    assert len(grey(x[:, None])) == shape[0]


@pytest.mark.parametrize("shape", [(24, 24, 5), (20, 30, 2), (30, 20, 10)])
def test_other_channels_are_no_batch(grey, shape):
    with pytest.raises(UserError, match=f"it has {shape[-1]} channels"):
        grey(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("given", [3, {"a": 1}, b"x", [[1, 2]], [(np.zeros((4, 4)), 1)]])
def test_what_is_no_image_is_refused(grey, given):
    with pytest.raises(UserError, match="predict takes paths"):
        grey(given)


def test_iterators_are_consumed_as_far_as_they_are_asked(grey):
    taken = 0

    def forever():
        nonlocal taken
        while True:
            taken += 1
            yield np.full((5, 5), taken % 200, np.uint8) * np.eye(5, dtype=np.uint8)

    predictions = grey(forever())
    assert taken == 0
    assert next(predictions).label and 0 < taken < 300


@pytest.mark.parametrize("kind", ["colours", "masks"])
def test_files_that_cannot_be_read_are_treated_alike(kind, request, tmp_path):
    predictor = request.getfixturevalue(kind)
    shape = (20, 26, 3) if kind == "colours" else (20, 26)
    good = save(tmp_path, 2, shape)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    with pytest.warns(
        UserWarning, match="1 of 3 images cannot be read .* the first: .*bad.png cannot be read"
    ) as warned:
        predictions = predictor([good[0], bad, good[1]])
    assert [warning.filename for warning in warned] == [__file__]
    assert [p.error is None for p in predictions] == [True, False, True]
    assert [p.path for p in predictions] == [str(good[0]), str(bad), str(good[1])]
    assert "cannot be read" in predictions._repr_html_() and "cannot be read" in str(predictions)
    for given in (bad, [bad, tmp_path / "none.png"], tmp_path / "none*.png"):
        with pytest.raises(UserError, match=r"cannot be read|holds no file"):
            predictor(given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [p.error is None for p in predictor(iter([bad, good[0]]))] == [False, True]
    assert len(predictor([])) == 0
