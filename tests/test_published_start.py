"""Photographs start from published weights where these can be had, and the plan says so either way."""

import hashlib
import io
import time
import tomllib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import eyespot
from conftest import write_set
from eyespot.config import Config
from eyespot.data.surveys.photographs import not_photographs
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.models import create
from eyespot.run_warnings import before_training
from eyespot.tasks.starting import usual_start
from eyespot.training import plan
from eyespot.training.division import split_rows
from eyespot.weights import published


def photograph(kind: int, rng: np.random.Generator, side: int = 72) -> np.ndarray:
    """Coloured clouds with grain, brighter at the top or at the left: (side, side, 3) uint8"""
    coarse = Image.fromarray(rng.integers(40, 216, (6, 6, 3), np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    light = np.linspace(60, -60, side)
    light = light[:, None, None] if kind else light[None, :, None]
    return np.clip(np.asarray(coarse) + light + rng.normal(0, 6, (side, side, 3)), 0, 255).astype(np.uint8)


def write(folder, picture, names=("left", "top"), per_class: int = 10, name: str = "{}.png"):
    rng = np.random.default_rng(0)
    for kind, label in enumerate(names):
        (folder / label).mkdir(parents=True)
        for i in range(per_class):
            Image.fromarray(picture(kind, rng)).save(folder / label / name.format(i))
    return folder


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "views", photograph)


@pytest.fixture(scope="module")
def weights():
    """The bytes of weights of a ResNet-18 for 1,000 classes."""
    torch.manual_seed(0)
    file = io.BytesIO()
    torch.save(create("resnet18").state_dict(), file)
    return file.getvalue()


@pytest.fixture
def cached(weights, monkeypatch, tmp_path):
    """The weights, as published, in the cache."""
    monkeypatch.setitem(published.DIGESTS, "resnet18", hashlib.sha256(weights).hexdigest()[:8])
    monkeypatch.setenv("EYESPOT_CACHE", str(tmp_path / "cache"))
    path = published.place_of("resnet18")
    path.parent.mkdir(parents=True)
    path.write_bytes(weights)
    return path


def start(data, **settings):
    config = Config(data=str(data), **settings)
    return usual_start(survey_data(data, config), config)


QUICK = dict(epochs=1, precision="float32", threads=1)
"""One pass, and nothing to be timed."""


def test_photographs_start_from_what_is_in_the_cache(capsys, views, cached, tmp_path):
    eyespot.train(views, out=tmp_path / "run", **QUICK)
    said = " ".join(capsys.readouterr().err.split())  # long lines wrap
    assert "guess: content: photographs, trained from published weights if these can be had, " in said
    assert "because they are 8-bit colour of about 72x72, not flat (otherwise: --start-from none)" in said
    assert (
        f"start_from imagenet photographs, and the weights are in the cache; 120 tensors of {cached}" in said
    )
    assert "new for other classes: fc.weight, fc.bias" in said
    assert "the head alone for 15% of the run" in said
    settings = tomllib.loads((tmp_path / "run" / "plan.toml").read_text())
    assert settings["start_from"] == "imagenet" and settings["fine_tune"] and settings["model"] == "resnet18"
    cached.unlink()
    with pytest.raises(UserError, match="EYESPOT_OFFLINE is set"):  # and no other network is trained unsaid
        eyespot.train(config=tmp_path / "run" / "plan.toml", out=tmp_path / "again")


def test_without_them_the_plan_says_what_that_costs_and_keeps_to_it(views, cached):
    cached.rename(cached.with_name("away"))
    config = Config(data=str(views), **QUICK)
    made = plan.make_plan(survey_data(views, config), config, lambda: 0.0)
    assert made.reasons["start_from"] == (
        "no published weights (EYESPOT_OFFLINE is set), which costs accuracy with few images; "
        "get them with: eyespot weights fetch resnet18"
    )
    assert made.config.start_from == "none" and not made.config.fine_tune
    cached.with_name("away").rename(cached)
    assert start(views).weights == "imagenet"
    assert usual_start(survey_data(views, made.config), made.config).weights == "none", (
        "as its plan.toml says"
    )


@pytest.mark.parametrize(
    "settings,reason",
    [
        ({}, "photographs, and the weights are in the cache"),
        ({"model": "resnet18"}, "photographs, and the weights are in the cache"),
        ({"start_from": "none"}, "as you asked"),
        ({"model": "small"}, "no weights are published for small"),
        ({"recipe": "muon|ema"}, "a recipe was given: published weights have one of their own"),
        ({"minutes": 0.5}, "under 1 minute is too short for published weights"),
        ({"size": 32}, "images of 32 pixels are too small for published weights"),
        (
            {"model": "vgg16"},
            "no published weights (EYESPOT_OFFLINE is set), which costs accuracy with few images; get them with: eyespot weights fetch vgg16",
        ),
    ],
)
def test_what_the_user_gave_decides(views, cached, settings, reason):
    chosen = start(views, **settings)
    assert chosen.reason == reason
    assert (chosen.weights, chosen.fine_tune) == (
        ("imagenet", True) if "in the cache" in reason else ("none", False)
    )
    said = [guess.name for guess in survey_data(views, Config(data=str(views), **settings)).guesses]
    decided = {"start_from", "recipe", "size"} & settings.keys() or settings.get("model") == "small"
    assert ("content" in said) != bool(decided)


def grey(kind, rng):
    return np.repeat(photograph(kind, rng)[..., :1], 3, 2)


def chart(kind, rng):
    """Bars on white."""
    picture = np.full((96, 96, 3), 255, np.uint8)
    for left in range(0, 96, 16):
        picture[rng.integers(20, 90) :, left : left + 10] = rng.integers(0, 255, 3)
    return picture


def with_border(kind, rng):
    """A photograph, half of whose area is black."""
    return np.pad(photograph(kind, rng), ((0, 0), (36, 36), (0, 0)))


@pytest.mark.parametrize(
    "picture,name,reason",
    [
        (photograph, "{}.png", ""),
        (with_border, "{}.png", ""),
        (lambda kind, rng: photograph(kind, rng, 48), "{}.png", "images of 48 pixels are too small"),
        (lambda kind, rng: photograph(kind, rng)[..., 0], "{}.png", "photographs of 8 bits in colour"),
        (grey, "{}.png", "most images are grey"),
        (chart, "{}.png", "most images have large flat areas"),
        (photograph, "n02085620_{}.png", r"n02085620_0.png is a name of ImageNet"),
        (photograph, "ILSVRC2012_val_0000000{}.png", r"ILSVRC2012_val_00000000.png is a name of ImageNet"),
        (photograph, "n0208562099_{}.png", ""),
    ],
)
def test_what_is_taken_for_photographs(tmp_path, picture, name, reason):
    survey = survey_data(write(tmp_path / "data", picture, name=name))
    assert reason in not_photographs(survey) if reason else not not_photographs(survey)


def test_other_data_is_not(tmp_path):
    assert "are not" in not_photographs(survey_data("waves"))
    assert "images of 24 pixels are too small" in not_photographs(
        survey_data(write_set(tmp_path / "textures"))
    )


def test_imagenets_own_images_are_warned_of(tmp_path):
    classes = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel")
    survey = survey_data(write(tmp_path / "dogs", photograph, names=classes, per_class=5))
    for start_from, warned in (("imagenet", True), ("none", False)):
        config = Config(start_from=start_from)
        plan = SimpleNamespace(config=config, before=None, division=split_rows(survey, config))
        texts = [problem.text for problem in before_training(survey, plan)]  # type: ignore[arg-type]
        assert any("Chihuahua is a name of ImageNet" in text for text in texts) == warned


def test_a_damaged_file_in_the_cache_is_not_started_from(views, cached):
    cached.write_bytes(b"?")
    assert start(views).weights == "none"


def test_the_search_for_weights_ends_soon(views, monkeypatch, tmp_path):
    """Nobody answers, and not even the name is looked up."""
    monkeypatch.setenv("EYESPOT_CACHE", str(tmp_path))
    monkeypatch.delenv("EYESPOT_OFFLINE")
    monkeypatch.setattr("eyespot.weights.download.urlopen", lambda *_, **__: time.sleep(4))
    survey = survey_data(views)
    began = time.monotonic()
    assert "no published weights (no answer within 2 seconds)" in usual_start(survey, Config()).reason
    assert time.monotonic() - began < 3.5


def test_where_the_time_is_too_short_a_narrower_network_is_trained(views, cached, monkeypatch, tmp_path):
    monkeypatch.setattr(plan, "LEAST_IMAGES", float("inf"))
    monkeypatch.setattr(plan, "LEAST_EPOCHS", float("inf"))
    config = Config(data=str(views), minutes=1, precision="float32", threads=1)
    clock = iter(np.linspace(0, 30, 1000))
    made = plan.make_plan(survey_data(views, config), config, lambda: next(clock))
    assert made.config.weights is None and not made.config.fine_tune and "fine_tune" not in made.reasons
    assert made.reasons["start_from"].startswith(
        "the time is too short for published weights: resnet18 would see "
    )
    assert made.reasons["model"].startswith("the widest that learns enough in the time, at ")
