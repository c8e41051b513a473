"""From a decoded file to the network's input and back: sizes, windows, margins, spacing and normalisation."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyespot.data.header import Decoded
from eyespot.data.preprocess.preprocessing import Preprocessing


def mask_preprocessing(dim: int, fit: str, size: int, spacing: float | None = None) -> Preprocessing:
    unit = "" if spacing is None else "mm"
    return Preprocessing(size, fit, 1, (1,), "float32", dim, spacing, unit)


def ball(shape: tuple[int, ...]) -> np.ndarray:
    """An ellipsoid in the middle of an array, off centre by an eighth: (*S) of 0 and 1."""
    grid = np.moveaxis(np.indices(shape), 0, -1) + 0.5
    return (((grid / shape - 0.45) / 0.28) ** 2).sum(-1) < 1


def there_and_back(preprocessing, labels, spacing=(), outside=0):
    network_input = preprocessing.of_decoded(Decoded(labels[..., None].astype(np.float32), spacing))
    placement = preprocessing.placement(labels.shape, spacing)
    assert network_input.shape[:-1] == placement.sizes
    return preprocessing.undo((network_input[..., 0] > 0.5).astype(np.uint8), placement, outside)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_undo_brings_labels_back_to_the_file(data):
    dim = data.draw(st.sampled_from((1, 2, 3)))
    fit = data.draw(st.sampled_from(("pad", "stretch", "own")))
    shape = tuple(data.draw(st.lists(st.integers(24, 60), min_size=dim, max_size=dim)))
    spacing = tuple(data.draw(st.lists(st.floats(0.5, 1.5), min_size=dim, max_size=dim)))
    scale = data.draw(st.sampled_from((None, 2.0)))
    labels = ball(shape)
    back = there_and_back(mask_preprocessing(dim, fit, 48, scale), labels, spacing)
    assert back.shape == shape
    overlap = (labels & (back == 1)).sum() / (labels | (back == 1)).sum()
    assert overlap > (0.6 if dim == 3 else 0.7)
    centres = [np.argwhere(values).mean(0) for values in (labels, back)]
    # The way there errs by half a sample of the file, and the way back by half a sample of the network's input.
    placement = mask_preprocessing(dim, fit, 48, scale).placement(shape, spacing)
    coarse = [(high - low) / n for (low, high), n in zip(placement.windows, placement.covered, strict=True)]
    assert (np.abs(centres[0] - centres[1]) <= 0.5 + 0.5 * np.maximum(coarse, 1)).all()


@pytest.mark.parametrize(("dim", "fit", "factor"), [*product((1, 2, 3), ("pad", "crop", "stretch"), (1, 3))])
def test_what_was_enlarged_comes_back_exactly(dim, fit, factor):
    labels = np.random.default_rng(dim).integers(0, 2, (8,) * dim)
    preprocessing = mask_preprocessing(dim, fit, 8 * factor)
    np.testing.assert_array_equal(there_and_back(preprocessing, labels), labels)


def test_padding_is_cut_off_and_does_not_shift():
    labels = np.arange(5 * 9).reshape(5, 9) % 2
    preprocessing = mask_preprocessing(2, "pad", 27)
    np.testing.assert_array_equal(there_and_back(preprocessing, labels), labels)


def test_what_a_crop_left_out_is_marked():
    labels = np.ones((10, 30), int)
    back = there_and_back(mask_preprocessing(2, "crop", 10), labels, outside=255)
    assert (back[:, 10:20] == 1).all()
    assert (back[:, :10] == 255).all() and (back[:, 20:] == 255).all()


def test_spacing_brings_voxels_of_any_proportion_back():
    labels = ball((12, 40, 40))
    preprocessing = mask_preprocessing(3, "pad", 48, spacing=1.0)
    back = there_and_back(preprocessing, labels, (3.0, 1.0, 1.0))
    np.testing.assert_array_equal(back, labels)


def test_frames_of_a_spectrum_come_back_as_samples():
    preprocessing = Preprocessing(20, "pad", 24, (1,), "float32", 1, 0.001, "s", "spectrum")
    placement = preprocessing.placement((160,), (0.001,))
    labels = np.zeros(20, int)
    labels[10:] = 1
    back = preprocessing.undo(labels, placement)
    np.testing.assert_array_equal(back, np.arange(160) >= 80)


def test_labels_of_another_size_are_refused():
    preprocessing = mask_preprocessing(2, "pad", 8)
    with pytest.raises(ValueError, match="labels are"):
        preprocessing.undo(np.zeros((9, 8), int), preprocessing.placement((20, 30)))


def test_normalising_is_the_same_as_in_training():
    from eyespot.tasks.batches import Normal

    preprocessing = Preprocessing.from_dict(
        {"size": 4, "accepts": [2], "channels": 2, "mean": [3.0, 100.0], "std": [2.0, 50.0], "side": 4}
    )
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 2)).astype(np.uint8)
    expected = Normal(preprocessing.mean, preprocessing.std)(pixels)
    np.testing.assert_allclose(preprocessing.normalise(pixels), expected.numpy(), rtol=1e-6)


def test_a_card_s_preprocessing_decodes_as_the_survey_s():
    plain = Preprocessing(16, "pad", 1, (1, 3))
    from_card = Preprocessing.from_dict(plain.as_dict() | {"mean": [1.0], "std": [2.0], "precision": "bf16"})
    assert from_card.decoding() == plain.decoding()
    assert from_card.mean == (1.0,) and "mean" not in plain.as_dict()
