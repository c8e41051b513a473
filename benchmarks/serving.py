"""`eyespot serve` under load: throughput against FastAPI with torch eager one at a time, and a mix with malformed requests.

    python benchmarks/serving.py                    ResNet-18 at 224, random weights, exported: ratio, p50 and p99
    python benchmarks/serving.py FILE_OR_RUN        the same of a file or run, whose predictions are compared with `predict`
    python benchmarks/serving.py --mixed 120        requests of which 5% are malformed, for 120 seconds

Servers run in processes of their own, one after the other and interleaved; clients are threads of this one. On a busy
machine only the ratio means something.
"""

import argparse
import http.client
import io
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = [f"class {k}" for k in range(10)]
READING = dict(
    size=224,
    fit="crop",
    channels=3,
    accepts=[3],
    depth="uint8",
    side=224,
    mean=[124.0, 116.0, 104.0],
    std=[58.0, 57.0, 57.0],
    scaling="none",
)
BASELINE = """
import io, sys, threading
import torch, uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image
import numpy as np
from eyespot.prediction.load import load
from eyespot.prediction.load_torch import load_network
card, network = load_network(sys.argv[1])
network.eval()
mean, std = (torch.tensor(card.preprocessing[k])[:, None, None] for k in ("mean", "std"))
side = card.preprocessing["side"]
lock = threading.Lock()
app = FastAPI()

@app.post("/predict")
def predict(image: UploadFile):
    picture = Image.open(image.file).convert("RGB")
    scale = side / min(picture.size)
    picture = picture.resize([max(side, round(n * scale)) for n in picture.size], Image.Resampling.BILINEAR)
    left, top = ((n - side) // 2 for n in picture.size)
    x = torch.from_numpy(np.array(picture.crop((left, top, left + side, top + side)))).permute(2, 0, 1)
    with lock, torch.inference_mode():
        p = network(((x - mean) / std)[None]).softmax(1)[0]
    return {"label": card.classes[int(p.argmax())], "probability": float(p.max())}

uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="a run folder or an exported file")
    parser.add_argument("--engine", help="onnxruntime or openvino")
    parser.add_argument("--precision", help="bf16, with --engine openvino")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=320, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--mixed", type=float, default=0, help="seconds of mixed load, in place of the comparison"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = untrained(Path(folder))
        model = options.model or exported(run)
        if options.mixed:
            mixed(model, options)
        else:
            compare(model, run, options)


def untrained(folder: Path) -> Path:
    """A run folder of a ResNet-18 at 224 with random weights."""
    import torch

    from eyespot.models import create
    from eyespot.weights.card import Card, write_model

    torch.manual_seed(0)
    card = Card("resnet18", {}, CLASSES, READING)
    network = create("resnet18", classes=len(CLASSES), channels=3)
    run = folder / "resnet18"
    run.mkdir()
    write_model(run / "model.safetensors", network.state_dict(), card)
    return run


def exported(run: Path) -> Path:
    import eyespot

    print("exporting")
    eyespot.export(run, run.parent / "resnet18.onnx")
    return run.parent / "resnet18.onnx"


def photos(n: int, seed: int = 0) -> list[bytes]:
    """JPEGs of 500 x 375 pixels with structure of several sizes."""
    rng = np.random.default_rng(seed)
    contents = []
    for _ in range(n):
        picture = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(
            (500, 375), Image.Resampling.BICUBIC
        )
        noisy = np.asarray(picture, np.int16) + rng.normal(0, 8, (375, 500, 3)).astype(np.int16)
        buffer = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        contents.append(buffer.getvalue())
    return contents


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@contextmanager
def server(command: list[str], port: int):
    """A process that listens."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
    reader.start()
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit("".join(lines))
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield process, lines
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def ours(model, engine: str | None = None, precision: str | None = None):
    port = free_port()
    command = [sys.executable, "-m", "eyespot", "serve", str(model), "--port", str(port), "--requests", "64"]
    command += ["--engine", engine] if engine else []
    command += ["--precision", precision] if precision else []
    with server(command, port) as (process, lines):
        yield port, process, lines


@contextmanager
def baseline(run: Path):
    port = free_port()
    with server([sys.executable, "-c", BASELINE, str(run), str(port)], port):
        yield port


def form(contents: list[bytes], field: str = "image") -> tuple[bytes, str]:
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="{k}.jpg"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for k, content in enumerate(contents)
    ]
    return b"".join(parts) + b"--b--\r\n", "multipart/form-data; boundary=b"


def ask(connection: http.client.HTTPConnection, path: str, contents: list[bytes]) -> tuple[int, dict]:
    body, kind = form(contents)
    connection.request("POST", path, body, {"Content-Type": kind})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def load_on(
    port: int, path: str, contents: list[bytes], clients: int, requests: int
) -> tuple[float, list[float]]:
    """Requests per second, and the seconds of each, of clients that ask one after the other."""
    seconds: list[float] = []
    numbers = iter(range(requests))
    lock = threading.Lock()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                k = next(numbers, None)
            if k is None:
                return
            start = time.perf_counter()
            status, _ = ask(connection, path, [contents[k % len(contents)]])
            assert status == 200, status
            seconds.append(time.perf_counter() - start)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return requests / (time.perf_counter() - start), seconds


