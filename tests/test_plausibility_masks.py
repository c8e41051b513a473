"""Doubts about masks: each kind is made up here, and masks that lie on their images raise none."""

import numpy as np
import pytest
from PIL import Image

from eyespot.data.surveys.survey_data import survey_data


def discs(seed: int, n: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A grey image (n, n) of bright discs, and where they are."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:n, :n]
    inside = np.zeros((n, n), bool)
    for _ in range(4):
        row, column = rng.integers(8, n - 8, 2)
        inside |= (y - row) ** 2 + (x - column) ** 2 < rng.integers(4, 8) ** 2
    image = np.clip(70 + 90 * inside + rng.normal(0, 12, (n, n)), 0, 255).astype(np.uint8)
    return image, inside.astype(np.uint8) * 255


def doubts(root, masks, n=8):
    """The warnings about images of discs with masks that are made from all masks and a position."""
    made = [discs(i) for i in range(n)]
    for i, (image, _) in enumerate(made):
        mask = masks([mask for _, mask in made], i)
        for folder, values in (("images", image), ("masks", mask)):
            path = root / folder / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(values)).save(path)
    return [p.text for p in survey_data(root).problems if p.level == "warning"]


def stray(masks, i):
    masks[i][0, 0] = 128 if i == 3 else 0
    return masks[i]


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (lambda masks, i: masks[i][::-1], "upside down"),
        (lambda masks, i: masks[i][:, ::-1], "mirrored left to right"),
        (lambda masks, i: np.rot90(masks[i]), "turned by -90 degrees"),
        (lambda masks, i: masks[i].T, "transposed"),
        (lambda masks, i: np.roll(masks[i], 6, 1), "shifted by 0 and -6 pixels"),
        (lambda masks, i: masks[(i + 1) % len(masks)], "fit another image"),
        (lambda masks, i: masks[0], "one and the same"),
        (lambda masks, i: 255 - masks[i] if i % 3 == 1 else masks[i], "3 masks may be inverted"),
        (stray, "'128' has 1 pixel"),
    ],
)
def test_masks_that_lie_wrong_are_doubted(tmp_path, masks, words):
    (text,) = doubts(tmp_path, masks)
    assert words in text


def test_equal_images_with_masks_that_differ_are_doubted(tmp_path):
    doubts(tmp_path, lambda masks, i: masks[i])
    image = tmp_path / "images" / "0.png"
    (tmp_path / "images" / "1.png").write_bytes(image.read_bytes())
    texts = [p.text for p in survey_data(tmp_path).problems if p.level == "warning"]
    assert texts == ["1 pair of equal images has masks that differ; keep one of each"]


@pytest.mark.parametrize(
    "masks",
    [
        lambda masks, i: masks[i],
        lambda masks, i: np.roll(masks[i], 1, 1),
        lambda masks, i: 255 - masks[i] if i < 0 else masks[i],
        lambda masks, i: masks[i] * (i % 2),
    ],
)
def test_masks_that_lie_on_their_images_are_not_doubted(tmp_path, masks):
    assert not doubts(tmp_path, masks)
