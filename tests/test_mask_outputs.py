"""What `predict` writes for masks: ids of objects, probabilities, and the rest of what a killed run left."""

import importlib
import os
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from conftest import one_sentence
from eyespot.data.formats.read import decode
from eyespot.data.masks.mapping import Mapping
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.errors import UserError
from eyespot.models import create
from eyespot.prediction import mask_files as module
from eyespot.prediction.load import load
from eyespot.prediction.mask_files import write_map, write_maps
from eyespot.prediction.predictor import Predictor
from eyespot.prediction.tiled_file import TiledFile
from eyespot.weights.card import Card, write_model

RNG = np.random.default_rng(0)


def make(folder: Path, classes=("background", "object"), dim=2, **settings) -> Predictor:
    """A network of random weights in a model file."""
    mapping = Mapping(tuple(range(len(classes))), tuple(classes), objects=settings.pop("objects", False))
    names = {field.name for field in fields(Preprocessing)}
    reading = {name: settings.pop(name) for name in names & settings.keys()}
    about = Preprocessing(1, "own", 1, (1,), "uint8", dim).as_dict() | {
        "side": 32,
        "mean": [90.0],
        "std": [60.0],
    }
    about |= {"mapping": mapping.as_dict(), "parted": True, **reading}
    changes = {"width": 2, "levels": 3, **settings}
    torch.manual_seed(0)
    network = create("unet_bn", classes=len(classes), channels=1, dim=dim, **changes)
    card = Card("unet_bn", changes, list(classes), about, task="segmentation")
    folder.mkdir(exist_ok=True)
    write_model(folder / "model.safetensors", network.state_dict(), card)
    predictor = load(folder)
    assert isinstance(predictor, Predictor)
    return predictor


