"""Every mistake a user can make: one sentence that names the file, the value and the remedy; exit code 2."""

import errno
import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import eyespot
from conftest import one_sentence, write_set
from eyespot import environment, files
from eyespot.data import images
from eyespot.data.formats import read
from eyespot.errors import UserError
from eyespot.run_folder import run_folder
from test_read import bomb


def refused(cli, *arguments) -> str:
    return one_sentence(cli("train", *arguments, "--epochs", 1))


def test_an_empty_folder(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    for verb in ("look", "train"):
        assert "is empty: put the images of each class into a folder" in one_sentence(
            cli(verb, tmp_path / "empty")
        )
    (tmp_path / "empty" / "cats").mkdir()
    assert "(cats) hold no images" in refused(cli, tmp_path / "empty")


def test_no_such_data(cli):
    assert "nothere is not a folder" in refused(cli, "nothere")
    assert "did you mean 'digits'" in refused(cli, "digit")
    assert "no data was named" in one_sentence(cli("train"))


def test_images_without_class_folders(cli, tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    assert "has 1 file but no folder per class" in refused(cli, tmp_path)


def test_one_class_only(cli, tmp_path):
    assert "one class only (rows)" in refused(cli, write_set(tmp_path / "d", kinds=1))


def test_a_class_with_one_image(cli, photos):
    for path in sorted((photos / "rows").iterdir())[1:]:
        path.unlink()
    assert "class 'rows' has one image only" in refused(cli, photos)


def test_a_class_without_a_readable_image(cli, photos):
    for path in (photos / "rows").iterdir():
        path.write_bytes(b"")
    assert "class 'rows' has no readable image" in refused(cli, photos)


@pytest.mark.parametrize("have,lack", [("train", "val"), ("val", "train"), ("train", "test")])
def test_a_class_missing_from_a_split(cli, tmp_path, have, lack):
    for split in {"train", "val", have, lack}:
        write_set(tmp_path / "d" / split, per_class=3, kinds=2 if split == lack else 3)
    assert (
        f"'diagonals' has images in train/ but none in {lack}/" in refused(cli, tmp_path / "d")
        or lack == "train"
    )
    assert f"none in {lack}/" in refused(cli, tmp_path / "d")


def test_bad_files_are_each_named_and_the_rest_is_trained(cli, photos, tmp_path):
    bad = {
        "zero.png": b"",
        "short.png": (photos / "rows" / "001.png").read_bytes()[:200],
        "text.jpg": b"a text that was named .jpg",
        "bomb.png": bomb(20_000, 20_000),
    }
    for name, content in bad.items():
        (photos / "rows" / name).write_bytes(content)
    result = cli("train", photos, "--epochs", 1, "--out", tmp_path / "run")
    assert result.code == 1
    for name in bad:
        assert f"cannot be read: {photos / 'rows' / name}: " in result.err
    for path in (photos / "rows").iterdir():
        if path.name not in bad:
            path.unlink()
    assert "class 'rows' has no readable image" in refused(cli, photos)


def test_all_files_bad(cli, tmp_path):
    for kind in "ab":
        (tmp_path / "d" / kind).mkdir(parents=True)
        (tmp_path / "d" / kind / "x.png").write_bytes(b"")
    assert "none of the 2 files" in refused(cli, tmp_path / "d")


def test_a_file_without_permission(cli, photos, tmp_path, monkeypatch):
    """Tests may run as root, whom no permission stops, so the refusal is simulated where the file is opened."""
    original = read.Path.read_bytes

    def guarded(path):
        if path.name == "004.png" and path.parent.name == "rows":
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path)

    monkeypatch.setattr(read.Path, "read_bytes", guarded)
    result = cli("look", photos, "-o", tmp_path / "s.png")
    assert f"{photos / 'rows' / '004.png'}: permission denied" in result.out


@pytest.mark.parametrize(
    "arguments,message",
    [
        (("--model", "resnet81"), "no preset is called 'resnet81'; did you mean 'resnet"),
        (("--minutes", "0.01"), "is not enough"),
        (("--minutes", "-3"), "minutes is -3.0; give a number above 0"),
        (("--fit", "padd"), "fit is 'padd'; did you mean 'pad'"),
        (("--augment", "flipp"), "did you mean 'flip'"),
        (("--device", "quantum"), "device 'quantum' cannot be used here"),
        (("--group", "("), "is not a regular expression"),
        (("--group", "xyz"), "matches nothing in"),
        (("--group", "rows|columns|diagonals"), "in one group only"),
        (("--size", "3"), "samples along each axis"),
        (("--config", "none.toml"), "cannot read none.toml"),
    ],
)
def test_settings_that_cannot_be(cli, photos, arguments, message):
    assert message in one_sentence(cli("train", photos, *arguments)), message


def test_a_device_that_is_not_there_answers_nothing(cli, trained):
    run, data = trained
    for arguments in (("predict", run.folder, data), ("evaluate", run.folder)):
        said = one_sentence(cli(*arguments, "--device", "cuda:63"))
        assert "device 'cuda:63' cannot be used here" in said and "use --device cpu" in said


def test_a_run_is_never_overwritten_unless_forced(cli, photos, tmp_path, monkeypatch):
    target = tmp_path / "run"
    assert cli("train", photos, "--epochs", 1, "--out", target).code == 0
    before = (target / "model.safetensors").read_bytes()
    assert "exists: name another folder with --out, or overwrite it with --force" in refused(
        cli, photos, "--out", target
    )
    assert (target / "model.safetensors").read_bytes() == before
    assert cli("train", photos, "--epochs", 1, "--seed", 5, "--out", target, "--force").code == 0
    assert (target / "model.safetensors").read_bytes() != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    assert "is not a run of eyespot" in refused(cli, photos, "--out", tmp_path / "mine", "--force")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "photos-2"):
        assert (
            cli("train", photos, "--epochs", 1).code == 0
            and (tmp_path / "runs" / name / "report.html").exists()
        )


