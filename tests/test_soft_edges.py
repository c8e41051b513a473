"""Masks whose edges were smoothed: recognised, refused, or hardened when the user says so."""

import io

import numpy as np
import pytest
from PIL import Image

import eyespot
from eyespot.config import Config
from eyespot.data.masks.mapping import COLOUR
from eyespot.data.masks.meaning import propose
from eyespot.data.masks.multilabel import propose_multilabel, read_bits
from eyespot.data.masks.pixels import read_mask
from eyespot.data.masks.statistics import describe
from eyespot.data.sources.samples import Sample
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError


def squares(seed: int, values, side: int = 96) -> np.ndarray:
    """Squares of these values on the first of them."""
    rng = np.random.default_rng(seed)
    out = np.full((side, side), values[0])
    for value in [*values[1:], *values[1:]]:
        y, x = rng.integers(3, side - 30, 2)
        out[y : y + 15 + value % 7, x : x + 19] = value
    return out


def resized(values, size: int, method) -> np.ndarray:
    image = Image.fromarray(np.asarray(values, np.uint8)).resize((size, size), method)
    return np.asarray(image).astype(np.int64)


def coloured(values) -> np.ndarray:
    red, green, blue = np.moveaxis(np.asarray(values, np.int64), -1, 0)
    return COLOUR + (red << 16 | green << 8 | blue)


def meaning(arrays, kind="", **options):
    return propose({f"{i}.png": describe(a, kind) for i, a in enumerate(arrays)}, None, Config(**options))


METHODS = {"box": Image.BOX, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [31, 48, 64, 150])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("values", [(0, 255), (0, 128, 255), (10, 20), (3, 90, 160)])
def test_masks_that_were_resized_are_refused_or_hardened(method, size, values):
    arrays = [resized(squares(i, values), size, METHODS[method]) for i in range(6)]
    if set(np.unique(arrays)) <= set(values):  # by whole steps, with all squares on the grid
        return
    with pytest.raises(UserError, match=r"soft edges.*--harden .*--no-harden"):
        meaning(arrays)
    if size > 40 and max(values) - min(values) > 20:
        proposal = meaning(arrays, harden=True)
        assert proposal.mapping.values == values and "pixels" in proposal.warnings[0]
        assert {int(v) for a in arrays for v in np.unique(proposal.mapping.labels(a))} == set(
            range(len(values))
        )


def test_few_levels_are_soft_too():
    arrays = [
        resized(np.kron(squares(i, (0, 255), 40), np.ones((3, 3)))[1:, 1:], 60, Image.BOX) for i in range(4)
    ]  # type: ignore[attr-defined]
    assert len(np.unique(arrays)) <= 12
    with pytest.raises(UserError, match="soft edges"):
        meaning(arrays)


def test_numbered_objects_and_colours_that_were_resized():
    ids = [resized(squares(i, (0, 50, 120, 200)), 70, Image.BILINEAR) for i in range(4)]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="soft edges"):
        meaning(ids, objects=True)
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 200, 0]], np.uint8)
    pictures = [Image.fromarray(palette[squares(i, (0, 1, 2))]) for i in range(4)]
    colours = [coloured(np.asarray(p.resize((70, 70), Image.BILINEAR))) for p in pictures]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="soft edges"):
        meaning(colours)
    mapping = meaning(colours, harden=True).mapping
    assert mapping.values == (COLOUR, COLOUR + 0x00C800, COLOUR + 0xFF0000)


@pytest.mark.parametrize("quality", [50, 95])
def test_jpeg_is_recognised_by_its_pixels_too(quality):
    arrays = []
    for i in range(4):
        buffer = io.BytesIO()
        Image.fromarray(squares(i, (0, 255)).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
        values, kind = read_mask(buffer.getvalue(), 2)
        assert kind == "JPEG"
        arrays.append(values)
    for kind in ("JPEG", ""):
        with pytest.raises(UserError, match="soft edges"):
            meaning(arrays, kind)
        mapping = meaning(arrays, kind, harden=True).mapping
        assert mapping.values == (0, 255)
        for i, values in enumerate(arrays):
            assert (mapping.labels(values) == (squares(i, (0, 255)) > 0)).mean() > 0.995


@pytest.mark.parametrize("values", [(0, 1, 2), (0, 128, 255)])
def test_a_contour_that_is_a_class_is_not_soft(values):
    background, contour, object_ = values
    arrays = []
    for i in range(4):
        inside = squares(i, (0, 1)) > 0
        core = inside & np.all([np.roll(inside, step, axis) for step in (1, -1) for axis in (0, 1)], axis=0)
        arrays.append(np.where(core, object_, np.where(inside, contour, background)))
    assert meaning(arrays).mapping.values == values


def test_specks_are_not_soft():
    rng = np.random.default_rng(0)
    arrays = [np.where(rng.random((96, 96)) < 0.05, rng.integers(0, 4, (96, 96)), squares(i, (0, 1, 2, 3))) for i in range(4)]  # fmt: skip
    assert meaning(arrays, objects=False).mapping.values == (0, 1, 2, 3)


def test_photographs_are_no_masks():
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="are these the masks"):
        meaning([rng.integers(0, 256, (64, 64)) for _ in range(3)])


def test_values_are_taken_as_they_are_when_asked():
    arrays = [resized(squares(i, (0, 128, 255)), 64, Image.BOX) for i in range(4)]  # type: ignore[attr-defined]
    proposal = meaning(arrays, harden=False, objects=False)
    assert set(proposal.mapping.values) | {proposal.mapping.void} - {None} == set(np.unique(arrays).tolist())


def test_multilabel_masks_are_hardened(tmp_path):
    path = tmp_path / "a.png"
    soft = np.array([[0, 100, 200, 255], [0, 0, 9, 255]], np.uint8)
    Image.fromarray(soft).save(path)
    masks = {"a.png": describe(soft.astype(np.int64))}
    with pytest.raises(UserError, match=r"the mask a\.png has the value"):
        propose_multilabel(masks, ("one",), True, None)
    proposal = propose_multilabel(masks, ("one",), True, None, harden=True)
    assert "3 pixels with values between" in proposal.warnings[0]
    bits = read_bits(Sample(path, "", masks=(("one", path),)), proposal.mapping, (2, 4))
    np.testing.assert_array_equal(bits, [[0, 0, 1, 1], [0, 0, 0, 1]])


def test_hardening_travels_with_the_run(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    for i in range(6):
        soft = resized(squares(i, (0, 255)), 64, Image.BILINEAR).astype(np.uint8)  # type: ignore[attr-defined]
        noise = np.random.default_rng(i).integers(0, 40, (64, 64))
        Image.fromarray((soft // 2 + noise).astype(np.uint8)).save(tmp_path / "set" / "images" / f"{i}.png")
        Image.fromarray(soft).save(tmp_path / "set" / "masks" / f"{i}.png")
    with pytest.raises(UserError, match="--harden"):
        survey_data(tmp_path / "set")
    run = eyespot.train(tmp_path / "set", epochs=1, harden=True, size=32, batch=4, out=tmp_path / "run")
    assert run.predictor.output.mapping.harden and not run.evaluation.errors
    assert "harden = true" in (tmp_path / "run" / "plan.toml").read_text()
    assert not run.evaluate(tmp_path / "set").errors