def compare(model, run: Path, options) -> None:
    """Interleaved rounds of both servers."""
    contents = photos(32)
    rates: dict[str, list[float]] = {"eyespot": [], "baseline": []}
    times: dict[str, list[float]] = {"eyespot": [], "baseline": []}
    with ours(model, options.engine, options.precision) as (port, _, _), baseline(run) as other:
        for port_, path in ((port, "/v1/predict"), (other, "/predict")):
            load_on(port_, path, contents, options.clients, 2 * options.clients)  # warm
        for _ in range(options.rounds):
            for name, port_, path in (("eyespot", port, "/v1/predict"), ("baseline", other, "/predict")):
                rate, seconds = load_on(port_, path, contents, options.clients, options.requests)
                rates[name].append(rate)
                times[name] += seconds
    for name, all_seconds in times.items():
        p50, p99 = (float(np.quantile(all_seconds, q)) for q in (0.5, 0.99))
        each = ", ".join(f"{r:.1f}" for r in rates[name])
        print(
            f"{name:<9} {each} requests/s; p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms ({p99 / p50:.1f} x p50)"
        )
    ratios = [a / b for a, b in zip(rates["eyespot"], rates["baseline"], strict=True)]
    print(f"ratio     {', '.join(f'{r:.2f}' for r in ratios)}; median {statistics.median(ratios):.2f}")


def expected(model, engine: str | None, contents: list[bytes], folder: Path) -> list[dict]:
    """What `predict` says of each."""
    from eyespot.prediction.load import load

    predictor = load(model, engine=engine)
    paths = [folder / f"{k}.jpg" for k in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return [predictor(path)[0].probabilities for path in paths]


def mixed(model, options) -> None:
    """Clients that send good and, one time in twenty, malformed requests, until the time is over."""
    contents = photos(24)
    with tempfile.TemporaryDirectory() as folder:
        want = expected(model, options.engine, contents, Path(folder))
    counts: Counter = Counter()
    wrong: list = []
    memory: list[float] = []
    with ours(model, options.engine) as (port, process, lines):
        end = time.monotonic() + options.mixed
        threads = [
            threading.Thread(target=mixed_client, args=(port, k, contents, want, end, counts, wrong))
            for k in range(options.clients)
        ]
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            time.sleep(1)
            memory.append(resident(process.pid))
        for thread in threads:
            thread.join()
        alive = process.poll() is None
    quarter = max(1, len(memory) // 4)
    early, late = statistics.mean(memory[quarter : 2 * quarter]), statistics.mean(memory[-quarter:])
    print(f"{sum(counts.values()):,} requests: {dict(sorted(counts.items()))}")
    print(
        f"wrong predictions {len(wrong)} {wrong[:2]}; bugs {sum('bug' in line for line in lines)}; alive {alive}"
    )
    print(
        f"memory of the second quarter {early:.0f} MB, of the last {late:.0f} MB ({100 * (late / early - 1):+.1f}%)"
    )


def resident(pid: int) -> float:
    """Megabytes in memory."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def mixed_client(port, seed, contents, want, end, counts, wrong) -> None:
    rng = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while time.monotonic() < end:
        if rng.random() < 0.05:
            kind = rng.choice([cut, fuzzed, huge_header, no_form, half_form, bomb])
            counts[f"{kind.__name__} {kind(port, rng, contents)}"] += 1
            continue
        chosen = [rng.randrange(len(contents)) for _ in range(rng.choice([1, 1, 1, 2, 4]))]
        bad = rng.random() < 0.1
        sent = [contents[k] for k in chosen] + [b"not an image"] * bad
        try:
            status, document = ask(connection, "/v1/predict", sent)
        except (http.client.HTTPException, OSError) as error:
            counts[f"lost {type(error).__name__}"] += 1
            connection.close()
            continue
        counts[f"good {status}"] += 1
        if status in (200, 422):
            got = [p.get("probabilities") for p in document["predictions"]]
            if got != [want[k] for k in chosen] + [None] * bad or (status == 422) != bad:
                wrong.append((chosen, bad, document))


def raw(port: int, head: str, body: bytes, close_early: bool = False) -> str:
    """Bytes to the server; the status of what comes back."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(head.encode("latin-1") + body)
            if close_early:
                return "cut"
            line = connection.makefile("rb").readline().split()
            return line[1].decode() if len(line) > 1 else "closed"
    except OSError:
        return "closed"


def head_of(length: int, kind: str, more: str = "") -> str:
    return f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n"


def cut(port, rng, contents) -> str:
    """A connection that ends in the middle of an image."""
    body, kind = form([rng.choice(contents)])
    return raw(port, head_of(len(body), kind), body[: rng.randrange(len(body))], close_early=True)


def fuzzed(port, rng, contents) -> str:
    """An image with changed bytes."""
    content = bytearray(rng.choice(contents))
    for _ in range(rng.randrange(1, 200)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    body, kind = form([bytes(content)])
    return raw(port, head_of(len(body), kind), body)


def huge_header(port, rng, contents) -> str:
    body, kind = form([rng.choice(contents)])
    return raw(port, head_of(len(body), kind, f"X-Large: {'x' * 200_000}\r\n"), body)


def no_form(port, rng, contents) -> str:
    body = rng.randbytes(rng.randrange(2000))
    return raw(port, head_of(len(body), "multipart/form-data; boundary=b"), body)


def half_form(port, rng, contents) -> str:
    body, kind = form([rng.choice(contents)] * 3)
    body = body[: rng.randrange(len(body))]
    return raw(port, head_of(len(body), kind), body)


def bomb(port, rng, contents) -> str:
    """A PNG that claims 30,000 x 30,000 pixels."""
    content = (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (30_000).to_bytes(4) * 2 + b"\x08\x02\0\0\0" + rng.randbytes(50)
    )
    body, kind = form([content])
    return raw(port, head_of(len(body), kind), body)


if __name__ == "__main__":
    main()
