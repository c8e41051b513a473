"""JSON documents: one schema, which docs/json.md describes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import eyespot
from conftest import one_sentence

DOCS = Path(__file__).parents[1] / "docs" / "json.md"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return eyespot.train(
        "digits", epochs=0.2, model="tiny", out=tmp_path_factory.mktemp("runs") / "run"
    ).folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(folder / f"{i}.png")
    return folder


def documented(command: str) -> str:
    return next(line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{command}` |"))


@pytest.mark.parametrize("command", ["look", "evaluate", "predict", "inspect", "augment", "weights list"])
def test_each_key_is_documented(command, run, images, cli, tmp_path):
    arguments = {
        "look": ("digits", "-o", tmp_path / "sheet.png"),
        "evaluate": (run,),
        "predict": (run, images),
        "inspect": ("tiny",),
        "augment": ("digits", "-o", tmp_path / "picture.png"),
    }
    result = cli(*command.split(), *arguments.get(command, ()), "--json")
    document = json.loads(result.out)
    assert document.pop("schema_version") == 1
    assert document
    assert [key for key in document if f"`{key}`" not in documented(command)] == []


def test_a_file_of_json_is_an_array(run, images, cli, tmp_path):
    for name in ("labels.json", "labels.jsonl"):
        assert cli("predict", run, images, "-o", tmp_path / name).code == 0
    whole = json.loads((tmp_path / "labels.json").read_text())
    assert whole == [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [Path(p["path"]).name for p in whole] == ["0.png", "1.png", "2.png"]


def test_what_was_written_as_json(run, images, cli, tmp_path):
    (images / "3.png").write_bytes(b"no image")
    result = cli("predict", run, images, "-o", tmp_path / "labels.csv", "--json")
    document = json.loads(result.out)
    (images / "3.png").unlink()
    assert (document["out"], document["written"]) == (str(tmp_path / "labels.csv"), 3)
    assert list(document["unreadable"]) == [str(images / "3.png")]
    assert result.code == 1


@pytest.mark.parametrize("out", [False, True])
def test_a_document_where_nothing_can_be_read(run, cli, tmp_path, out):
    (tmp_path / "bad.png").write_bytes(b"no image")
    result = cli("predict", run, tmp_path / "bad.png", "--json", *["-o", tmp_path / "labels.csv"] * out)
    assert list(json.loads(result.out)["unreadable"]) == [str(tmp_path / "bad.png")]
    assert result.code == 2


@pytest.mark.parametrize(
    "name,advice",
    [
        ("efficientnet_b0", "for classes take resnet18"),
        ("ViT-B16", "for classes take resnet18"),
        ("yolov8n", "no object detection"),
        ("deeplabv3", "for masks take unet_narrow"),
        ("resnt18", "did you mean 'resnet18'"),
        ("resnet-50", "did you mean 'resnet50'"),
        ("nothing", "--list-models"),
    ],
)
def test_what_to_take_instead_of_an_unknown_network(name, advice, cli):
    assert advice in one_sentence(cli("train", "digits", "--model", name))


def test_networks_are_listed(cli):
    result = cli("train", "--list-models")
    assert result.code == 0
    for name in eyespot.presets():
        assert name in result.out
    assert max(map(len, result.out.splitlines())) < 80
