"""Accuracy on the same images after the same minutes: eyespot, fastai, timm and a plain torchvision loop.

    ENV/bin/python benchmarks/accuracy_in_time.py DATA --minutes 1 3 10 30 --seeds 3 --results FILE
    ENV/bin/python benchmarks/accuracy_in_time.py DATA --show --results FILE

eyespot and the other libraries are installed in the same environment. DATA is a folder of class folders, such as
CIFAR-10's. A fifth of each class is for testing, always the same images. eyespot is `eyespot train CSV --minutes M
--start-from none --seed S`, as the other libraries start from nothing too; the CSV names these images `val`, so that it
trains on all other images, as they do. They do not choose the network (docs/decisions/0002). eyespot's cache is empty
at the start of each run. `peer_training.py` describes how the other libraries train.

The time is that of the whole command: start of Python, reading, training and evaluation. Runs are interleaved: for
each seed and time, all of --who, one after the other. Each result is appended to FILE as a line of JSON. Runs that are
already in FILE are skipped, so that the work can be split. `--busy-from 0.5` keeps one core busy with another process
from half of the time on.
"""

import argparse
import csv
import json
import math
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from threading import Timer
from time import monotonic, time

WHO = ("eyespot", "fastai", "timm", "torchvision")
KEYS = ("who", "minutes", "seed", "busy_from")
BUSY = [sys.executable, "-I", "-S", "-c", "while True: pass"]


