"""What the weights to start from have seen stays on its side of the split, also as copies, and is said where it does not."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import eyespot
from eyespot.data.duplicates.seen import FILE
from eyespot.errors import UserError
from eyespot.evaluation.run_split import split_rows
from eyespot.evaluation.seen_by import seen_by
from eyespot.weights.card import NAME, read_card, read_tensors, write_model

FAST = {"model": "small", "epochs": 1, "precision": "float32", "threads": 1, "batch": 8}


def photo(seed):
    """(64, 64, 3) with structure of every size."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8)).resize((64, 64))
    return np.clip(np.asarray(coarse) + rng.normal(0, 8, (64, 64, 3)), 0, 255).astype(np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(array)).save(path, **options)


def fill(folder, numbers):
    """Two classes of photographs with these numbers."""
    for i in numbers:
        save(folder / "a" / f"{i}.png", photo(i))
        save(folder / "b" / f"{i}.png", photo(1000 + i))
    return folder


def sides(run):
    """The split by class and name of each file."""
    return {"/".join(Path(row["path"]).parts[-2:]): row["split"] for row in split_rows(Path(run))}


def image_of(name):
    kind, number = name.removesuffix(".png").split("/")
    return photo(int(number) + 1000 * (kind == "b"))


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return eyespot.train(fill(folder / "d", range(10)), seed=0, out=folder / "one", **FAST)


@pytest.fixture(scope="module")
def three(one):
    """The last of a chain of runs, each with a seed of its own; the second had a few images more."""
    data = fill(one.folder.parent / "more", range(14))
    two = eyespot.train(data, seed=1, start_from=one.folder, out=one.folder.parent / "two", **FAST)
    data = one.folder.parent / "d"
    return eyespot.train(data, seed=2, start_from=two.folder, out=one.folder.parent / "three", **FAST)


def test_the_split_is_inherited_through_a_chain(one, three):
    first, second, third = (sides(one.folder.parent / name) for name in ("one", "two", "three"))
    assert third == first and {name: second[name] for name in first} == first
    new = [second[name] for name in second if name not in first]
    assert new.count("val") == 2 and new.count("train") == 6
    report = (three.folder / "report.html").read_text()
    assert "4 validation images of" in report and "stay validation images" in report
    assert not three.evaluation.seen["n"] and "seen in training" not in str(three.evaluation)


def test_what_was_seen_is_kept_through_a_chain(one, three):
    seen = seen_by(three.folder)
    assert seen.own == 20 and len(seen.digests) == 28
    assert seen_by(one.folder).trained_digests() < seen.trained_digests()
    shutil.copy(three.folder / NAME, one.folder.parent / "elsewhere.safetensors")
    assert seen_by(one.folder.parent / "elsewhere.safetensors").trained_digests() == seen.trained_digests()


def test_cards_say_whether_two_networks_share_a_split(one, three):
    cards = [read_card(one.folder.parent / name / NAME) for name in ("one", "two", "three")]
    splits = [card.data["split"] for card in cards]
    assert splits[0] == splits[2] != splits[1]
    assert (
        splits[0]["val"]["n"] == 4 and splits[0]["train"]["n"] == 16 and len(splits[0]["val"]["hash"]) == 16
    )


def test_copies_of_what_was_seen_stay_on_their_side(one, tmp_path):
    """The data set has copies of the first one only, under other names, and some new images."""
    fill(tmp_path / "d", range(50, 54))
    changes = [lambda a: a[:, ::-1], lambda a: np.rot90(a), lambda a: a]
    expected = {}
    for i, (name, side) in enumerate(sides(one.folder).items()):
        copy = f"{name.split('/')[0]}/copy{i}.jpg"
        save(tmp_path / "d" / copy, changes[i % 3](image_of(name)), quality=85)
        expected[copy] = side
    run = eyespot.train(tmp_path / "d", seed=5, start_from=one.folder, out=tmp_path / "run", **FAST)
    assert {name: side for name, side in sides(run.folder).items() if name in expected} == expected


