"""Published weights, fetched from a server of our own: checked, cached, resumed."""

import hashlib
import io
import json
import re
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from conftest import one_sentence
from eyespot.errors import UserError
from eyespot.files import locked
from eyespot.models import create
from eyespot.weights import attempt, download, published
from eyespot.weights.published import fetch_in_time


class Server(ThreadingHTTPServer):
    """Gives one file at any path, or as told: cut short so many times, without ranges, another status, slowly.

    silence   seconds before each answer
    rate      bytes per second
    stall     seconds after half of the file
    """

    file, cuts, ranges, status, chunked = b"", 0, True, 200, False
    silence, rate, stall = 0.0, float("inf"), 0.0

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, str | None]] = []


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        s, wanted = self.server, self.headers["Range"]
        s.asked.append((self.path, wanted))
        time.sleep(s.silence)
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
        body = body[: len(body) // 2] if s.cuts >= 0 else body
        if s.stall:
            self.wfile.write(body[: len(body) // 2])
            time.sleep(s.stall)
            body = b""
        if s.rate == float("inf"):
            return self.wfile.write(body)
        step = max(1, int(s.rate / 20))
        with suppress(OSError):
            for begin in range(0, len(body), step):
                self.wfile.write(body[begin : begin + step])
                time.sleep(0.05)

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
    monkeypatch.delenv("EYESPOT_OFFLINE")
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


def test_without_a_network_nothing_is_asked_for(server, model, monkeypatch, tmp_path):
    monkeypatch.setenv("EYESPOT_OFFLINE", "1")
    with pytest.raises(
        UserError, match=r"small-.*\.pth is missing or damaged, and EYESPOT_OFFLINE is set: unset it, or copy"
    ):
        create("small", weights="imagenet")
    assert not server.asked
    path_of(tmp_path).parent.mkdir(exist_ok=True)
    path_of(tmp_path).write_bytes(server.file)
    assert same(create("small", weights="imagenet"), model)
    monkeypatch.setenv("EYESPOT_OFFLINE", "0")
    path_of(tmp_path).unlink()
    assert same(create("small", weights="imagenet"), model)


@pytest.mark.parametrize("record", ["", "0" * 64, "its own"])
def test_a_damaged_record_does_not_pass_a_damaged_file(server, model, tmp_path, record):
    create("small", weights="imagenet")
    if record == "its own":
        record = hashlib.sha256(server.file + b"?").hexdigest()
    path_of(tmp_path).with_name(f"{path_of(tmp_path).name}.sha256").write_text(record)
    path_of(tmp_path).write_bytes(server.file + b"?")
    assert same(create("small", weights="imagenet"), model)
    assert path_of(tmp_path).read_bytes() == server.file


def test_two_commands_do_not_write_one_file(server, tmp_path):
    with (
        locked(tmp_path / "weights"),
        pytest.raises(UserError, match="another command is fetching weights into"),
    ):
        create("small", weights="imagenet")


def test_what_torchvision_has_fetched_is_used_where_it_lies(server, model, monkeypatch, tmp_path):
    theirs = tmp_path / "torch" / "hub" / "checkpoints" / path_of(tmp_path).name
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(server.file)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert same(create("small", weights="imagenet"), model) and published.location("small") == theirs
    assert not server.asked and not path_of(tmp_path).exists()
    theirs.write_bytes(b"?")
    assert same(create("small", weights="imagenet"), model) and published.location("small") == path_of(
        tmp_path
    )


def test_a_quick_server_is_in_time(server, tmp_path):
    assert fetch_in_time("small") == path_of(tmp_path)
    assert fetch_in_time("small") == path_of(tmp_path) and len(server.asked) == 1


def refused(most: float = attempt.MOST) -> tuple[str, float]:
    """Why a fetch was given up, and after how many seconds."""
    start = time.monotonic()
    with pytest.raises(published.Unavailable) as error:
        fetch_in_time("small", most)
    return error.value.reason, time.monotonic() - start


def test_a_silent_server_is_not_waited_for(server, monkeypatch):
    monkeypatch.setattr(attempt, "ANSWER", 0.3)
    server.silence = 2.5
    reason, seconds = refused()
    assert reason == "no answer within 0.3 seconds" and seconds < 2


def test_a_name_that_is_not_looked_up_is_not_waited_for(server, monkeypatch):
    """The timeout of a connection does not hold for that."""
    monkeypatch.setattr(attempt, "ANSWER", 0.3)
    monkeypatch.setattr(download, "urlopen", lambda *_, **__: time.sleep(2.5))
    reason, seconds = refused()
    assert reason == "no answer within 0.3 seconds" and seconds < 2


def test_a_slow_server_is_given_up_after_its_first_second(server, tmp_path):
    server.rate = len(server.file) / 60
    reason, seconds = refused()
    assert reason.startswith("it would take about ") and 50 < int(reason.split()[4]) < 75 and seconds < 2
    time.sleep(0.3)
    assert not path_of(tmp_path).exists()
    server.rate = float("inf")
    assert fetch_in_time("small") == path_of(tmp_path)


def test_a_server_that_stops_in_between_is_given_up(server):
    server.stall = 3.0
    reason, seconds = refused(most=1.5)
    assert re.match(r"it would take about \d seconds", reason) and seconds < 2.5


@pytest.mark.parametrize(
    "fault,reason",
    [
        ({"status": 404}, "the server answered 404"),
        ({"cuts": 99}, "the connection broke again and again"),
        ({"file": b"<html>log in to this network</html>"}, "the server gave another file than was published"),
    ],
)
def test_faults_end_at_once_and_leave_nothing_that_looks_whole(server, tmp_path, fault, reason):
    for name, value in fault.items():
        setattr(server, name, value)
    assert refused()[0] == reason
    assert not path_of(tmp_path).exists()


def test_fetch_and_list(cli, server, tmp_path):
    path = path_of(tmp_path)
    assert f"small {0:>8}  {published.DIGESTS['small']}...  no".split() == row(cli, "small")
    assert cli("weights", "fetch", "small").out == f"{path}\n"
    assert json.loads(cli("weights", "fetch", "small", "--json").out)["files"] == {"small": str(path)}
    assert row(cli, "small")[-1] == "yes" and row(cli, "resnet50") == ["resnet50", "98", "0676ba61...", "no"]
    path.write_bytes(b"?")
    assert row(cli, "small")[-1] == "damaged"
    assert cli("weights", "fetch", "small", "--quiet").err == ""
    listed = json.loads(cli("weights", "list", "--json").out)
    small = next(entry for entry in listed["weights"] if entry["network"] == "small")
    assert small["cached"] == "yes" and small["file"] == str(path) and listed["folder"] == str(path.parent)


def row(cli, name: str) -> list[str]:
    """The words of a network's line in the list."""
    return next(
        line.split() for line in cli("weights", "list").out.splitlines() if line.startswith(f"{name} ")
    )


def test_what_cannot_be_fetched_has_an_exit_code(cli, server, monkeypatch):
    assert "no weights are published for 'resnet81'; did you mean 'resnet18'?" in one_sentence(
        cli("weights", "fetch", "small", "resnet81")
    )
    assert not server.asked
    both = cli("weights", "fetch", "small", "resnet18")  # the server gives one file for any name
    assert (
        both.code == 1
        and both.out.endswith(".pth\n")
        and "resnet18-f37072fd.pth gave another file" in both.err
    )
    server.status = 503
    assert "answered 503" in one_sentence(cli("weights", "fetch", "resnet18"))


def test_the_tests_cannot_reach_a_network():
    with pytest.raises(AssertionError, match=r"reaches for the network: download\.pytorch\.org"):
        download.connect(f"{download.ADDRESS}/x", 0, 1)