def make_split(data: Path, folder: Path) -> None:
    """split.csv and links train/CLASS/FILE, val/CLASS/FILE: a fifth of each class is val."""
    rows = []
    for kind in sorted(p for p in data.resolve().iterdir() if p.is_dir()):
        files = sorted(kind.iterdir())
        validation = set(random.Random(0).sample(files, len(files) // 5))
        rows += [(path, kind.name, "val" if path in validation else "train") for path in files]
    for path, label, split in rows:
        path.read_bytes()  # now the system has all files in memory, for every run
        place = folder / split / label
        place.mkdir(parents=True, exist_ok=True)
        (place / path.name).symlink_to(path)
    with (folder / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])


def command_of(who: str, split: Path, minutes: float, seed: int, out: Path, side: int) -> list:
    if who == "eyespot":
        train = [sys.executable, "-m", "eyespot", "train", split / "split.csv", "--minutes", minutes]
        return [*train, "--start-from", "none", "--seed", seed, "--out", out / "run", "--json"]
    script = Path(__file__).with_name("peer_training.py")
    return [
        sys.executable,
        script,
        who,
        split,
        "--end",
        time() + 60 * minutes,
        "--seed",
        seed,
        "--side",
        side,
    ]


def run(o: argparse.Namespace, split: Path, who: str, minutes: float, seed: int) -> dict:
    """Wall-clock seconds, CPU seconds, and the number of correct predictions."""
    with tempfile.TemporaryDirectory(dir=split.parent) as folder:
        threads = {name: str(o.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        environment = os.environ | threads | {"EYESPOT_CACHE": f"{folder}/cache"}
        busy: list[subprocess.Popen] = []
        timer = Timer(60 * minutes * (o.busy_from or 0), lambda: busy.append(subprocess.Popen(BUSY)))
        if o.busy_from is not None:
            timer.start()
        log, start = Path(folder) / "log", monotonic()
        command = [str(argument) for argument in command_of(who, split, minutes, seed, Path(folder), o.side)]
        with log.open("w") as errors:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        try:
            output = process.stdout.read()  # type: ignore[union-attr]
            _, status, used = os.wait4(process.pid, 0)
            seconds = monotonic() - start
        finally:
            timer.cancel()
            for other in (process, *busy):
                other.kill()
                other.wait()
        if status:
            raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()[-3000:]}")
    result = parse_result(who, output) | {
        "seconds": round(seconds, 1),
        "cpu": round(used.ru_utime + used.ru_stime, 1),
    }
    packages = ("torch",) if who == "eyespot" else ("torch", who)
    result |= {
        "versions": {p: version(p) for p in packages},
        "date": str(date.today()),
        "machine": platform.machine(),
    }
    return dict(zip(KEYS, (who, minutes, seed, o.busy_from), strict=True)) | result


def parse_result(who: str, output: str) -> dict:
    if who != "eyespot":
        return json.loads(output.strip().splitlines()[-1])
    report = json.loads(output)
    accuracy = report["accuracy"]
    return {"hits": round(accuracy["value"] * accuracy["n"]), "n": accuracy["n"], "note": report["ended"]}


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95% Wilson interval of a share."""
    centre, half = hits + z * z / 2, z * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return (centre - half) / (n + z * z), (centre + half) / (n + z * z)


def line(r: dict) -> str:
    low, high = wilson(r["hits"], r["n"])
    over = " LATE" if r["seconds"] > 60 * r["minutes"] else ""
    return (
        f"{r['minutes']:>5g} min  seed {r['seed']}  {r['who']:12} {r['hits'] / r['n']:6.1%} "
        f"({100 * low:.1f}-{100 * high:.1f}) n={r['n']}  {r['seconds']:7.1f} s ({r['cpu']:.0f} CPU){over}  {r['note']}"
    )


def show(results: list[dict]) -> None:
    """Print a line per run, then medians over seeds, with the interval of the median run and the range of all."""
    for r in results:
        print(line(r))
    cases = sorted({(r["minutes"], r["busy_from"] or 0, r["who"]) for r in results})
    print(
        f"\n{'minutes':>7}  {'':12} {'median':>6} {'95%':>11}  {'least-largest':>13}  {'seconds, most':>13}  seeds  late"
    )
    for minutes, busy, who in cases:
        runs = [r for r in results if (r["minutes"], r["busy_from"] or 0, r["who"]) == (minutes, busy, who)]
        runs.sort(key=lambda r: r["hits"] / r["n"])
        shares, middle = [r["hits"] / r["n"] for r in runs], runs[(len(runs) - 1) // 2]
        low, high = wilson(middle["hits"], middle["n"])
        late = sum(r["seconds"] > 60 * minutes for r in runs)
        print(
            f"{minutes:>7g}  {who:12} {median(shares):6.1%} {100 * low:5.1f}-{100 * high:.1f}  "
            f"{100 * shares[0]:6.1f}-{100 * shares[-1]:.1f}   {max(r['seconds'] for r in runs):13.1f}  {len(runs):5}  {late:4}"
            + (f"  one core busy from {busy:g} of the time" if busy else "")
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("data", type=Path, help="a folder of class folders")
    parser.add_argument("--who", nargs="+", choices=WHO, default=list(WHO), help="libraries to run")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 3, 10, 30], help="time limits")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--side", type=int, default=32, help="pixels that other libraries bring images to")
    parser.add_argument("--busy-from", type=float, help="fraction of the time after which one core is busy")
    parser.add_argument(
        "--results", type=Path, default=Path("accuracy_in_time.jsonl"), help="file of results"
    )
    parser.add_argument("--show", action="store_true", help="only print the results in the file")
    o = parser.parse_args()
    if o.show:
        return show(read(o.results))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # also ends the started processes
    folder = Path(tempfile.mkdtemp(prefix="accuracy-"))
    try:
        make_split(o.data, folder / "split")
        for seed in range(o.seeds):
            for minutes in o.minutes:
                for who in o.who:
                    if any(
                        [r[k] for k in KEYS] == [who, minutes, seed, o.busy_from] for r in read(o.results)
                    ):
                        continue
                    result = run(o, folder / "split", who, minutes, seed)
                    with o.results.open("a") as file:
                        file.write(json.dumps(result) + "\n")
                    print(line(result), flush=True)
    finally:
        shutil.rmtree(folder)
    show(read(o.results))


if __name__ == "__main__":
    main()
