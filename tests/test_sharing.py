"""Model cards, and repositories of the hub: a server of our own stands in for it."""

import base64
import hashlib
import json
import threading
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import eyespot
from conftest import one_sentence
from eyespot.errors import UserError
from eyespot.sharing.push import card_text
from eyespot.weights.card import Card, read_card, without_folders
from eyespot.weights.hub import reason

pytest.importorskip("huggingface_hub")
from huggingface_hub import constants


class Hub(ThreadingHTTPServer):
    """Keeps what is pushed, by repository and name."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.validated: list[str] = []
        self.status = 200


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def send(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self.chunks()
        if self.server.status != 200:
            return self.send({"error": "no"}, self.server.status)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'ann'}/{asked['name']}"
            self.server.repositories.setdefault(name, {})
            self.server.private[name] = asked.get("private", asked.get("visibility") == "private")
            return self.send({"url": f"{self.server.url}/{name}", "name": name})
        name = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            return self.send({"files": files})
        if "/validate-yaml" in self.path:
            self.server.validated.append(json.loads(body)["content"])
            return self.send({"errors": [], "warnings": []})
        assert "/commit/" in self.path, self.path
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.server.repositories[name][line["value"]["path"]] = base64.b64decode(
                    line["value"]["content"]
                )
        self.send({"commitUrl": f"{self.server.url}/{name}/commit/{'1' * 40}", "commitOid": "1" * 40})

    def chunks(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        words = self.path.partition("?")[0].strip("/").split("/")
        name = "/".join(words[2:4] if words[0] == "api" else words[:2])
        files = self.server.repositories.get(name)
        if files is None:
            return self.send({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        if "tree" in words:
            return self.send(
                [{"type": "file", "path": p, "size": len(c), "oid": "2" * 40} for p, c in files.items()]
            )
        if words[0] == "api":
            return self.send({"id": name, "sha": "1" * 40, "siblings": [{"rfilename": p} for p in files]})
        content = files.get("/".join(words[4:]))
        if content is None:
            return self.send({"error": "no"}, 404, X_Error_Code="EntryNotFound")
        self.send(content, ETag=f'"{hashlib.sha1(content).hexdigest()}"', X_Repo_Commit="1" * 40)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    server = Hub()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    for name in ("EYESPOT_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return eyespot.train(
        "digits", epochs=1, model="small_w16", out=tmp_path_factory.mktemp("runs") / "my run"
    )


def test_what_is_pushed_is_what_is_loaded(hub, run, cli):
    result = cli("push", run.folder, "ann/numbers")
    assert (result.code, result.out.strip()) == (0, f"{hub.url}/ann/numbers"), result
    assert set(hub.repositories["ann/numbers"]) == {"model.safetensors", "README.md"}
    assert hub.private["ann/numbers"]
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8), np.uint8)
    theirs = eyespot.load("hub:ann/numbers")(list(images))
    assert [p.probabilities for p in theirs] == [p.probabilities for p in run.predict(list(images))]


def test_an_exported_file_is_pushed_as_it_is(hub, run, tmp_path):
    pytest.importorskip("onnxscript")
    eyespot.export(run.folder, tmp_path / "numbers.onnx")
    eyespot.push(tmp_path / "numbers.onnx", "ann/file")
    assert hub.repositories["ann/file"]["model.onnx"] == (tmp_path / "numbers.onnx").read_bytes()
    assert str(run.folder).encode() not in hub.repositories["ann/file"]["model.onnx"]
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8), np.uint8)
    for theirs, ours in zip(
        eyespot.load("hub:ann/file")(list(images)), run.predict(list(images)), strict=True
    ):
        assert theirs.label == ours.label
        assert theirs.probability == pytest.approx(ours.probability, abs=1e-4)


def test_an_exported_file_of_the_hub_is_a_file_everywhere(hub, run, cli, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    eyespot.push(run.folder, "ann/numbers")
    exported = cli("export", "hub:ann/numbers")
    assert exported.code == 0, exported.err
    assert (tmp_path / "numbers.onnx").exists()
    eyespot.push("numbers.onnx", "ann/file")
    assert cli("verify", "hub:ann/file").code == 0
    assert cli("card", "hub:ann/file").out.count("# file") == 1
    assert cli("push", "hub:ann/file", "bob/copy").code == 0
    assert hub.repositories["bob/copy"]["model.onnx"] == (tmp_path / "numbers.onnx").read_bytes()
    assert "exported already" in one_sentence(cli("export", "hub:ann/file"))


def test_a_repository_is_public_only_if_asked(hub, run, cli):
    cli("push", run.folder, "ann/open", "--public")
    assert not hub.private["ann/open"]


def test_no_path_of_this_machine_is_pushed(hub, run, tmp_path):
    eyespot.push(run.folder, "ann/numbers")
    for content in hub.repositories["ann/numbers"].values():
        assert str(run.folder).encode() not in content


@pytest.mark.parametrize("path", ["/home/ann/secret/data", "C:\\Users\\ann\\secret\\data", "data"])
def test_paths_in_a_card_are_cut_to_their_name(path):
    card = Card("small", {}, ["a"], {}, plan={"data": path, "start_from": path, "model": "small"})
    assert without_folders(card).plan == {"data": "data", "start_from": "data", "model": "small"}


def test_networks_of_the_hub_are_a_run_everywhere(hub, run, cli, tmp_path):
    eyespot.push(run.folder, "ann/numbers")
    assert cli("evaluate", "hub:ann/numbers", "digits").code == 0
    assert cli("inspect", "hub:ann/numbers").code == 0


def test_what_is_cached_is_used_without_a_connection(hub, run, monkeypatch):
    eyespot.push(run.folder, "ann/numbers")
    eyespot.load("hub:ann/numbers")
    hub.repositories.clear()
    monkeypatch.setenv("EYESPOT_OFFLINE", "1")
    with pytest.raises(UserError, match="nothing is sent to ann/numbers"):
        eyespot.push(run.folder, "ann/numbers")
    assert eyespot.load("hub:ann/numbers").classes == run.predictor.classes
    with pytest.raises(UserError, match="EYESPOT_OFFLINE"):
        eyespot.load("hub:ann/others")


def test_what_cannot_be_had_is_one_sentence(hub, run, cli):
    hub.repositories["ann/empty"] = {"README.md": b"nothing"}
    assert "check the name" in one_sentence(cli("predict", "hub:ann/absent", "x.png"))
    assert "no model of eyespot" in one_sentence(cli("predict", "hub:ann/empty", "x.png"))
    assert "owner/name" in one_sentence(cli("predict", "hub:a b/c", "x.png"))
    assert reason(OSError("[Errno -2] Name or service not known")).startswith("the address of the hub is not")
    hub.status = 403
    assert "403" in one_sentence(cli("push", run.folder, "bob/numbers"))


def test_the_model_card_says_what_was_measured(run, cli, tmp_path):
    text = card_text(run.folder)
    card = read_card(run.folder / "model.safetensors")
    accuracy = card.scores["accuracy"]
    assert f"| accuracy | {100 * accuracy['value']:.1f}% (" in text
    assert f"| {accuracy['n']} |" in text
    assert 'pipeline_tag: "image-classification"' in text
    assert "validation set" in text
    assert "eyespot predict '" in text  # a path with a space is quoted
    out = tmp_path / "README.md"
    assert cli("card", run.folder, "-o", out).code == 0
    assert out.read_text() == text
    assert "exists" in one_sentence(cli("card", run.folder, "-o", out))


def test_names_of_classes_are_no_markup(run):
    from eyespot.sharing.model_card import model_card

    card = Card("small", {}, ["<b>", "a|b", "x\ny"], {"dim": 3}, scores={})
    text = model_card(card, "t", "t")
    assert "\\<b\\>, a\\|b, x y" in text
    assert "pipeline_tag" not in text
    assert not fnmatch(text, "*<b>*")
    assert "not evaluated" in text
