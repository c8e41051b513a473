"""Fixtures shared by the tests: a cache of their own, no network, small data sets, and the real command line."""

import os
import shutil
import socket
import tempfile
from dataclasses import dataclass

os.environ["EYESPOT_CACHE"] = tempfile.mkdtemp(prefix="eyespot-test-cache-")
os.environ["TORCH_HOME"] = os.environ["EYESPOT_CACHE"]
os.environ["EYESPOT_OFFLINE"] = "1"  # for the commands that tests start, too
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image


def pytest_unconfigure():
    shutil.rmtree(os.environ["EYESPOT_CACHE"], ignore_errors=True)


LOCAL = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Nothing but this machine can be looked up or reached, whatever the code under test tries."""

    def only_local(function, host_of):
        def checked(*arguments, **keywords):
            host = host_of(arguments)
            assert host is None or host in LOCAL, f"a test reaches for the network: {host}"
            return function(*arguments, **keywords)

        return checked

    def host_of_address(arguments):
        address = arguments[1]
        return address[0] if isinstance(address, tuple) else None

    monkeypatch.setattr(socket, "getaddrinfo", only_local(socket.getaddrinfo, lambda a: a[0]))
    for method in ("connect", "connect_ex"):
        monkeypatch.setattr(
            socket.socket, method, only_local(getattr(socket.socket, method), host_of_address)
        )


@pytest.fixture(autouse=True)
def not_quiet():
    """A command with --quiet in one test does not silence those after it."""
    yield
    from eyespot.console import quiet

    quiet(False)


@dataclass
class Result:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys, monkeypatch):
    """Run `eyespot ...` in this process, through the entry point that the installed command calls."""
    from eyespot import cli as module

    def run(*arguments) -> Result:
        monkeypatch.setattr("sys.argv", ["eyespot", *map(str, arguments)])
        monkeypatch.setattr(module, "START", module.time.monotonic())
        capsys.readouterr()
        try:
            module.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


def one_sentence(result: Result) -> str:
    """Check that a refusal is exit code 2 and one line without a traceback; return the line."""
    assert result.code == 2, result
    lines = [line for line in result.err.splitlines() if line.startswith("eyespot: ")]
    assert len(lines) == 1 and "Traceback" not in result.err, result.err
    return lines[0]


def texture(kind: int, rng: np.random.Generator, size: int = 24, channels: int = 3) -> np.ndarray:
    """Stripes whose direction is the class: 0 horizontal, 1 vertical, 2 diagonal. (size, size, channels) uint8"""
    y, x = np.mgrid[:size, :size]
    wave = np.sin((y, x, x + y)[kind] * rng.uniform(0.8, 1.2) + rng.uniform(0, 6))
    colour = rng.uniform(60, 120, channels)
    return np.clip(128 + wave[..., None] * colour + rng.normal(0, 12, (size, size, channels)), 0, 255).astype(
        np.uint8
    )


def write_set(root, per_class: int = 20, channels: int = 3, kinds: int = 3, seed: int = 0):
    """A folder per class of textures as PNG."""
    rng = np.random.default_rng(seed)
    for kind in range(kinds):
        folder = root / ("rows", "columns", "diagonals")[kind]
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            image = texture(kind, rng, channels=channels)
            Image.fromarray(image if channels == 3 else image[..., 0]).save(folder / f"{i:03}.png")
    return root


@pytest.fixture
def photos(tmp_path):
    return write_set(tmp_path / "photos")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run trained on textures, and the folder that it was trained on."""
    import eyespot

    root = tmp_path_factory.mktemp("trained")
    data = write_set(root / "textures", per_class=30)
    return eyespot.train(data, epochs=8, batch=16, augment="none", out=root / "run"), data
