"""Which files of a folder are predicted."""

import numpy as np
import pytest
from PIL import Image

import eyespot
from eyespot.prediction.inputs import expand


def save(path, seed, mask=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 255, (32, 32), np.uint8)
    if mask:
        values = np.zeros((32, 32), np.uint8)
        values[4 + seed % 9 : 20, 6:22] = 255
    Image.fromarray(values).save(path)


def names(folder, leave_out_masks):
    files = expand([str(folder)], [], 2, leave_out_masks=leave_out_masks)
    return [file.relative_to(folder).as_posix() for file in files]


def test_masks_beside_images_are_no_inputs(tmp_path, capsys):
    for i in range(4):
        save(tmp_path / f"P1/s_{i}.png", i)
        save(tmp_path / f"P1/s_{i}_mask.png", i, mask=True)
    save(tmp_path / "P1/s_9.png", 9)
    images = [f"P1/s_{i}.png" for i in (0, 1, 2, 3, 9)]
    assert names(tmp_path, leave_out_masks=True) == images
    assert f"4 masks beside the images of {tmp_path} left out" in capsys.readouterr().err
    assert len(names(tmp_path, leave_out_masks=False)) == 9


def test_folders_of_masks_are_no_inputs(tmp_path):
    for i in range(4):
        save(tmp_path / f"images/{i}.png", i)
        save(tmp_path / f"masks/{i}.png", i, mask=True)
    assert names(tmp_path, leave_out_masks=True) == [f"images/{i}.png" for i in range(4)]


def test_a_folder_without_masks_is_predicted_whole(tmp_path, capsys):
    for i in range(5):
        save(tmp_path / f"{i}.png", i)
    assert names(tmp_path, leave_out_masks=True) == [f"{i}.png" for i in range(5)]
    assert not capsys.readouterr().err


def test_an_image_of_one_value_is_said(trained, tmp_path):
    run, _ = trained
    white = np.full((20, 20, 4), 255, np.uint8)
    white[:, :, 3] = np.random.default_rng(0).integers(0, 255, (20, 20))
    Image.fromarray(white).save(tmp_path / "white.png")
    with pytest.warns(UserWarning, match=r"one value everywhere \(transparency is laid on white\)"):
        list(eyespot.predict(run.folder, tmp_path / "white.png"))
