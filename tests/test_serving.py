"""`eyespot serve`: the API predicts as `predict` does, declines what it must, and stops cleanly."""

import asyncio
import gzip
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
import zlib

import numpy as np
import pytest
import tifffile
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

import eyespot
from conftest import one_sentence
from eyespot.errors import UserError
from eyespot.prediction.load import load
from eyespot.prediction.output import WriteRequest
from eyespot.serving import predict
from eyespot.serving.app import create_app
from eyespot.serving.limits import Limits
from eyespot.serving.serve import check_access
from eyespot.serving.service import Service
from serving_models import CLASSES, class_card, mask_card, png, predictor_of_card, write_run

LIMITS = Limits(megabytes=8, megapixels=1, images=8, seconds=20, requests=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("serving") / "run", class_card())


@pytest.fixture(scope="module")
def service(run):
    return Service(load(run), LIMITS, run)


@pytest.fixture(scope="module")
def client(service):
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def mask_client():
    service = Service(predictor_of_card(mask_card()), LIMITS)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def files(*contents: bytes):
    return [("image", (f"{k}.png", content)) for k, content in enumerate(contents)]


def post(client, *contents: bytes, path: str = "/v1/predict"):
    return client.post(path, files=files(*contents))


def sentence(response) -> str:
    """The one sentence of an error, which has nothing of Python's."""
    text = response.json()["error"]["message"]
    assert "Traceback" not in response.text and "\n" not in text
    return text


