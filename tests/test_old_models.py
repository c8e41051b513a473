"""Model files that were written before modules and card fields were renamed still load, and give the same logits.

The expected ones are in float32, as the processor computes predictions.
"""

from pathlib import Path

import numpy as np
import pytest

import eyespot

FOLDER = Path(__file__).parent / "old_models"


@pytest.mark.parametrize("name", ["digits", "waves", "cells"])
def test_an_old_file_gives_what_it_gave(name):
    with np.load(FOLDER / "expected.npz") as expected:
        x = expected[f"{name}_x"]
        logits = expected[f"{name}_y"]
    predictor = eyespot.load(FOLDER / f"{name}.safetensors", device="cpu")
    computed = predictor.logits(x)
    assert predictor.card.preset in eyespot.presets() and len(predictor.card.classes) == logits.shape[1]
    np.testing.assert_allclose(np.asarray(computed), logits, rtol=1e-4, atol=1e-4 * np.abs(logits).max())
