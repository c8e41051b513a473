"""Prediction by the workers of Ray: the results of one process, also where a worker is killed."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

import eyespot
from conftest import one_sentence
from eyespot.prediction.on_ray import connected, workers

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'eyespot[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return eyespot.train(
        "digits", epochs=1, model="small_w16", out=tmp_path_factory.mktemp("runs") / "run"
    ).folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(150):
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(folder / f"{i:03}.png")
    (folder / "075.png").write_bytes(b"not an image")
    return folder


def test_two_workers_predict_what_one_process_does(cluster, run, images, cli, tmp_path):
    results = [
        cli("predict", run, images, "-o", tmp_path / "alone.csv"),
        cli("predict", run, images, "-o", tmp_path / "shared.csv", "--on", "local"),
    ]
    assert [r.code for r in results] == [1, 1], results
    assert all("075.png" in r.err for r in results)
    assert (tmp_path / "shared.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()


def test_a_killed_worker_changes_nothing(cluster, run, images, tmp_path):
    died = tmp_path / "died"

    def predict_or_die(predictor, paths):
        if any(p.name == "070.png" for p in paths) and not died.exists():
            died.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return list(predictor.stream(paths))

    paths = sorted(images.glob("*.png"))
    batches = [paths[i : i + 64] for i in range(0, len(paths), 64)]
    with connected("local") as connection:
        shared = list(workers(connection, str(run)).in_order(predict_or_die, batches))
    assert died.exists()
    alone = list(eyespot.load(run).stream(paths))
    assert [p for batch in shared for p in batch] == alone


def test_masks_are_written_by_workers(cluster, cli, tmp_path):
    run = eyespot.train("cells", epochs=0.1, model="unet_narrow", size=32, out=tmp_path / "cells").folder
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for i in range(6):
        Image.fromarray(rng.integers(0, 256, (40, 48), np.uint8)).save(tmp_path / "in" / f"{i}.png")
    for out, options in (("alone", ()), ("shared", ("--on", "local"))):
        result = cli("predict", run, tmp_path / "in", "-o", tmp_path / out, *options)
        assert (result.code, result.out) == (0, f"6 masks in {tmp_path / out}\n"), result
    for i in range(6):
        assert (tmp_path / "shared" / f"{i}.png").read_bytes() == (
            tmp_path / "alone" / f"{i}.png"
        ).read_bytes()
    again = one_sentence(cli("predict", run, tmp_path / "in", "-o", tmp_path / "shared", "--on", "local"))
    assert "6 mask files already exist" in again


def test_an_address_that_is_none_is_refused(run, images, cli):
    assert "--on is 'nowhere'" in one_sentence(cli("predict", run, images, "--on", "nowhere"))
