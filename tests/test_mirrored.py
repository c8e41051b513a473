"""Mirroring is an augmentation only where it leaves the classes alone."""

import numpy as np
from PIL import Image

from eyespot.data.surveys.survey_data import survey_data
from eyespot.tasks.classification_settings import usual_augment


def arrow(seed, right):
    """(32, 32, 3) an arrow of any colour, place and length."""
    rng = np.random.default_rng(seed)
    image = np.empty((32, 32, 3))
    image[:] = rng.integers(0, 90, 3)
    row, column = rng.integers(8, 20), rng.integers(3, 9)
    colour = rng.integers(140, 255, 3)
    image[row : row + 4, column : column + 18] = colour
    for j in range(8):
        image[max(0, row + 2 - j) : row + 2 + j, column + 8 - j] = colour
    image = np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
    return image[:, ::-1] if right else image


def blob(seed, tall):
    """(32, 32, 3) an ellipse, tall or wide, whose class a mirror keeps."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    a, b = (4, 10) if tall else (10, 4)
    inside = ((x - rng.integers(12, 20)) / a) ** 2 + ((y - rng.integers(12, 20)) / b) ** 2 < 1
    image = np.where(inside[..., None], rng.integers(150, 255, 3), rng.integers(0, 90, 3))
    return np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)


def choice(folder, draw, n=80):
    for k, name in enumerate("ab"):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(np.ascontiguousarray(draw(1000 * k + i, k == 1))).save(folder / name / f"{i}.png")
    survey = survey_data(folder)
    return usual_augment(survey, np.arange(len(survey.labels)))


def test_left_and_right_are_not_mirrored(tmp_path):
    assert choice(tmp_path / "d", arrow) == ("shift(0.06)", "mirrored images look like another class")


def test_what_a_mirror_keeps_is_mirrored(tmp_path):
    transforms, reason = choice(tmp_path / "d", blob)
    assert transforms == "flip|shift(0.06)" and "do not look like another class" in reason


def test_noise_and_few_images_decide_nothing(tmp_path):
    def noise(seed, right):
        return np.random.default_rng(seed).integers(0, 255, (32, 32, 3), np.uint8)

    assert choice(tmp_path / "d", noise)[0] == "flip|shift(0.06)"
    assert choice(tmp_path / "e", arrow, n=8)[0] == "flip|shift(0.06)"