def test_a_folder_with_a_runs_other_files_is_left_alone(cli, photos, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history.csv").write_text("mine")
    assert "holds history.csv and is not a run" in refused(cli, photos, "--out", tmp_path / "run", "--force")


def test_a_name_of_ours_is_taken_once_and_given_back(cli, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [run_folder(None, "digits").name for _ in range(2)] == ["digits", "digits-2"]
    assert "no preset" in refused(cli, photos, "--model", "resnet81")
    assert not (tmp_path / "runs" / "photos").exists()
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "runs").symlink_to(tmp_path / "not-mounted")
    assert "cannot make the folder" in refused(cli, photos)


@pytest.mark.parametrize("name,ours", [("EYESPOT_MEMORY_MB", 1200), ("EYESPOT_CACHE_GB", 50)])
@pytest.mark.parametrize("told", ["1G", "-3", "0", "nan"])
def test_settings_of_the_surroundings_that_are_no_numbers(monkeypatch, name, ours, told):
    monkeypatch.setenv(name, told)
    with pytest.raises(UserError, match=f"{name} is '{told}': set it to a number above zero, such as {ours}"):
        environment.positive_number(name, ours)
    monkeypatch.setenv(name, "")
    assert environment.positive_number(name, ours) == ours


def test_a_setting_that_is_no_number_is_a_sentence(tmp_path):
    command = [sys.executable, "-m", "eyespot", "predict", tmp_path, tmp_path]
    environment = os.environ | {"EYESPOT_MEMORY_MB": "1G"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert said.returncode == 2 and said.stderr.startswith("eyespot: EYESPOT_MEMORY_MB is '1G': set it")


def test_evaluating_classes_on_masks(cli, trained):
    assert "cells has masks, and " in one_sentence(cli("evaluate", trained[0].folder, "cells"))


def test_predicting_on_an_archive(cli, trained, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a.txt", "text")
    result = cli("predict", trained[0].folder, tmp_path / "x.zip", "-o", tmp_path / "a.csv")
    assert result.code == 2 and "it is an archive (ZIP) without an array" in result.err
    assert not (tmp_path / "a.csv").exists() and not result.out
    assert "ends in none of" in one_sentence(
        cli("predict", trained[0].folder, trained[1], "-o", tmp_path / "a.xlsx")
    )


def test_a_disk_that_fills_while_decoding(cli, photos, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(images, "_write", full)
    message = refused(cli, photos, "--size", 17)
    assert "the disk is full" in message and "EYESPOT_CACHE" in message


def test_a_disk_that_fills_while_training(cli, photos, tmp_path, monkeypatch):
    """The second model does not fit: the first stays whole, and the message says where."""
    replace, models = files.os.replace, []

    def second_fails(source, target):
        if str(target).endswith("model.safetensors"):
            models.append(target)
            if len(models) > 1:
                raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", second_fails)
    message = one_sentence(cli("train", photos, "--epochs", 30, "--batch", 16, "--out", tmp_path / "run"))
    model = tmp_path / "run" / "model.safetensors"
    assert "the disk is full" in message and f"the last good model stays in {model}" in message
    assert eyespot.load(model).classes == ["columns", "diagonals", "rows"]
    assert not [p for p in (tmp_path / "run").iterdir() if p.name.startswith(".")]


def test_model_files_that_are_not(cli, trained, tmp_path):
    model = trained[0].folder / "model.safetensors"
    image = trained[1] / "rows" / "000.png"
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(model.read_bytes()[:5000])
    assert "cut short or not a model file" in one_sentence(cli("predict", bad, image))
    bad.write_bytes(b"PK\3\4 some pickle")
    assert "cut short or not a model file" in one_sentence(cli("evaluate", bad))
    save_file({"x": torch.zeros(1)}, bad)
    assert "no eyespot card" in one_sentence(cli("predict", bad, image))
    save_file(load_file(model), bad, {"eyespot": json.dumps({"format": 2})})
    assert "newer than the 1 that this eyespot reads: update eyespot" in one_sentence(
        cli("predict", bad, image)
    )
    (tmp_path / "folder").mkdir()
    assert "holds no model.safetensors" in one_sentence(cli("predict", tmp_path / "folder", image))
    assert "does not exist" in one_sentence(cli("predict", tmp_path / "nothing", image))


@pytest.mark.parametrize("shape,said", [((24, 24, 2), "2 channels"), ((24, 24, 5), "5 channels")])
def test_images_whose_channels_differ_from_the_models(cli, trained, tmp_path, shape, said):
    import tifffile

    other = tmp_path / "other.tif"
    tifffile.imwrite(
        other,
        np.zeros(shape, np.uint8),
        photometric="minisblack",
        planarconfig="contig" if len(shape) > 2 else None,
    )
    result = cli("predict", trained[0].folder, other)
    assert f"{other}: it has {said}, and the images trained on have 3 channels (colour)" in result.err
    assert one_sentence(result)
    with pytest.raises(eyespot.UserError, match="channel"):
        trained[0].predict(np.zeros(shape, np.uint8))


def test_a_loss_that_is_infinite_from_the_start(cli, photos, tmp_path, monkeypatch):
    from eyespot.tasks import classification as classes

    monkeypatch.setattr(classes.F, "cross_entropy", lambda z, *_, **__: z.sum() * float("nan"))
    message = refused(cli, photos, "--out", tmp_path / "run")
    assert "a loss or weight was not finite at once" in message
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_no_held_out_list_and_no_data(cli, trained, tmp_path):
    max_collapsing_size = tmp_path / "model.safetensors"
    max_collapsing_size.write_bytes((trained[0].folder / "model.safetensors").read_bytes())
    assert "name a data set to evaluate on" in one_sentence(cli("evaluate", max_collapsing_size))