def blobs(shape):
    return np.kron(RNG.integers(0, 255, [-(-n // 8) for n in shape]), np.ones([8] * len(shape)))[
        tuple(slice(n) for n in shape)
    ].astype(np.uint8)


def test_ids_are_written_where_masks_numbered_objects_or_where_asked(tmp_path, cli):
    tifffile.imwrite(tmp_path / "a.tif", blobs((70, 50)), resolution=(300.0, 300.0), resolutionunit=3)
    Image.fromarray(blobs((40, 45))).save(tmp_path / "b.png", dpi=(300, 300))
    files = [tmp_path / "a.tif", tmp_path / "b.png"]
    plain, numbered = make(tmp_path / "plain"), make(tmp_path / "numbered", objects=True)
    for predictor, asked in ((plain, True), (numbered, None)):
        out = tmp_path / f"ids-{asked}"
        write_maps(predictor.output, files, out, None, asked)
        for file, answer in zip(files, predictor(files), strict=True):
            ids = decode((out / file.name).read_bytes(), 2).array[..., 0]
            assert ids.dtype == np.uint16 and ids.max() > 1
            np.testing.assert_array_equal(ids, predictor.output.ids(answer.labels))
    with tifffile.TiffFile(out / "a.tif") as file:
        assert file.pages.first.tags["XResolution"].value == (300, 1)
    for predictor, arguments in ((plain, ()), (numbered, ("--no-instances",))):
        folder = tmp_path / ("numbered" if predictor is numbered else "plain")
        out = tmp_path / f"classes-{folder.name}"
        assert cli("predict", folder, files[1], "-o", out, *arguments).code == 0
        with Image.open(out / "b.png") as image:
            classes = np.asarray(image)
        assert set(np.unique(classes)) == ({0, 255} if predictor is numbered else {0, 1})


def test_ids_beyond_16_bits_and_where_there_can_be_none(tmp_path, cli, monkeypatch):
    ids = np.arange(70_000, dtype=np.uint32).reshape(700, 100)
    path = write_map(ids, tmp_path / "a.png", tmp_path / "none.png")
    assert path.suffix == ".tif" and np.array_equal(tifffile.imread(path), ids)
    assert module._numbers(ids[:600].astype(int)).dtype == np.uint16
    Image.fromarray(blobs((40, 45))).save(tmp_path / "b.png")
    make(tmp_path / "three", ("a", "b", "c"))
    said = one_sentence(
        cli("predict", tmp_path / "three", tmp_path / "b.png", "-o", tmp_path / "o", "--instances")
    )
    assert "classes of this run are a, b, c" in said
    monkeypatch.setattr(module, "MEMORY_MB", 0)
    with pytest.raises(UserError, match=r"b.png take 1 MB, .* EYESPOT_MEMORY_MB=1, or use --no-instances"):
        write_maps(make(tmp_path / "two").output, [tmp_path / "b.png"], tmp_path / "o", None, True)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("shape", [(90, 75), (6, 40, 36), (50,)])
def test_probabilities_are_those_of_the_whole(tmp_path, monkeypatch, shape, large):
    monkeypatch.setattr(module, "LARGE", 1 if large else 2**25)
    predictor = make(tmp_path / "run", ("a", "b", "ç 核"), dim=len(shape))
    image = blobs(shape)
    np.save(tmp_path / "in.npy", image)
    _, (path,), _ = write_maps(predictor.output, [tmp_path / "in.npy"], tmp_path / "out", None, None, True)
    wanted = torch.from_numpy(predictor.logits(image[None, ..., None])[0]).softmax(0).numpy() * 255
    if len(shape) == 1:
        got = np.load(tmp_path / "out" / "in_probabilities.npy")
    else:
        with tifffile.TiffFile(tmp_path / "out" / "in_probabilities.tif") as file:
            series, got = file.series[0], file.asarray()
            assert (
                series.axes == "ZCYX"[4 - got.ndim :] and "classes=a, b, ç 核" in file.pages.first.description
            )
        got = got if len(shape) == 2 else np.moveaxis(got, 1, 0)
        np.testing.assert_array_equal(tifffile.imread(path) if path.suffix == ".tif" else np.asarray(Image.open(path)), wanted.argmax(0))  # fmt: skip
    assert got.dtype == np.uint8 and got.shape == wanted.shape and abs(got - wanted).max() < 0.51
    assert sorted(os.listdir(tmp_path / "out"))[0].startswith("in") and len(os.listdir(tmp_path / "out")) == 2


def test_a_volume_three_voxels_wide_is_no_colour_image(tmp_path):
    labels = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    path = write_map(labels, tmp_path / "a.tif", tmp_path / "none.tif")
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 5 and file.pages.first.photometric == tifffile.PHOTOMETRIC.MINISBLACK
        np.testing.assert_array_equal(file.asarray(), labels)
    write_map(labels, tmp_path / "colours.tif", tmp_path / "none.tif", colours=True)
    with tifffile.TiffFile(tmp_path / "colours.tif") as file:
        assert file.pages.first.photometric == tifffile.PHOTOMETRIC.RGB


SMALL = {"mask_files.LARGE": 1, "tiled_file.SIDE": 64, "segmenter.MEMORY_MB": 152}
"""Limits in `eyespot.prediction` that make an image of 500 x 150 pixels a large one."""


def set_limits(limits, change=setattr):
    for name, value in limits.items():
        room, attribute = name.split(".")
        change(importlib.import_module(f"eyespot.prediction.{room}"), attribute, value)


def predict(predictor, tmp_path, out):
    """The bytes of the two files."""
    write_maps(predictor.output, [tmp_path / "in.tif"], tmp_path / out, None, None, True)
    names = ["in.tif", "in_probabilities.tif"]
    assert sorted(os.listdir(tmp_path / out)) == names
    return [(tmp_path / out / name).read_bytes() for name in names]


def predict_killed(tmp_path, out, stop):
    """The signal that ended a process of its own, which is killed at that write."""
    code = f"import test_mask_outputs as t; t.predict_until({str(tmp_path)!r}, {out!r}, {stop})"
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode < 0, done.stderr
    return -done.returncode


def predict_until(folder, out, stop):
    """In a process of its own: predict, and be killed at a write."""
    put, left = TiledFile._put, iter(range(stop))

    def counted(self, at, content):
        if next(left, None) is None:
            self.file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        put(self, at, content)

    TiledFile._put = counted
    set_limits(SMALL)
    predict(load(Path(folder) / "run"), Path(folder), out)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_a_killed_run_is_gone_on_with(tmp_path, monkeypatch, capsys, norm):
    """Exact tiles and blended ones; the bytes are those of a run that was not stopped."""
    set_limits(SMALL, monkeypatch.setattr)
    predictor = make(tmp_path / "run", width=8, norm=norm)
    tifffile.imwrite(tmp_path / "in.tif", blobs((500, 150)), resolution=(300.0, 200.0), resolutionunit=3)
    plan = predictor.output.plan((500, 150), True)
    assert plan.rows > 3 and bool(plan.why) == (norm == "group")
    whole = predict(predictor, tmp_path, "whole")
    assert predict_killed(tmp_path, "out", 60) == signal.SIGKILL
    for name in ("in.tif", "in_probabilities.tif"):  # readable, and as far as it is right
        half, full = (tifffile.imread(tmp_path / p) for p in (f"out/{name}.partial", f"whole/{name}"))
        assert (half[..., :64, :] == full[..., :64, :]).all() and not half[..., -64:, :].any()
    capsys.readouterr()
    assert predict(predictor, tmp_path, "out") == whole
    assert "of 500 rows are there from a run that was stopped" in " ".join(capsys.readouterr().err.split())
    # Of another image nothing is kept.
    assert predict_killed(tmp_path, "other", 60) == signal.SIGKILL
    tifffile.imwrite(tmp_path / "in.tif", blobs((500, 150)))
    assert predict(predictor, tmp_path, "other") == predict(predictor, tmp_path, "again") != whole
    assert "are there from" not in capsys.readouterr().err


def test_what_is_left_is_used_only_where_it_fits(tmp_path):
    path, band = tmp_path / "a.tif", np.ones((512, 30), np.uint8)

    def left(key):
        with pytest.raises(KeyboardInterrupt), TiledFile(path, (1100, 30), np.uint8, key=key) as file:
            rows = file.rows
            if not rows:
                file.add(0, band)
            raise KeyboardInterrupt
        return rows

    assert [left("a"), left("a"), left("b"), left("b")] == [0, 512, 0, 512]
    (tmp_path / "a.tif.partial").write_bytes((tmp_path / "a.tif.partial").read_bytes()[:200])  # cut short
    assert left("b") == 0
    (tmp_path / "a.tif.partial.json").write_text("{")
    assert left("b") == 0 and left("b") == 512
    other = make(tmp_path / "one"), make(tmp_path / "two", width=3)
    assert other[0].output.digest == load(tmp_path / "one").output.digest != other[1].output.digest  # type: ignore[union-attr]