def test_the_same_bytes_have_the_same_prediction(client, run, tmp_path):
    contents = [png(k, kind=kind) for k, kind in enumerate(["PNG", "JPEG", "TIFF", "BMP", "WEBP"])]
    paths = [tmp_path / f"{k}.img" for k in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    together = post(client, *contents).json()["predictions"]
    predictor = load(run)
    for path, content, got in zip(paths, contents, together, strict=True):
        want = predictor(path)[0]
        assert (got["label"], got["probability"], got["probabilities"]) == (
            want.label,
            want.probability,
            want.probabilities,
        )
        alone = client.post("/v1/predict", content=content).json()["predictions"][0]
        assert {**alone, "index": got["index"], "name": got["name"]} == got


def test_a_bad_image_has_a_reason_and_the_others_a_prediction(client):
    response = post(client, png(0), b"not an image", png(1), png(2)[:60])
    assert response.status_code == 422
    assert sentence(response).startswith("image 1 (1.png) cannot be read: its content is not an image")
    assert "2 of 4" in sentence(response)
    alone = [post(client, png(k)).json()["predictions"][0]["probabilities"] for k in (0, 1)]
    predictions = response.json()["predictions"]
    assert [predictions[k]["probabilities"] for k in (0, 2)] == alone
    assert all("label" not in predictions[k] and predictions[k]["error"] for k in (1, 3))


@pytest.mark.parametrize(
    "content,words",
    [
        (b"", "empty"),
        (b"not an image", "not an image"),
        (png(0)[:60], "damaged"),
        (b"%PDF-1.4", "PDF"),
        (b"\x93NUMPY\1\0\x40\0" + b"open('x')".ljust(63) + b"\n", "line 1: ast.Call)"),
    ],
)
def test_bad_images_are_declined(client, content, words):
    response = post(client, content)
    assert response.status_code == 422 and words in sentence(response)


def test_uploads_beyond_a_megabyte(client):
    large = png(0, (800, 800, 3))
    assert len(large) > 1.5e6
    assert post(client, large).status_code == 200
    part = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + large + b"\r\n--b--\r\n"
    no_name = client.post(
        "/v1/predict", content=part, headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert no_name.json()["predictions"][0]["label"] == post(client, large).json()["predictions"][0]["label"]


@pytest.mark.parametrize(
    "kind,body,status,words",
    [
        ("application/json", b"{}", 415, "application/json"),
        ("application/x-www-form-urlencoded", b"a=b", 415, "curl -F"),
        ("multipart/form-data", b"--b", 400, "no boundary"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n", 400, "damaged or cut short"),
        ("multipart/form-data; boundary=b", b"", 400, "damaged or cut short"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--',
            400,
            "'file'",
        ),
        ("image/png", b"", 400, "no image"),
    ],
)
def test_bodies_that_are_not_images(client, kind, body, status, words):
    response = client.post("/v1/predict", content=body, headers={"content-type": kind})
    assert response.status_code == status and words in sentence(response)


def test_limits_of_bytes_and_images(client):
    assert post(client, bytes(9_000_000)).status_code == 413

    def chunks():
        for _ in range(10):
            yield bytes(1_000_000)

    assert client.post("/v1/predict", content=chunks()).status_code == 413
    assert "more than 8 images" in sentence(post(client, *[png(0)] * 9))


def zipped(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def png_that_claims(side: int) -> bytes:
    """A few bytes that decode to side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = side.to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tiff_with(tile: int) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, np.zeros((64, 64, 3), np.uint16), tile=(tile, tile), compression="zlib", photometric="rgb"
    )
    return buffer.getvalue()


def claimed_array(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"shape": shape, "fortran_order": False, "descr": "<f8"})
    return buffer.getvalue() + bytes(64)


@pytest.mark.parametrize(
    "content,words",
    [
        (png_that_claims(2000), "4 million pixels"),
        (png_that_claims(20_000), "million pixels"),
        (zipped(a=np.zeros((3000, 3000, 3))), "million"),
        (claimed_array((100_000, 100_000)), "million"),
        (claimed_array((300, 300)), "cut short"),
        (tiff_with(4096), "million"),
    ],
    ids=["png", "large-png", "npz", "npy", "cut-npy", "tiff"],
)
def test_bombs_are_declined_before_they_are_decoded(client, monkeypatch, content, words):
    monkeypatch.setattr(predict, "read_content", lambda *_: pytest.fail("it was decoded"))
    response = post(client, content)
    assert response.status_code == 422 and words in sentence(response), response.text


def pickled() -> bytes:
    class Bad:
        def __reduce__(self):
            return os.system, ("touch /tmp/eyespot-was-here",)

    buffer = io.BytesIO()
    np.save(buffer, np.array([Bad()], object), allow_pickle=True)
    return buffer.getvalue()


def ome_that_names(name: str) -> bytes:
    """An OME-TIFF whose second plane is said to lie in another file."""
    description = f"""<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:a">
    <Image ID="Image:0"><Pixels DimensionOrder="XYZCT" ID="Pixels:0" SizeC="1" SizeT="1" SizeX="16" SizeY="16" SizeZ="2" Type="uint16">
    <TiffData FirstZ="0" IFD="0"><UUID FileName="a.ome.tif">urn:uuid:a</UUID></TiffData>
    <TiffData FirstZ="1" IFD="0"><UUID FileName="{name}">urn:uuid:b</UUID></TiffData></Pixels></Image></OME>"""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((16, 16), np.uint16), description=description, metadata=None)
    return buffer.getvalue()


def test_nothing_of_a_client_is_opened_or_run(client, tmp_path, monkeypatch):
    """No file is opened while these are read, by whatever library: an audit hook sees each."""
    post(client, png(0)), post(client, tiff_with(64))  # imports are done
    secret = tmp_path / "secret.ome.tif"
    tifffile.imwrite(secret, np.zeros((16, 16), np.uint8))
    monkeypatch.chdir(tmp_path)
    opened: list[str] = []
    watching = [True]

    def hook(event, arguments):
        if watching[0] and event in ("open", "os.system", "subprocess.Popen", "pickle.find_class"):
            opened.append(str(arguments[0]))

    sys.addaudithook(hook)
    joined = b"eyespot channels\n5 a\n\nabcde"
    try:
        for content in (pickled(), ome_that_names(str(secret)), ome_that_names("secret.ome.tif"), joined):
            assert post(client, content).status_code == 422
        secret.read_bytes()
        client.post("/v1/predict", files=[("image", (str(secret), b"x"))])
    finally:
        watching[0] = False
    assert opened == [str(secret)], "the hook sees the one file that the test itself opened"
    assert not os.path.exists("/tmp/eyespot-was-here")


def test_a_damaged_joined_file_is_no_bug(client):
    for content in (b"eyespot channels\nx y\n\n", b"eyespot channels\n"):
        assert post(client, content).status_code == 422


def test_a_packed_volume_is_checked_before_it_is_unpacked():
    nibabel = pytest.importorskip("nibabel")
    card = class_card(dim=3, channels=1, accepts=[1], mean=[100.0], std=[50.0])
    service = Service(predictor_of_card(card), LIMITS)
    volume = nibabel.Nifti1Image(np.random.default_rng(0).integers(0, 200, (9, 10, 11), np.uint8), np.eye(4))
    whole = volume.to_bytes()
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        packed, plain = post(client, gzip.compress(whole)), post(client, whole)
        assert packed.status_code == 200, packed.text
        assert packed.json() == plain.json()
        bomb = gzip.compress(whole + bytes(60_000_000))
        assert "compressed content is larger" in sentence(post(client, bomb))
        assert post(client, gzip.compress(whole)[:-20]).status_code == 422


def test_an_archive_with_other_files_is_declined(client):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../etc/passwd", "x")
    assert "ZIP" in sentence(post(client, buffer.getvalue()))


def test_masks(mask_client):
    predictor = predictor_of_card(mask_card())
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
    want = predictor(pixels)[0].labels
    got = post(mask_client, png(0, (40, 30))).json()["predictions"][0]
    assert got["shape"] == [40, 30]
    assert [c["pixels"] for c in got["classes"]] == np.bincount(want.ravel(), minlength=2).tolist()


@pytest.mark.parametrize("is_short", [False, True])
def test_a_mask_as_tiff_is_the_file_that_predict_writes(mask_client, tmp_path, is_short):
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
    tifffile.imwrite(path, pixels, resolution=(300, 200), resolutionunit=3)
    if is_short:  # one number, where the standard has two
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages.first.tags["XResolution"].overwrite(300, dtype="H")
    predictor_of_card(mask_card()).write([path], WriteRequest("run", tmp_path / "out"))
    written = (tmp_path / "out" / "a.tif").read_bytes()
    assert post(mask_client, path.read_bytes(), path="/v1/predict?format=tiff").content == written
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as file:
        assert file.pages.first.tags["XResolution"].value == (300, 1)


def test_a_full_queue_is_503_with_retry_after(service, client):
    place = service.queue.place
    with place(), place(), place(), place():
        response = post(client, png(0))
    assert response.status_code == 503 and response.headers["retry-after"] == "1"
    assert "4 requests are in progress" in sentence(response)
    assert post(client, png(0)).status_code == 200


def test_a_request_that_takes_too_long(run, monkeypatch):
    service = Service(load(run), Limits(seconds=0.2), run)
    monkeypatch.setattr(predict, "read_content", lambda *_: time.sleep(1))
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        response = post(client, png(0))
        assert response.status_code == 503 and "not done after 0.2 s" in sentence(response)
        assert service.queue.requests == 0


def test_a_bug_has_a_number_and_no_traceback(run, capsys, monkeypatch):
    service = Service(load(run), LIMITS, run)

    def broken(*_):
        raise KeyError("secret")

    monkeypatch.setattr(predict, "read_content", broken)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        response = post(client, png(0))
    assert response.status_code == 500 and "secret" not in response.text
    log = capsys.readouterr().err
    assert response.json()["bug"] in log and "KeyError" in log
    assert response.headers["x-content-type-options"] == "nosniff"


def test_token(run):
    service = Service(load(run), LIMITS, run)
    token = "0123456789abcdef"
    with TestClient(create_app(service, token)) as client:
        for header in (
            None,
            "Bearer",
            "Bearer 0123456789abcdeg",
            f"Basic {token}",
            f"Bearer {token}x",
            "Bearer é",
        ):
            headers = {} if header is None else {"authorization": header.encode()}
            for path in ("/v1/model", "/metrics", "/openapi.json", "/nothing"):
                response = client.get(path, headers=headers)
                assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
        assert client.post("/v1/predict", files=files(png(0))).status_code == 401
        assert client.get("/healthz").status_code == client.get("/").status_code == 200
        assert client.get("/v1/model", headers={"authorization": f"Bearer {token}"}).status_code == 200


def test_only_its_own_machine_names_it(run):
    service = Service(load(run), LIMITS, run)
    with TestClient(create_app(service, hosts={"localhost", "127.0.0.1"})) as client:
        for host, status in (("localhost:8000", 200), ("127.0.0.1", 200), ("evil.example", 421), ("", 421)):
            assert client.get("/v1/model", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    "host,token,free,words",
    [
        ("0.0.0.0", None, False, "--without-token"),
        ("::", None, False, "--without-token"),
        ("127.0.0.1", "short", False, "16"),
        ("127.0.0.1", None, False, None),
        ("::1", None, False, None),
        ("0.0.0.0", "0123456789abcdef", False, None),
        ("0.0.0.0", None, True, None),
    ],
)
def test_access(host, token, free, words):
    if words is None:
        check_access(host, token, free)
    else:
        with pytest.raises(eyespot.UserError, match=words):
            check_access(host, token, free)


def test_model_health_metrics_and_schema(client):
    model = client.get("/v1/model").json()
    assert model["metric"] == {"key": "accuracy", "name": "accuracy", "of": "test set"}
    assert model["classes"] == CLASSES and model["scores"]["accuracy"]["n"] == 200
    assert client.get("/healthz").json() == {"status": "ok"} and client.get("/readyz").status_code == 200
    assert client.get("/nothing").json()["error"]["status"] == 404
    post(client, png(0))
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    assert lines and all(line.startswith("eyespot_") for line in lines)
    schema = client.get("/openapi.json").json()
    assert {"/v1/predict", "/v1/model", "/healthz", "/readyz", "/metrics"} <= schema["paths"].keys()


def test_what_a_browser_may_load(client):
    response = client.get("/")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "http:" not in response.text and "https:" not in response.text


def test_clients_do_not_get_each_others_results(client):
    contents = [png(k) for k in range(4)]
    want = [post(client, c).json()["predictions"][0]["probabilities"] for c in contents]
    assert len({json.dumps(w) for w in want}) == 4
    wrong = []

    def ask(k: int) -> None:
        for _ in range(8):
            response = post(client, contents[k])
            if response.status_code != 503 and response.json()["predictions"][0]["probabilities"] != want[k]:
                wrong.append(k)

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def until_ready(base: str, process) -> None:
    for _ in range(600):
        assert process.poll() is None, process.communicate()
        try:
            urllib.request.urlopen(f"{base}/readyz", timeout=1)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError("it is not ready")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)], ids=["term", "int"]
)
def test_a_process_finishes_what_it_took_in(run, number):
    """A request whose body is still on its way when the signal arrives gets its prediction."""
    port = free_port()
    command = [sys.executable, "-m", "eyespot", "serve", str(run), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        until_ready(f"http://127.0.0.1:{port}", process)
        body = png(0)
        head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(head.encode() + body[:100])  # and goes away
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(head.encode() + body[:100])
            time.sleep(0.3)
            process.send_signal(number)
            time.sleep(0.3)
            connection.sendall(body[100:])
            response = b""
            while piece := connection.recv(65536):
                response += piece
        assert response.startswith(b"HTTP/1.1 200") and b'"label"' in response
        assert process.wait(20) == 0
        log = process.stderr.read()
        assert "stopped" in log and "bug" not in log and "Traceback" not in log, log
    finally:
        process.kill()
        process.communicate()


def test_refusals_of_the_command(cli, run, tmp_path):
    assert "--without-token" in one_sentence(cli("serve", run, "--host", "0.0.0.0"))
    assert "token file" in one_sentence(cli("serve", run, "--token-file", tmp_path / "none"))
    assert "NOTHING" in one_sentence(cli("serve", run, "--token-env", "NOTHING"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "--port" in one_sentence(cli("serve", run, "--port", taken.getsockname()[1]))


def tiff_without_rows(rows: int = 0) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((16, 16), np.uint16), metadata=None)
    with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as file:
        tag = file.pages.first.tags["ImageLength"]
        place, size = tag.valueoffset, 4
    content = bytearray(buffer.getvalue())
    content[place : place + size] = rows.to_bytes(size, "little")
    return bytes(content)


def test_an_image_without_rows_has_no_prediction(client, mask_client, run, tmp_path):
    """Neither of classes nor of masks, by whatever way it comes."""
    assert post(mask_client, tiff_without_rows(16)).status_code == 200
    for one in (client, mask_client):
        response = post(one, tiff_without_rows())
        assert response.status_code == 422 and "no values" in sentence(response)
    path = tmp_path / "x.tif"
    path.write_bytes(tiff_without_rows())
    with pytest.raises(eyespot.UserError, match="no values"):
        load(run)(path)
    request = WriteRequest("run", tmp_path / "out")
    assert "no values" in predictor_of_card(mask_card()).write([path], request).unread[str(path)]


def changed_bytes(rng: np.random.Generator) -> bytes:
    """A file of some kind with a few other bytes, or cut short."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((20, 26, 3), np.uint8))
    whole = [
        png(0),
        png(0, kind="JPEG"),
        png(0, kind="GIF"),
        tiff_with(64),
        tiff_without_rows(16),
        buffer.getvalue(),
    ]
    content = bytearray(whole[rng.integers(len(whole))])
    for _ in range(rng.integers(1, 6)):
        content[rng.integers(min(len(content), 400))] = rng.integers(256)
    return bytes(content[: rng.integers(1, len(content))] if rng.random() < 0.2 else content)


def test_damaged_files_are_no_bugs(client, mask_client):
    rng = np.random.default_rng(0)
    for _ in range(60):
        for one in (client, mask_client):
            content = changed_bytes(rng)
            response = post(one, content, path="/v1/predict?view=true")
            assert response.status_code in (200, 422), (content, response.text)


def test_the_server_needs_no_torch():
    code = "import sys, eyespot.serving.app, eyespot.serving.command, eyespot.serving.serve; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_a_form_that_is_cut_has_no_prediction(client):
    """Not even of the image that came whole: the client meant to send more."""
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    whole = head + png(0) + b"\r\n" + head + png(1) + b"\r\n--b--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert client.post("/v1/predict", content=whole, headers=kind).status_code == 200
    for end in (len(whole) - 6, len(whole) - 20, len(head + png(0)) + 5):
        response = client.post("/v1/predict", content=whole[:end], headers=kind)
        assert response.status_code == 400 and "cut short" in sentence(response)


def test_what_predict_warns_of_is_a_remark(client):
    grey, dark = post(client, png(0, (20, 26)), png(0)).json()["predictions"]
    assert any("grey" in remark for remark in grey["remarks"]) and not dark["remarks"]


class Gone:
    """A request whose client went away after it had sent an image."""

    headers = {"content-type": "image/png"}  # noqa: RUF012

    async def stream(self):
        yield png(0)

    async def is_disconnected(self):
        return True


def test_the_engine_does_nothing_for_a_client_that_went_away(service, monkeypatch):
    monkeypatch.setattr(predict, "read_content", lambda *_: pytest.fail("it was read"))
    with pytest.raises(ClientDisconnect):
        asyncio.run(Service(service.predictor, LIMITS).work(Gone(), predict.Predict(service.predictor)))


@pytest.mark.parametrize("torch", [True, False])
def test_what_serving_needs(monkeypatch, torch, run):
    from eyespot.serving import serve as module

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr("eyespot.missing.has_torch", lambda: torch)
    with pytest.raises(eyespot.UserError, match="eyespot.serve" if torch else "pip install fastapi uvicorn"):
        module.serve(run)


@pytest.mark.parametrize("limit", [{"seconds": float("inf")}, {"megabytes": float("nan")}, {"images": 0}])
def test_limits_are_numbers(limit):
    with pytest.raises(UserError, match="give a number above 0"):
        Limits(**limit)


def test_serving_takes_the_precision_of_predict(run):
    with pytest.raises(eyespot.UserError, match="--precision is for exported files"):
        eyespot.serve(run, precision="bf16")