def test_evaluate_names_copies_of_training_images(one, tmp_path):
    fill(tmp_path / "d", range(70, 73))
    trained = [name for name, side in sides(one.folder).items() if side == "train"]
    save(tmp_path / "d/a/jpeg.jpg", image_of(trained[0]), quality=60)
    save(tmp_path / "d/a/mirrored.png", image_of(trained[1])[:, ::-1])
    save(tmp_path / "d/a/turned.jpg", np.rot90(image_of(trained[2])), quality=85)
    save(tmp_path / "d/a/same.png", image_of(trained[3]))
    held = next(name for name, side in sides(one.folder).items() if side == "val")
    save(tmp_path / "d/a/held.jpg", image_of(held), quality=85)
    evaluation = one.evaluate(tmp_path / "d")
    files = {Path(path).name: original for path, original in evaluation.seen["files"].items()}
    assert set(files) == {"jpeg.jpg", "mirrored.png", "turned.jpg", "same.png"}
    assert files["mirrored.png"].endswith(trained[1]) and evaluation.seen["of"] == 11
    (note,) = [note for note in evaluation.notes if "were trained on, so the scores are too good" in note]
    assert (
        note.startswith("warning: 4 of these 11 images")
        and "; 3 of them as other files: copied, saved again, mirrored or turned (" in note
    )
    assert f"a/jpeg.jpg is {trained[0]}" in note
    assert evaluation.scores["accuracy"]["seen"] == 4 and "4 of 11 seen in training" in str(evaluation)
    assert "by class, 4 of all 11 seen in training:" in str(evaluation)
    assert json.dumps(evaluation.as_dict())


def test_a_model_file_alone_says_that_it_knows_no_copies(one, tmp_path, capsys):
    """Its card has digests; a copy that was saved again has another."""
    fill(tmp_path / "d", range(6))
    trained = [name for name, side in sides(one.folder).items() if side == "train"]
    for i, name in enumerate(trained[:8]):
        save(tmp_path / f"d/{name.split('/')[0]}/copy{i}.jpg", image_of(name), quality=85)
    (tmp_path / "alone").mkdir()
    weights = Path(shutil.copy(one.folder / NAME, tmp_path / "alone" / NAME))
    evaluation = eyespot.evaluate(weights, tmp_path / "d")
    assert [note for note in evaluation.notes if "copies saved again are not recognised" in note]
    eyespot.train(tmp_path / "d", start_from=weights, out=tmp_path / "run", **FAST)
    assert "copies saved again are not recognised" in capsys.readouterr().err
    assert not [note for note in one.evaluate().notes if "saved again" in note]


@pytest.mark.parametrize("has_originals", [True, False])
def test_evaluate_counts_changed_copies_of_training_images(one, tmp_path, has_originals):
    data = one.folder.parent / "d"
    eyespot.augment_data(data, augment="rotate(30)|noise(0.3)", copies=1, out=tmp_path / "more")
    if not has_originals:
        for path in (tmp_path / "more").rglob("*.png"):
            if "_aug" not in path.name:
                path.unlink()
    evaluation = one.evaluate(tmp_path / "more")
    trained = list(sides(one.folder).values()).count("train")
    (note,) = [note for note in evaluation.notes if "were trained on, so the scores are too good" in note]
    assert f"; {trained} of them are changed copies of such (" in note
    assert evaluation.seen["n"] == trained * (1 + has_originals)


def test_a_split_of_ones_own_is_kept_and_said(one, tmp_path, capsys):
    rows = split_rows(one.folder)
    held = [row for row in rows if row["split"] == "val"]
    trained = [row for row in rows if row["split"] == "train"]
    swapped = {row["path"]: "val" for row in trained[:2] + trained[-2:]} | {held[0]["path"]: "train"}
    lines = [f"{row['path']},{row['label']},{swapped.get(row['path'], row['split'])}" for row in rows]
    (tmp_path / "own.csv").write_text("\n".join(["path,label,split", *lines]))
    run = eyespot.train(tmp_path / "own.csv", start_from=one.folder, out=tmp_path / "run", **FAST)
    assert list(sides(run.folder).values()) == [swapped.get(row["path"], row["split"]) for row in rows]
    said = capsys.readouterr().err
    assert "4 of the 7 images for validation and testing have been trained on by" in said
    assert "1 of the 13 images for training were held out by" in said
    for scores in (run.evaluation.scores, run.evaluate().scores, run.predictor.card.scores):
        assert scores["accuracy"]["seen"] == 4 and scores["accuracy"]["n"] == 7
    assert "4 of these 7 images were trained on" in str(run.evaluation)
    report = (run.folder / "report.html").read_text()
    assert "4 of 7 seen in training" in report and "that it was not trained on" not in report


