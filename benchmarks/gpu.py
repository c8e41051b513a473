"""Accuracy and seconds of training on a GPU, over seeds, beside the published program airbench94_muon.py.

    python benchmarks/gpu.py cifar10-train --seeds 20 --program airbench94_muon.py

The program is from https://github.com/KellerJordan/cifar10-airbench. It reads the images that eyespot decoded, with the
same split, and runs in a process of its own, between two halves of eyespot's runs. The timed part is the one that the
program times: whitening, training, and predictions in six views, with the images in GPU memory. It starts after a
run that is not counted, in which the program compiles and both choose kernels. Validation during training is not timed,
for either.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from eyespot.config import Config
from eyespot.data.surveys.survey import Survey
from eyespot.data.surveys.survey_data import survey_data
from eyespot.evaluation.classes import logits_of
from eyespot.prediction.load_torch import torch_predictor
from eyespot.run_folder import make_card
from eyespot.tasks.classification import Classification
from eyespot.training.loop import Loop, clock
from eyespot.training.plan import Plan, make_plan
from eyespot.training.state import TrainState

Result = tuple[float, float]
"""Accuracy and seconds."""


def now() -> float:
    torch.cuda.synchronize()
    return perf_counter()


class Silent:
    """A watcher of training that shows and saves nothing."""

    def on_step(self, fraction: float, per_second: float) -> None:
        """Nothing is shown."""

    def on_row(self, state: TrainState, is_best: bool) -> None:
        """Nothing is shown."""

    def on_checkpoint(self, state: TrainState) -> None:
        """Nothing is saved."""

    def on_message(self, text: str) -> None:
        """Nothing is shown."""


def one(survey: Survey, plan: Plan, seed: int) -> Result:
    """A run of eyespot, as `eyespot train` trains and predicts."""
    config = replace(plan.config, seed=seed)
    task = plan.task.planned(config)
    plan, validations, validate = replace(plan, config=config, task=task), [], task.validate
    assert isinstance(task, Classification) and config.device
    assert len(task.images[plan.train[:1]])  # copied to the GPU before the clock starts

    def untimed(*args):
        start = now()
        scored = validate(*args)
        validations.append(now() - start)
        return scored

    task.validate = untimed  # type: ignore[method-assign]
    card = make_card(survey, plan, plan.config.size or 32)
    start = now()
    outcome = Loop(plan, clock(), Silent()).run()
    assert outcome.tensors is not None, outcome.ended
    network = task.network()
    network.load_state_dict(outcome.tensors)
    predictor = torch_predictor(
        replace(card, preprocessing=card.preprocessing | {"side": outcome.side}),
        network,
        config.device,
    )
    right = (
        logits_of(predictor, survey.images.pixels, plan.division.final).argmax(1)
        == survey.labels[plan.division.final]
    )
    return float(right.mean()), now() - start - sum(validations)


def theirs(program: Path, survey: Survey, plan: Plan, runs: int) -> list[Result]:
    """Runs of the published program on the same images."""
    text = program.read_text()
    assert "range(200)" in text, f"{program} is not airbench94_muon.py, or is another version of it"
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        (at / "cifar10").mkdir()
        for name, rows in (("train", plan.train), ("test", plan.division.final)):
            images, labels = (
                torch.from_numpy(survey.images.pixels[rows]),
                torch.from_numpy(survey.labels[rows]),
            )
            torch.save(
                {"images": images, "labels": labels, "classes": survey.classes}, at / "cifar10" / f"{name}.pt"
            )
        (at / "program.py").write_text(text.replace("range(200)", f"range({runs})"))
        command = [sys.executable, "-u", "program.py"]
        with subprocess.Popen(command, cwd=at, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                cells = [cell.strip() for cell in line.split("|")]
                if len(cells) == 8 and cells[2] == "eval":
                    results.append((float(cells[5]), float(cells[6])))
                    print(f"airbench   {results[-1]}", flush=True)
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed with exit code {process.returncode}")
    return results[1:]  # the first one only warms up


def print_summary(name: str, results: Sequence[Result]) -> None:
    accuracy, seconds = np.array(results).T
    error = 1.96 * accuracy.std(ddof=1) / len(accuracy) ** 0.5
    print(
        f"{name:<10} accuracy {accuracy.mean():.2%} +- {error:.2%} (95%, n = {len(accuracy)}), "
        f"deviation {accuracy.std(ddof=1):.2%}; seconds, median {np.median(seconds):.3f} "
        f"({seconds.min():.3f}-{seconds.max():.3f})",
        flush=True,
    )


def settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", help="a folder of class folders")
    parser.add_argument("--seeds", type=int, default=20, help="runs of each program")
    parser.add_argument("--program", type=Path, help="the file airbench94_muon.py")
    parser.add_argument("--epochs", type=float, default=8, help="epochs of eyespot")
    parser.add_argument("--batch", type=int, default=1024, help="images per step")
    parser.add_argument("--recipe", default="whiten|muon|smooth|alternate|mirror|moved")
    return parser.parse_args()


def main() -> None:
    s = settings()
    survey = survey_data(s.data)
    config = Config(
        s.data,
        epochs=s.epochs,
        model="small",
        batch=s.batch,
        recipe=s.recipe,
        precision="bfloat16",
        device="cuda",
    )
    plan = make_plan(survey, config, clock())
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {len(plan.train)} training images, {config}"
    )
    one(survey, plan, 0)
    results = [one(survey, plan, 1 + seed) for seed in range(s.seeds // 2)]
    print_summary("eyespot", results)
    peer = theirs(s.program, survey, plan, s.seeds) if s.program else []
    results += [one(survey, plan, 1 + seed) for seed in range(s.seeds // 2, s.seeds)]
    print_summary("eyespot", results)
    if peer:
        print_summary("airbench", peer)


if __name__ == "__main__":
    main()
