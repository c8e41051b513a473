"""Copies of an image stay on one side of the split; images of one scene are not copies."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import eyespot
from eyespot.config import Config
from eyespot.data.duplicates.detail import TURNS, Detail, upright
from eyespot.data.duplicates.pairs import clusters, near, thumbnails
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.training.division import class_problems, split_rows

SIDE = 64


def photo(seed):
    """(64, 64, 3) with structure of every size and noise of its own."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(coarse) + rng.normal(0, 8, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def frame(seed, noise=5.0):
    """One exposure of a fixed camera."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    scene = 60 + 1.5 * x + 40 * (y > 30)
    return np.clip(
        scene[..., None] * rng.uniform(0.95, 1.05) + rng.normal(0, noise, (SIDE, SIDE, 3)), 0, 255
    ).astype(np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def fill(folder, n=12):
    for k, name in enumerate("ab"):
        for i in range(n):
            save(folder / name / f"{i:02}.png", photo(100 * k + i))
    return folder


def together(survey, *names):
    """Whether files are in one group."""
    rows = {Path(survey.path(r)).name: r for r in range(len(survey.labels))}
    return len({int(survey.alike[rows[name]]) for name in names}) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[:, ::-1],
        lambda a: a[::-1],
        lambda a: np.rot90(a),
        lambda a: np.rot90(a, 3),
        lambda a: a.swapaxes(0, 1),
    ],
    ids=["mirrored", "upside down", "left turn", "right turn", "transposed"],
)
def test_mirrored_and_turned_copies_are_grouped(tmp_path, change):
    fill(tmp_path)
    save(tmp_path / "a" / "copy.png", np.ascontiguousarray(change(photo(3))))
    survey = survey_data(tmp_path)
    assert len(np.unique(survey.alike)) == 24
    assert any("1 mirrored duplicate within" in p.text for p in survey.problems)


def test_saved_again_and_scaled_copies_are_grouped(tmp_path):
    fill(tmp_path)
    save(tmp_path / "a" / "jpeg.jpg", photo(3), quality=80)
    save(tmp_path / "a" / "scaled.png", np.asarray(Image.fromarray(photo(5)).resize((80, 80))))
    survey = survey_data(tmp_path)
    assert len(np.unique(survey.alike)) == 24


def colours(seed, side=48):
    """(side, side, 3) waves of other colours: JPEG keeps their brightness, and only half of what lies between colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    wave = np.sin(x * rng.uniform(0.2, 0.4) + rng.uniform(0, 6)) * np.cos(y * 0.2 + rng.uniform(0, 6))
    waves = np.stack([wave, -wave, np.roll(wave, 7, 1)], -1)
    return np.clip(128 + 60 * waves + rng.normal(0, 2, waves.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["jpeg", "grey"])
def test_copies_are_known_by_their_brightness(tmp_path, kind):
    for k, name in enumerate("ab"):
        for i in range(8):
            image = Image.fromarray(colours(10 * k + i))
            save(tmp_path / name / f"{i}.png", np.asarray(image))
            copy = image.convert("L") if kind == "grey" else image
            copy.save(tmp_path / name / f"{i}_again.{'png' if kind == 'grey' else 'jpg'}")
    survey = survey_data(tmp_path)
    rows = {survey.path(r): int(survey.alike[r]) for r in range(len(survey.labels))}
    names = [path.rpartition(".")[0] for path in rows if "_again" not in path]
    by_name = {path.rpartition(".")[0]: group for path, group in rows.items()}
    assert [name for name in names if by_name[name] != by_name[f"{name}_again"]] == []
    assert len(set(rows.values())) == 16


def test_a_copy_in_another_class_is_a_warning(tmp_path):
    fill(tmp_path)
    save(tmp_path / "b" / "copy.jpg", photo(3), quality=85)
    problems = survey_data(tmp_path).problems
    assert any(
        p.level == "warning" and "1 pair of near duplicates is in two classes; keep one of each" in p.text
        for p in problems
    )


@pytest.mark.parametrize("noise", [0.0, 1.5, 5.0])
def test_images_of_one_scene_are_not_copies(tmp_path, noise):
    for i in range(40):
        plain = frame(i, noise)
        save(tmp_path / "good" / f"{i}.png", plain)
        marked = frame(100 + i, noise)
        column = 6 + i % 40
        marked[10:22, column : column + 14] = (200, 30, 30)
        save(tmp_path / "marked" / f"{i}.png", marked)
    survey = survey_data(tmp_path)
    marked_groups = np.unique(survey.alike[survey.labels == 1])
    assert len(marked_groups) > (35 if noise else 10)
    if noise:
        assert len(np.unique(survey.alike)) == 80
        assert any("show one scene" in p.text for p in survey.problems)


def test_a_copy_within_a_scene_is_still_a_copy(tmp_path):
    for i in range(30):
        save(tmp_path / ("a" if i % 2 else "b") / f"{i}.png", frame(i))
    save(tmp_path / "b" / "again.jpg", frame(4), quality=92)
    save(tmp_path / "b" / "flipped.png", np.ascontiguousarray(frame(6)[:, ::-1]))
    survey = survey_data(tmp_path)
    assert together(survey, "4.png", "again.jpg") and together(survey, "6.png", "flipped.png")
    assert len(np.unique(survey.alike)) == 30


def test_every_class_of_a_scene_is_validated(tmp_path):
    for i in range(30):
        save(tmp_path / "d" / "empty" / f"{i}.png", frame(i))
        full = frame(50 + i)
        full[20:40, 20 + i % 9 : 40] = photo(i)[20:40, 20 + i % 9 : 40]
        save(tmp_path / "d" / "full" / f"{i}.png", full)
    run = eyespot.train(tmp_path / "d", epochs=1, seed=0, out=tmp_path / "run")
    rows = [line.split(",") for line in (run.folder / "split.csv").read_text().splitlines()[1:]]
    assert {row[1] for row in rows if row[2] == "val"} == {"empty", "full"}


def test_detail_tells_exposures_from_copies():
    first, second = Detail(frame(1)), Detail(frame(2))
    copy = np.clip(frame(1).astype(int) + np.random.default_rng(0).integers(-1, 2, frame(1).shape), 0, 255)
    assert not first.is_copy_of(second) and first.is_copy_of(Detail(copy.astype(np.uint8)))
    assert not first.is_copy_of(Detail(frame(1)[:40]))


def test_eight_positions_have_one_upright_thumbnail():
    image = photo(9)
    turned = np.stack([turn(image) for turn in TURNS])
    thumbs = upright(thumbnails(turned))
    assert len(thumbs) == 8 and np.allclose(thumbs, thumbs[0], atol=1e-4)
    assert upright(np.zeros((3, 7), np.float32)).shape == (0, 7)


def test_a_textured_scene_in_strong_jpeg_is_no_copy(tmp_path):
    """JPEG leaves the texture of the scene, and little of the noise of each exposure."""
    y, x = np.mgrid[:96, :96]
    scene = 60 + 50 * np.sin(x / 7) + 30 * np.cos(y / 11) + np.random.default_rng(0).normal(0, 6, (96, 96))
    for kind in ("ok", "defect"):
        for i in range(40):
            rng = np.random.default_rng(i + 1000 * (kind == "defect"))
            image = scene[..., None].repeat(3, 2) + rng.normal(0, 4, (96, 96, 3))
            if kind == "defect":
                row, column = rng.integers(20, 70, 2)
                image[row : row + 6, column : column + 6] += 90
            save(tmp_path / kind / f"{i}.jpg", image.clip(0, 255).astype(np.uint8), quality=75)
    survey = survey_data(tmp_path)
    assert len(np.unique(survey.alike)) > 70
    assert not any("duplicates within" in p.text and len(p.files) > 5 for p in survey.problems)


def test_a_few_copies_of_one_picture_are_grouped_however_they_were_saved(tmp_path):
    fill(tmp_path)
    for quality in (95, 80, 60, 40, 30):
        save(tmp_path / "a" / f"q{quality}.jpg", photo(3), quality=quality)
    assert len(np.unique(survey_data(tmp_path).alike)) == 24


def test_copies_are_recognised_in_a_large_set():
    """Thumbnails of small images that were saved again differ by noise; in a large set they are no neighbours in any one direction."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(6000, 6, 6)).repeat(3, 1).repeat(3, 2)[:, :16, :16].reshape(6000, 256)
    unit = (coarse / np.linalg.norm(coarse, axis=1, keepdims=True)).astype(np.float32)
    again = unit[:200] + rng.normal(0, 0.0045, (200, 256)).astype(np.float32)
    again /= np.linalg.norm(again, axis=1, keepdims=True)
    assert ((unit[:200] * again).sum(1) < 0.9985).all()
    pairs = set(map(tuple, near(np.concatenate([unit, again]), 32).tolist()))
    assert pairs == {(i, 6000 + i) for i in range(200)}


def test_many_equal_images_are_one_group():
    rng = np.random.default_rng(0)
    thumbs = rng.normal(size=(300, 256)).astype(np.float32)
    thumbs[100:] = thumbs[100]
    thumbs /= np.linalg.norm(thumbs, axis=1, keepdims=True)
    assert len(np.unique(clusters(300, near(thumbs, 32).tolist()))) == 101


def lamp(seed, colour, noise=0.0):
    """(64, 64, 3) a scene with a lamp: green and red of the same brightness."""
    rng = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE, 3), 90.0)
    image[:, 30:] = 140
    image[20:36, 20:36] = colour
    return np.clip(image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def test_images_that_differ_in_colour_only_are_no_copies(tmp_path):
    fill(tmp_path)
    for i in range(2):
        save(tmp_path / "a" / f"red{i}.png", lamp(i, (220, 60, 60), 2))
        save(tmp_path / "b" / f"green{i}.png", lamp(9 + i, (60, 220, 60), 2))
    survey = survey_data(tmp_path)
    assert together(survey, "red0.png", "red1.png") and together(survey, "green0.png", "green1.png")
    assert not together(survey, "red0.png", "green0.png")


def test_smooth_signals_of_one_kind_are_no_copies(tmp_path):
    """Spectra of one substance are nearly proportional."""
    x = np.linspace(0, 6, 200)
    for i in range(30):
        rng = np.random.default_rng(i)
        values = np.exp(-((x - 2) ** 2)) + 0.6 * np.exp(-((x - 4) ** 2)) + rng.normal(0, 0.002, 200)
        values[120:135] += 0.03 * (i % 2)
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        np.save(tmp_path / "ab"[i % 2] / f"{i}.npy", values.astype(np.float32)[:, None])
    assert len(np.unique(survey_data(tmp_path).alike)) == 30


def test_periodic_signals_are_not_mirrored_copies(tmp_path):
    t = np.arange(512)
    for i in range(24):
        rng = np.random.default_rng(i)
        values = np.sin(2 * np.pi * (t + 0.5) / 32 + (0, np.pi)[i % 2]) + rng.normal(0, 0.05, 512)
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        np.save(tmp_path / "ab"[i % 2] / f"{i}.npy", values.astype(np.float32)[:, None])
    assert not any("mirrored" in p.text for p in survey_data(tmp_path).problems)


def near_alike(folder, n=6):
    """Few images, all of which look alike."""
    for i in range(n):
        save(folder / "ab"[i % 2] / f"{i}.png", frame(i, 2))
    return folder


def test_duplicates_can_be_kept(tmp_path):
    near_alike(tmp_path / "d")
    with pytest.raises(UserError, match="take them as independent with --duplicates keep"):
        split_rows(survey_data(tmp_path / "d"), Config(str(tmp_path / "d")))
    config = Config(str(tmp_path / "d"), duplicates="keep")
    survey = survey_data(tmp_path / "d", config)
    division = split_rows(survey, config)
    assert (
        set(survey.labels[division.val].tolist()) == {0, 1} and "duplicates as independent" in division.reason
    )
    assert any("taken as independent (--duplicates keep)" in p.text for p in survey.problems)


def test_duplicates_can_be_dropped(tmp_path, cli):
    fill(tmp_path / "d")
    save(tmp_path / "d" / "a" / "copy.jpg", photo(3), quality=85)
    save(tmp_path / "d" / "a" / "same.png", photo(3))
    save(tmp_path / "d" / "b" / "mirrored.png", np.ascontiguousarray(photo(105)[:, ::-1]))
    save(tmp_path / "d" / "b" / "contradiction.png", photo(7))
    survey = survey_data(tmp_path / "d", Config(duplicates="drop"))
    kept = {Path(path).name: Path(original).name for path, original in survey.dropped.items()}
    assert kept == {"copy.jpg": "03.png", "same.png": "03.png", "mirrored.png": "05.png"}
    assert len(survey.labels) == 25 == len(survey.images.pixels[:]) and survey.counts("") == {
        "a": 12,
        "b": 13,
    }
    listed = json.loads(cli("look", tmp_path / "d", "--duplicates", "drop", "--json").out)
    assert len(listed["dropped"]) == 3 and listed["images"] == 25
    assert any(p["text"].startswith("3 images dropped as duplicates") for p in listed["problems"])


def test_of_duplicates_across_splits_the_test_image_is_kept(tmp_path):
    for side, first in (("train", 0), ("test", 50)):
        for k, name in enumerate("ab"):
            for i in range(4):
                save(tmp_path / side / name / f"{i}.png", photo(100 * k + first + i))
    save(tmp_path / "test" / "a" / "copy.jpg", photo(2), quality=90)
    survey = survey_data(tmp_path, Config(duplicates="drop"))
    assert [Path(path).parts[-3:] for path in survey.dropped] == [("train", "a", "2.png")]


def test_dropped_pairs_are_gone_with_their_masks(tmp_path):
    for i in range(8):
        image = photo(i)
        save(tmp_path / "images" / f"{i}.png", image)
        save(tmp_path / "masks" / f"{i}.png", ((image[..., 0] > 128) * 255).astype(np.uint8))
    save(tmp_path / "images" / "8.jpg", photo(2), quality=90)
    save(tmp_path / "masks" / "8.png", ((photo(2)[..., 0] > 128) * 255).astype(np.uint8))
    survey = survey_data(tmp_path, Config(duplicates="drop"))
    assert len(survey.dropped) == 1 and len(survey.labels) == 8 == len(survey.shares) == len(
        survey.images.labels
    )
    assert survey.mask(7).shape == (SIDE, SIDE)


def test_a_class_that_cannot_be_validated_is_said_beside_the_score(tmp_path, capsys):
    """Its images are copies of one; and duplicates that are kept are said too."""
    fill(tmp_path / "d", 6)
    for i in range(5):
        save(tmp_path / "d" / "c" / f"{i}.jpg", photo(700), quality=70 + i)
    fast = {"model": "small", "epochs": 1, "precision": "float32", "threads": 1, "batch": 8}
    run = eyespot.train(tmp_path / "d", out=tmp_path / "run", **fast)
    text = "class 'c' is not validated: none of its 5 images measures the result, so the scores say nothing of it"
    assert f"warning: {text}" in capsys.readouterr().err and text in str(run.evaluation)
    assert any(text in note for note in run.evaluation.as_dict()["notes"])
    assert "not validated: none of its 5 images" in (run.folder / "report.html").read_text()
    kept = eyespot.train(tmp_path / "d", out=tmp_path / "kept", duplicates="keep", **fast)
    assert "not validated" not in capsys.readouterr().err and "not validated" not in str(kept.evaluation)
    for evaluation in (kept.evaluation, kept.evaluate()):
        assert any(
            "duplicates count as independent images (--duplicates keep)" in n for n in evaluation.notes
        )


def test_a_class_of_masks_that_is_not_validated_is_said(tmp_path):
    for i in range(10):
        save(tmp_path / "images" / f"{i}.png", photo(i))
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[:20, :20] = 1
        mask[40:, 40:] = 2 * (i == 3)
        save(tmp_path / "masks" / f"{i}.png", mask)
    config = Config(str(tmp_path), objects=False)
    survey = survey_data(tmp_path, config)
    texts = [
        [p.text for p in class_problems(survey, split_rows(survey, replace(config, seed=seed)))]
        for seed in range(4)
    ]
    assert all(len(problems) == 1 for problems in texts)
    kinds = {problem.split(":")[0].rsplit(" is ")[1] for problems in texts for problem in problems}
    assert "not validated" in kinds
