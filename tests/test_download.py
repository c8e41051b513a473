"""Published weights, fetched from a server of our own: checked, cached, resumed."""

import hashlib
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from eyespot.errors import UserError
from eyespot.models import create
from eyespot.weights import download, published


class Server(ThreadingHTTPServer):
    """Gives one file at any path, or as told: cut short so many times, without ranges, or another status."""

    file, cuts, ranges, status, chunked = b"", 0, True, 200, False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, str | None]] = []


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        s, wanted = self.server, self.headers["Range"]
        s.asked.append((self.path, wanted))
        if s.status != 200:
            return self.send_error(s.status)
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and s.ranges else 0
        if begin >= len(s.file):
            return self.send_error(416)
        self.send_response(206 if begin else 200)
        body = s.file[begin:]
        if not s.chunked:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        s.cuts -= 1
        self.wfile.write(body[: len(body) // 2] if s.cuts >= 0 else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create("small")


@pytest.fixture
def server(monkeypatch, tmp_path, model):
    server = Server()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    server.file = file.getvalue()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("EYESPOT_WEIGHTS_URL", f"http://127.0.0.1:{server.server_port}/models/")
    monkeypatch.setenv("EYESPOT_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setitem(published.DIGESTS, "small", hashlib.sha256(server.file).hexdigest()[:8])
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def same(network, model) -> bool:
    return all(map(torch.equal, network.state_dict().values(), model.state_dict().values()))


def path_of(tmp_path):
    return tmp_path / "weights" / f"small-{published.DIGESTS['small']}.pth"


def test_it_is_fetched_once_and_then_cached(server, model, tmp_path):
    for _ in range(2):
        assert same(create("small", weights="imagenet"), model)
    assert server.asked == [(f"/models/{path_of(tmp_path).name}", None)]
    record = path_of(tmp_path).with_name(f"{path_of(tmp_path).name}.sha256").read_text()
    assert record == f"{hashlib.sha256(server.file).hexdigest()}  {path_of(tmp_path).name}\n"
    assert len(list((tmp_path / "weights").iterdir())) == 2


def test_a_connection_that_breaks_is_taken_up_where_it_broke(server, model):
    server.cuts = 2
    assert same(create("small", weights="imagenet"), model)
    half = len(server.file) // 2
    quarter = (len(server.file) - half) // 2
    assert [r for _, r in server.asked] == [None, f"bytes={half}-", f"bytes={half + quarter}-"]


def test_a_later_command_goes_on_from_the_part(server, model, tmp_path):
    server.cuts = 99
    with pytest.raises(UserError, match=f"broke {download.TRIES} times; run the command again") as error:
        create("small", weights="imagenet")
    assert "\n" not in str(error.value) and not path_of(tmp_path).exists()
    done = path_of(tmp_path).with_name(f"{path_of(tmp_path).name}.part").stat().st_size
    assert done > 0.9 * len(server.file)
    server.cuts, server.asked = 0, []
    assert same(create("small", weights="imagenet"), model)
    assert [r for _, r in server.asked] == [f"bytes={done}-"]


def test_a_server_without_ranges_is_asked_for_the_whole_again(server, model):
    server.cuts, server.ranges = 1, False
    assert same(create("small", weights="imagenet"), model)
    assert [r is None for _, r in server.asked] == [True, False]


def test_a_server_that_tells_no_length_is_believed(server, model):
    server.chunked = True
    assert same(create("small", weights="imagenet"), model)


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, model, tmp_path):
    part = path_of(tmp_path).with_name(f"{path_of(tmp_path).name}.part")
    part.parent.mkdir()
    part.write_bytes(b"x" * (len(server.file) + 1))
    assert same(create("small", weights="imagenet"), model)


def test_another_file_is_refused_and_removed(server, tmp_path):
    server.file = server.file[:-1] + b"?"
    with pytest.raises(
        UserError, match=r"gave another file than was published .its SHA-256 begins with"
    ) as error:
        create("small", weights="imagenet")
    assert "\n" not in str(error.value) and not list((tmp_path / "weights").iterdir())


def test_a_cached_file_that_has_changed_is_fetched_again(server, model, tmp_path, capsys):
    create("small", weights="imagenet")
    path_of(tmp_path).write_bytes(b"?")
    assert same(create("small", weights="imagenet"), model)
    assert len(server.asked) == 2


@pytest.mark.parametrize("status,sentence", [(404, r"answered 404 \(Not Found\)"), (503, "answered 503")])
def test_a_refusal_of_the_server_is_one_sentence(server, status, sentence):
    server.status = status
    with pytest.raises(UserError, match=rf"small-.*\.pth {sentence}.*give a file of your own") as error:
        create("small", weights="imagenet")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "nowhere", "foo://x"])
def test_an_address_that_cannot_be_reached_is_one_sentence(server, monkeypatch, address):
    monkeypatch.setenv("EYESPOT_WEIGHTS_URL", address)
    with pytest.raises(UserError, match=rf"{address}/small-.*\.pth cannot be reached \(") as error:
        create("small", weights="imagenet")
    assert "\n" not in str(error.value)


def test_a_full_disk_is_one_sentence(server, tmp_path):
    (tmp_path / "weights").write_text("a file where the folder should be")
    with pytest.raises(
        UserError, match=r"cannot make the folder .*weights: .*; set EYESPOT_CACHE to a folder"
    ):
        create("small", weights="imagenet")