def test_nothing_left_for_a_side_is_refused(one, tmp_path):
    rows = split_rows(one.folder)
    for chosen, text in (
        ([row for row in rows if row["split"] == "train"], "so that none is left for validation: add images"),
        ([row for row in rows if row["split"] == "val"], "so that none is left for training"),
        (
            [row for row in rows if row["label"] == "a" or row["split"] == "val"],
            "of the class 'b' were held out",
        ),
    ):
        lines = [f"{row['path']},{row['label']}" for row in chosen]
        (tmp_path / "few.csv").write_text("\n".join(["path,label", *lines]))
        with pytest.raises(UserError, match=text):
            eyespot.train(tmp_path / "few.csv", start_from=one.folder, out=tmp_path / "run", **FAST)


def test_a_resumed_run_keeps_its_split_whatever_became_of_the_run_it_started_from(one, three, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(one.folder.parent / "two", folder)
    before = sides(folder)
    for name in ("report.html", NAME):
        (folder / name).unlink()
    kept = shutil.copytree(one.folder, tmp_path / "kept")
    try:
        for name in ("split.csv", FILE):
            (one.folder / name).unlink()
        card = read_card(kept / NAME)
        write_model(one.folder / NAME, read_tensors(kept / NAME), replace(card, data={}))
        resumed = eyespot.train(resume=folder)
    finally:
        shutil.copytree(kept, one.folder, dirs_exist_ok=True)
    assert sides(folder) == before and not resumed.evaluation.seen["n"]
    assert seen_by(folder).splits == seen_by(one.folder.parent / "two").splits


def test_runs_of_before_are_known_by_the_files_of_their_split(one, tmp_path):
    """They have neither thumbnails nor digests in their card."""
    old = tmp_path / "old"
    shutil.copytree(one.folder, old)
    (old / FILE).unlink()
    card = read_card(old / NAME)
    data = {name: value for name, value in card.data.items() if name not in ("split", "seen")}
    write_model(old / NAME, read_tensors(old / NAME), replace(card, data=data))
    assert seen_by(old).trained_digests() == seen_by(one.folder).trained_digests()
    trained = next(name for name, side in sides(old).items() if side == "train")
    fill(tmp_path / "d", range(80, 82))
    save(tmp_path / "d/a/same.png", image_of(trained))
    assert eyespot.evaluate(old, tmp_path / "d").seen["n"] == 1
    (tmp_path / "alone").mkdir()
    shutil.copy(old / NAME, tmp_path / "alone" / "copied.safetensors")
    alone = eyespot.evaluate(tmp_path / "alone" / "copied.safetensors", tmp_path / "d")
    assert not alone.seen and any("it is not known on which images" in note for note in alone.notes)


def test_a_model_file_among_another_runs_files_is_not_taken_for_its_own(one, three):
    shutil.copy(three.folder / NAME, one.folder / "other.safetensors")
    try:
        card = read_card(one.folder / "other.safetensors")
        changed = replace(card, data=asdict(card)["data"] | {"split": {}})
        write_model(one.folder / "other.safetensors", read_tensors(three.folder / NAME), changed)
        assert len(seen_by(one.folder / "other.safetensors").digests) == 28
    finally:
        (one.folder / "other.safetensors").unlink()


def test_weights_of_others_are_said_not_to_be_known(one, tmp_path, capsys):
    import torch

    torch.save(read_tensors(one.folder / NAME), tmp_path / "weights.pth")
    data = one.folder.parent / "d"
    run = eyespot.train(data, start_from=tmp_path / "weights.pth", out=tmp_path / "run", **FAST)
    assert "it is not known on which images" in capsys.readouterr().err
    assert any("it is not known on which images" in note for note in run.evaluation.notes)
    assert seen_by(run.folder).unknown == (str(tmp_path / "weights.pth"),)


def test_folds_say_which_of_their_images_the_weights_had_seen(one, tmp_path):
    """Also where the scores are of a test set, and those of the folds stand beside them."""
    fill(tmp_path / "d" / "test", range(80, 82))
    shutil.copytree(one.folder.parent / "d", tmp_path / "d" / "train")
    run = eyespot.train(tmp_path / "d", folds=2, start_from=one.folder, out=tmp_path / "run", **FAST)
    assert "16 of the 20 out-of-fold images were trained on" in str(run.evaluation)
    assert not run.evaluation.seen["n"] and "by class" not in str(run.evaluation)
    untested = replace(run.evaluation.folds, pooled=None)
    for folds in (run.evaluation.folds, untested):
        assert "started from weights that had been trained on 16 of these 20" in folds.lines()[0]
