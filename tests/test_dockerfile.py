"""The Dockerfile: what it copies exists, what it runs are options that exist, and it does not run as root."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from eyespot.cli import app
from eyespot.serving.command import app as serve_app
from eyespot.serving.protect import OPEN

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
_, *STAGES = re.split(r"^FROM ", TEXT, flags=re.MULTILINE)
LAST = STAGES[-1]
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()


def lines_of(word, text=TEXT):
    return re.findall(rf"^{word} (.*)$", text, re.MULTILINE)


def test_what_is_copied_exists_and_is_sent():
    sources = [
        source
        for line in lines_of("COPY")
        if not line.startswith("--from")
        for source in shlex.split(line)[:-1]
    ]
    assert {"src", "requirements", "constraints.txt", "pyproject.toml"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in IGNORED, source
    assert IGNORED[0] == "*"


def test_what_the_build_reads_is_copied():
    """README and LICENSE, which pyproject.toml names."""
    project = (ROOT / "pyproject.toml").read_text()
    named = [re.search(r'^readme = "(.*)"', project, re.MULTILINE)[1]]
    named += json.loads(re.search(r"^license-files = (.*)$", project, re.MULTILINE)[1])
    assert set(named) <= set(shlex.split(" ".join(lines_of("COPY", STAGES[0]))))


def test_requirements_that_are_installed_exist():
    (file,) = re.findall(r"-r /install/(\S+)", LAST)
    assert (ROOT / file).exists()
    assert "--no-deps /install/wheels" in LAST


def test_the_command_is_one_that_eyespot_has():
    entry = json.loads(lines_of("ENTRYPOINT")[0])
    words = json.loads(lines_of("CMD")[0])
    assert entry == ["eyespot"]
    assert words[0] in get_command(app).commands
    command = get_command(serve_app)
    context = command.make_context("serve", words[1:])
    assert context.params["run"] == "/model.onnx"
    assert context.params["host"] == "0.0.0.0"
    assert str(context.params["port"]) in lines_of("EXPOSE")
    assert context.params["token_env"] == "EYESPOT_TOKEN"


def test_health_is_asked_at_a_path_that_needs_no_token():
    (check,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", TEXT, re.MULTILINE)
    words = json.loads(check)
    assert words[:2] == ["python", "-c"]
    compile(words[2], "HEALTHCHECK", "exec")
    (path,) = re.findall(r"http://127\.0\.0\.1:8000(/\w+)", words[2])
    assert path in OPEN


def test_it_is_not_root():
    (user,) = lines_of("USER", LAST)
    assert user not in ("root", "0")
    assert re.search(rf"useradd .*{user}", LAST)
    assert LAST.index("useradd") < LAST.index("USER ") < LAST.index("ENTRYPOINT")


@pytest.mark.parametrize("stage", STAGES)
def test_python_is_one_that_is_supported(stage):
    version = re.match(r"python:(\d+\.\d+)-slim", stage)[1]
    assert f"Python :: {version}" in (ROOT / "pyproject.toml").read_text()
