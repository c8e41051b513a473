"""What .ci/install runs: what the wheel holds, and what `eyespot` of a slim environment predicts and serves.

    python tests/installed.py FOLDER predict|serve

FOLDER has dist/ and from-sdist/ with the wheels, and slim/, the environment.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from exported import preprocessing, write_run
from eyespot.onnx_file.export import export
from eyespot.prediction.load import load

ROOT = Path(__file__).parents[1]
TOKEN = "a token of the test"


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.startswith("eyespot/")}


def check_wheels(folder):
    """The wheel has every file of the package that git knows and no other, and so has the one made from the sdist."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = {name.removeprefix("src/") for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    (wheel,) = (folder / "dist").glob("*.whl")
    (second,) = (folder / "from-sdist").glob("*.whl")
    held = contents(wheel)
    assert held.keys() == expected, held.keys() ^ expected
    assert held == contents(second), "the wheel made from the sdist differs"


def eyespot(folder, *arguments):
    """The command of the slim environment, finished."""
    program = folder / "slim" / "bin" / "eyespot"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["EYESPOT_CACHE"] = str(folder / "cache")
    done = subprocess.run(
        [program, *map(str, arguments)], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_files(folder):
    """A run, its exported file and some images."""
    write_run(folder / "classes", "small", preprocessing(), widths=(8, 16))
    export(folder / "classes", folder / "classes.onnx")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for k, size in enumerate(((16, 16), (40, 23), (64, 90))):
        pixels = rng.integers(0, 256, (*size, 3), np.uint8)
        for ending in ("png", "jpg", "tif", "webp", "bmp"):
            Image.fromarray(pixels).save(folder / "images" / f"{k}-{ending}.{ending}")


def check_predictions(folder):
    """Labels are the run's, and probabilities to 1e-5; tests/test_slim.py compares more kinds of files."""
    missing = (
        "import importlib.util as u; print([n for n in ('torch', 'scipy', 'tifffile') if u.find_spec(n)])"
    )
    python = folder / "slim" / "bin" / "python"
    assert subprocess.check_output([python, "-c", missing], text=True).strip() == "[]"
    assert "the certificate holds" in eyespot(folder, "verify", "classes.onnx")
    files = sorted((folder / "images").iterdir())
    lines = eyespot(folder, "predict", "classes.onnx", *files, "--format", "jsonl", "-q").splitlines()
    for line, expected in zip(map(json.loads, lines), load(folder / "classes")(files), strict=True):
        assert line["label"] == expected.label
        for name, probability in expected.probabilities.items():
            assert abs(line["probabilities"][name] - probability) < 1e-5


def check_server(folder):
    """It starts as in the Dockerfile, is healthy, predicts for who has the token, and stops when asked to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", "classes.onnx", "--host", "0.0.0.0", "--port", port, "--token-env", "EYESPOT_TOKEN"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"EYESPOT_TOKEN": TOKEN}
    program = folder / "slim" / "bin" / "eyespot"
    process = subprocess.Popen([program, *map(str, words)], env=environment, cwd=folder)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/healthz")
        file = folder / "images" / "1-png.png"
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/png"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/predict", file.read_bytes(), headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            (prediction,) = json.load(response)["predictions"]
        (expected,) = load(folder / "classes")([file])
        assert prediction["label"] == expected.label
        assert abs(prediction["probability"] - expected.probability) < 1e-5
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()


def wait_until_healthy(address):
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{address} does not respond")


def main(folder, what):
    os.environ["EYESPOT_CACHE"] = str(folder / "full-cache")
    if what == "predict":
        check_wheels(folder)
        make_files(folder)
        check_predictions(folder)
    else:
        check_server(folder)
    print(f"{what}: the slim environment does what this one does")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
