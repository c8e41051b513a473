"""Kill a run at random moments, resume it, and compare with the run that was never interrupted, bit by bit.

    python benchmarks/resume_kills.py digits --epochs 8 --kills 40
    python benchmarks/resume_kills.py cells --epochs 4 --kills 40

Each trial is killed once to three times (SIGKILL, or SIGTERM one time in three), at a moment drawn uniformly from the
length of the whole run, and resumed after each. Weights must be equal to the last bit, and so must every column of
history.csv that is not a time. tests/test_resume.py is the short form. Exit code: how many trials differ.
"""

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors.numpy import load_file

TIMES = ("seconds", "images_per_second")


class Trials:
    """Runs of one plan in a folder of their own."""

    def __init__(self, folder: Path, data: str, epochs: int):
        self.folder = folder
        self.environment = dict(os.environ, EYESPOT_CHECKPOINT_SECONDS="0.3")
        self.finish(f"eyespot.train({data!r}, epochs={epochs}, seed=3, out='first')")
        shutil.copy(folder / "first" / "plan.toml", folder / "plan.toml")
        start = time.monotonic()
        self.finish("eyespot.train(config='plan.toml', out='whole')")
        self.seconds = time.monotonic() - start

    def start(self, code: str) -> subprocess.Popen:
        """A process of its own that runs a line of Python."""
        command = [sys.executable, "-c", f"import eyespot; {code}"]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, code: str) -> None:
        """Run a line to its end. Raises RuntimeError where it fails."""
        process = self.start(code)
        _, messages = process.communicate()
        if process.returncode:
            raise RuntimeError(messages[-2000:])

    def killed_run(self, generator: random.Random) -> int:
        """A run that was killed and resumed until it ended; how many kills met it."""
        shutil.rmtree(self.folder / "cut", ignore_errors=True)
        process = self.start("eyespot.train(config='plan.toml', out='cut')")
        wanted = generator.randint(1, 3)
        kills = 0
        while kills < wanted:
            while not (self.folder / "cut" / "plan.toml").exists() and process.poll() is None:
                time.sleep(0.02)
            time.sleep(generator.random() * self.seconds / wanted)
            if process.poll() is not None:
                break
            process.send_signal(generator.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            process.communicate()
            kills += 1
            process = self.start("eyespot.train(resume='cut')")
        process.communicate()
        return kills

    def same(self) -> bool:
        """Whether the killed run ended in the weights and the history of the whole one."""
        whole, cut = (load_file(self.folder / name / "model.safetensors") for name in ("whole", "cut"))
        equal = whole.keys() == cut.keys() and all(whole[k].tobytes() == cut[k].tobytes() for k in whole)
        return equal and self.history("whole") == self.history("cut")

    def history(self, name: str) -> list[dict[str, str]]:
        """The rows of history.csv without the times."""
        with (self.folder / name / "history.csv").open(newline="") as file:
            return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--kills", type=int, default=40, help="trials that a kill met")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = random.Random(options.seed)
    met, kills, different = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), options.data, options.epochs)
        while met < options.kills:
            n = trials.killed_run(generator)
            if n == 0:
                continue
            met += 1
            kills += n
            same = trials.same()
            different += not same
            print(f"trial {met}: {n} kills, {'the same bits' if same else 'DIFFERENT'}", flush=True)
    print(f"{options.data}: {met} trials, {kills} kills, {met - different} ended in the same bits")
    return different


if __name__ == "__main__":
    sys.exit(main())
