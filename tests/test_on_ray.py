"""Prediction and serving by the workers of Ray: the results of one process, also where a worker is killed."""

import asyncio
import os
import signal
import time

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import eyespot
from conftest import one_sentence
from eyespot.prediction import on_ray
from eyespot.prediction.on_ray import connected, workers
from eyespot.serving.app import create_app
from eyespot.serving.limits import Limits, Refusal
from eyespot.serving.on_ray import Cluster
from eyespot.serving.service import Service

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


async def statuses_and_predictions(app, contents):
    """Of all images, sent at the same time."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        posts = [client.post("/v1/predict", content=content) for content in contents]
        responses = await asyncio.gather(*posts)
    return [(r.status_code, r.json().get("predictions")) for r in responses]


@pytest.fixture
def served(cluster, run):
    """A server with the cluster's workers, and one that computes by itself."""
    limits = Limits(requests=64)
    with connected("local") as connection:
        shared = Service(eyespot.load(run), limits, run, Cluster(workers(connection, str(run)), 60))
        alone = Service(eyespot.load(run), limits, run)
        yield shared, alone
        shared.close()
        alone.close()


def test_a_server_with_workers_sends_what_one_process_does(served, images):
    contents = [path.read_bytes() for path in sorted(images.glob("*.png"))[64:84]]
    shared, alone = [
        asyncio.run(statuses_and_predictions(create_app(service), contents)) for service in served
    ]
    assert shared == alone
    assert [status for status, _ in shared].count(200) == 19
    assert shared[11][0] == 422


def test_changed_images_are_predicted_by_workers_too(served, images):
    shared, alone = served
    content = (images / "000.png").read_bytes()
    asked = []
    predict = shared.cluster.predict
    shared.cluster.predict = lambda array: asked.append(array) or predict(array)
    documents = []
    for service in (shared, alone):
        with TestClient(create_app(service)) as client:
            documents.append(client.post("/v1/transform?change=hflip", content=content).json())
    assert documents[0] == documents[1]
    assert len(asked) == 1


def test_a_worker_that_is_killed_loses_no_request(served, images):
    shared, alone = served
    contents = [path.read_bytes() for path in sorted(images.glob("*.png"))[:40]]
    want = asyncio.run(statuses_and_predictions(create_app(alone), contents))
    shared.cluster.check()
    killed = set()

    def pid_of_worker(predictor, _):
        return os.getpid()

    def kill_now_and_then(array):
        if len(killed) < 2:
            pid = shared.cluster._ask(pid_of_worker, None, 60)
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        return Cluster.predict(shared.cluster, array)

    shared.cluster.predict = kill_now_and_then
    got = asyncio.run(statuses_and_predictions(create_app(shared), contents))
    assert killed
    assert got == want


def test_a_server_without_its_cluster_says_so_and_asks_to_come_back(served, images):
    shared, _ = served

    def none_answers(*_, **__):
        raise ray.exceptions.WorkerCrashedError

    object.__setattr__(shared.cluster.workers, "one", none_answers)
    content = (images / "000.png").read_bytes()
    with TestClient(create_app(shared)) as client:
        response = client.post("/v1/predict", content=content)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert "the workers of the cluster died" in response.json()["error"]["message"]


def test_a_slow_worker_is_given_up(served, images):
    shared, _ = served
    shared.cluster.check()

    def sleeping(predictor, _):
        time.sleep(30)

    with pytest.raises(Refusal, match=r"no worker of the cluster was done after 0\.5 s"):
        shared.cluster._ask(sleeping, None, 0.5)


def test_serving_on_an_address_that_is_none_is_refused(run, cli):
    assert "--on is 'nowhere'" in one_sentence(cli("serve", run, "--on", "nowhere", "--port", "0"))


def test_ray_leaves_the_end_of_the_process_to_the_command(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    mine = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        on_ray._connect(ray, "local")
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, mine)
    assert signal.getsignal(signal.SIGTERM) is before
