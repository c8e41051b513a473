"""`eyespot train`, from a folder to a run: survey, plan, loop, model file, evaluation, report."""

import csv
import io
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eyespot import pictures
from eyespot.augment import augment, parse
from eyespot.console import clock as as_clock
from eyespot.console import count, say, stderr
from eyespot.data.arrays import fingerprint
from eyespot.data.choice import LARGEST, Wishes
from eyespot.data.survey import Survey, survey
from eyespot.errors import UserError
from eyespot.evaluation import SPLIT, Evaluation, answer, assess
from eyespot.evaluation import evaluate as assess_data
from eyespot.files import write_whole
from eyespot.models import check_preset
from eyespot.prediction.predictor import Predictions, Predictor, load, model_file
from eyespot.report.page import write_report
from eyespot.scores import percent, temperature
from eyespot.training.config import Config, read_config, write_plan
from eyespot.training.loop import DIVERGED, DONE, Outcome, Row, clock, fit
from eyespot.training.plan import Plan, choose_device, make_plan
from eyespot.weights import NAME, Card, versions, write_model

OURS = (NAME, "plan.toml", "history.csv", SPLIT, "first-batch.png", "report.html", "scores.json")
ON_GPU = {1: 16384, 2: 224, 3: 96}
"""Samples along an axis that are chosen at the most on a GPU, by the number of axes."""


class Run:
    """A trained network in its folder. Shows itself; answers questions through the Predictor that its file loads."""

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        evaluation: Evaluation | None = None,
        ended: str = "",
        interrupted: bool = False,
    ):
        self.folder = Path(folder)
        self.evaluation, self.ended, self.interrupted = evaluation, ended, interrupted
        self._predictor: Predictor | None = None

    @property
    def predictor(self) -> Predictor:
        if self._predictor is None:
            self._predictor = load(self.folder)
        return self._predictor

    def predict(self, images: Any) -> Predictions:
        """Answers for one or several images: paths, Pillow images or arrays."""
        return self.predictor(images)

    def evaluate(self, data: str | os.PathLike | None = None) -> Evaluation:
        """Scores on a data set, or on the images that were held out."""
        return assess_data(self.predictor, model_file(self.folder).parent, data)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.predictor!r})"

    def _repr_html_(self) -> str:
        scores = self.predictor.card.scores
        rows = "".join(
            f"<tr><td>{k.replace('_', ' ')}</td><td>{percent(v)}</td></tr>"
            for k, v in scores.items()
            if k != "log_loss"
        )
        return f"<b>{self.folder}</b>: {self.predictor.card.preset}<table>{rows}</table><a href='{self.folder}/report.html'>report</a>"


def train(
    data: str | os.PathLike | None = None,
    *,
    minutes: float | None = None,
    epochs: float | None = None,
    model: str | None = None,
    size: int | None = None,
    fit: str | None = None,
    dim: int | None = None,
    view: str | None = None,
    batch: int | None = None,
    augment: str | None = None,
    group: str | None = None,
    held_out: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    start_from: str | os.PathLike | None = None,
    fine_tune: bool | None = None,
    out: str | os.PathLike | None = None,
    config: str | os.PathLike | None = None,
    force: bool = False,
    elapsed: Callable[[], float] | None = None,
) -> Run:
    """Train a network on a data set within the time given, evaluate it, and write a run folder.

    data      a folder, a CSV or a built-in set: see `look`
    out       the run folder; runs/NAME if not given, and never one that exists unless `force`
    config    a TOML file with these settings, such as the plan.toml of a run; what is given here wins
    elapsed   seconds since the command began, where that was before this call
    The other settings: see `eyespot.training.config.Config`.
    """
    elapsed = elapsed or clock()
    given = dict(
        minutes=minutes, epochs=epochs, model=model, size=size, fit=fit, dim=dim, view=view, batch=batch
    )
    given |= dict(
        augment=augment,
        group=group,
        held_out=held_out,
        seed=seed,
        device=device,
        data=None if data is None else str(data),
    )
    given |= dict(start_from=None if start_from is None else str(start_from), fine_tune=fine_tune)
    typed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    settings = read_config(Path(config), typed) if config is not None else Config(**typed)
    if not settings.data:
        raise UserError(
            "no data was named: give a folder, a CSV, a built-in set such as digits, or --config FILE"
        )
    folder, threads = run_folder(out, settings.data, force), torch.get_num_threads()
    try:
        return _train(settings, folder, elapsed)
    finally:
        torch.set_num_threads(threads)


def evaluate(run: str | os.PathLike, data: str | os.PathLike | None = None) -> Evaluation:
    """Scores of a run on a data set, or on the images that it held out."""
    return Run(run).evaluate(data)


def predict(run: str | os.PathLike, images: Any) -> Predictions:
    """Answers of a run for one or several images: paths, Pillow images or arrays."""
    return Run(run).predict(images)


def run_folder(out: str | os.PathLike | None, data: str, force: bool) -> Path:
    """Where the run goes; refuses a folder that exists, unless forced and it is a run's."""
    if out is None:
        name = Path(data).resolve().name if Path(data).exists() else data
        numbered = (Path("runs") / (Path(name).stem + (f"-{i}" if i > 1 else "")) for i in range(1, 10**6))
        return next(path for path in numbered if not path.exists())
    folder = Path(out)
    if folder.is_file():
        raise UserError(f"{folder} is a file: name a folder for the run")
    content = [p.name for p in folder.iterdir() if not p.name.startswith(".")] if folder.exists() else []
    if content and not force:
        raise UserError(f"{folder} exists: name another folder with --out, or overwrite it with --force")
    foreign = sorted(set(content) - set(OURS))
    if content and not set(content) & {NAME, "plan.toml"}:
        raise UserError(
            f"{folder} holds {foreign[0]} and is not a run of eyespot, so --force leaves it alone: name another folder with --out"
        )
    return folder


def _train(settings: Config, folder: Path, elapsed: Callable[[], float]) -> Run:
    if settings.model is not None:
        check_preset(settings.model)
    device = choose_device(settings.device)
    wishes = Wishes(settings.size, settings.fit, settings.dim, settings.view)
    found = survey(settings.data, wishes, LARGEST if device == "cpu" else ON_GPU)
    found.refuse_errors()
    say(
        f"{found.source.name}: {count(len(found.labels), found.word)} in {count(len(found.source.classes), 'class', 'classes')}"
    )
    for problem in found.problems:
        if problem.level != "note":
            say(f"{problem.level}: {problem.text}")
    plan = make_plan(found, settings, elapsed)
    show_plan(plan, found)
    start_folder(folder, found, plan)
    table = Table(folder, found, plan)
    outcome = fit(found, plan, elapsed, table.row, table.step)
    table.clear()
    say(f"{outcome.ended} after {as_clock(elapsed())}")
    return _finish(found, plan, folder, outcome, table)


def _finish(found: Survey, plan: Plan, folder: Path, outcome: Outcome, table: "Table") -> Run:
    """Keep the better network, tune its temperature, evaluate and report it as it will be loaded."""
    if outcome.ended == DONE or not table.saved:
        if not table.steps:
            raise UserError("stopped before the first step, so there is no network to keep")
        if outcome.ended == DIVERGED:
            raise UserError(
                "the loss became infinite at once, so there is no network to keep: try another --seed or --model"
            )
        save(folder, outcome.network.state_dict(), make_card(found, plan, outcome.side))
    if outcome.interrupted:
        say("scoring what there is (Ctrl-C again to leave at once)")
    trained = load(folder, device=plan.config.device or "cpu")
    pixels, labels = found.images.pixels, found.labels
    held = answer(trained, pixels, plan.held)
    rows, logits = (plan.test, answer(trained, pixels, plan.test)) if len(plan.test) else (plan.held, held)
    card = replace(trained.card, temperature=temperature(held, labels[plan.held]))
    paths = [str(found.source.samples[int(i)].path) for i in found.images.rows[rows]]
    errors = {str(found.source.samples[i].path): reason for i, reason in found.images.errors.items()}
    evaluation = assess(card, paths, pixels[rows], labels[rows], logits, errors)
    single = {k: v for k, v in evaluation.scores.items() if isinstance(v, dict) and "value" in v}
    card = replace(card, scores=single)
    save(folder, trained.network.state_dict(), card)
    write_report(folder / "report.html", evaluation, card, outcome, plan, found)
    return Run(folder, evaluation=evaluation, ended=outcome.ended, interrupted=outcome.interrupted)


def save(folder: Path, tensors: Any, card: Card) -> None:
    """Write the model file; where that fails, the one before it stays, and is named."""
    path = folder / NAME
    try:
        write_model(path, tensors, card)
    except UserError as error:
        raise UserError(
            f"{error}; the last good model stays in {path}" if path.exists() else str(error)
        ) from error


def make_card(found: Survey, plan: Plan, side: int) -> Card:
    """What the model file says of itself. `side` is the size that the network was last trained at."""
    c = plan.config
    assert c.model and c.augment is not None
    preprocessing = found.reading.as_dict() | {
        "side": side,
        "mean": list(plan.normal.mean),
        "std": list(plan.normal.std),
    }
    data = {
        "name": found.source.name,
        "images": len(found.labels),
        "trained": len(plan.train),
        "content": fingerprint(found.headers),
    }
    settings = {k: v for k, v in asdict(c).items() if v is not None}
    return Card(
        c.model,
        {},
        list(found.source.classes),
        preprocessing,
        augment=c.augment,
        plan=settings,
        data=data,
        versions=versions(),
    )


def start_folder(folder: Path, found: Survey, plan: Plan) -> None:
    """What is known before the first step: the plan, the split, and a picture of the first batch."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in OURS:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the run folder {folder}: {error.strerror}; name another with --out"
        ) from error
    write_plan(folder / "plan.toml", plan.config, plan.reasons, plan.timed)
    write_whole(folder / SPLIT, split_csv(found, plan))
    pictures.save(first_batch(found, plan), folder / "first-batch.png")


def split_csv(found: Survey, plan: Plan) -> str:
    """Which image is on which side: a CSV that `train` and `evaluate` read as a data set."""
    side = np.full(len(found.labels), "train", dtype="<U5")
    side[plan.held], side[plan.test] = "val", "test"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "split", "content"] + ["group"] * (plan.groups is not None))
    for r, i in enumerate(found.images.rows.tolist()):
        sample = found.source.samples[i]
        row = [sample.path.resolve(), sample.label, side[r], found.facts[r].digest.hex()]
        writer.writerow(row + ([plan.groups[r]] if plan.groups is not None else []))
    return text.getvalue()


def first_batch(found: Survey, plan: Plan, most: int = 40):
    """What the network sees: training images as decoded, and as augmented."""
    rows = np.random.default_rng(plan.config.seed).permutation(plan.train)[:most]
    pixels = found.images.pixels[rows]
    floats = torch.from_numpy(pixels.astype(np.float32)).movedim(-1, 1)
    changed = augment(
        floats, parse(plan.config.augment or ""), torch.Generator().manual_seed(plan.config.seed)
    )
    changed = changed.movedim(1, -1).numpy().astype(pixels.dtype)
    title = f"augmented: {plan.config.augment or 'none'}"
    return pictures.sheet([(f"training {found.word}s, as read", list(pixels)), (title, list(changed))])


def show_plan(plan: Plan, found: Survey) -> None:
    """Every choice with its reason, on standard error."""
    c = plan.config
    say("")
    say(
        f"plan      {len(plan.train):,} {found.word}s to train, {len(plan.held):,} held out"
        + (f", {len(plan.test):,} to test" if len(plan.test) else "")
    )
    settings = {
        **{k: v for k, v in asdict(c).items() if v is not None},
        "split": "",
        "class weights": "",
        "channels": found.reading.channels,
        "depth": found.reading.depth,
        "epochs": c.epochs or "",
    }
    for name, reason in plan.reasons.items():
        value = settings.get(name, "")
        say(f"  {name:<14}{value!s:<17} {reason}" if value != "" else f"  {name:<14}{reason}")
    say("")


HEAD = f"{'epoch':>7} {'done':>5} {'size':>5} {'train loss':>11} {'held-out loss':>14} {'accuracy':>9} {'images/s':>9} {'remain':>7}"


class Table:
    """The live table, history.csv, and the best network so far on disk."""

    def __init__(self, folder: Path, found: Survey, plan: Plan):
        self.folder, self.found, self.plan = folder, found, plan
        self.history: list[Row] = []
        self.saved, self.steps, self.shown, self.now = False, 0, 0.0, clock()

    def row(self, row: Row, network: Any, best: bool) -> None:
        """Print a row, append it to history.csv, and save the network if it is the best so far."""
        self.clear()
        if not self.history:
            say(HEAD)
        self.history.append(row)
        remain = as_clock(self.now() * (1 / max(row.fraction, 1e-9) - 1))
        say(
            f"{row.epoch:7.1f} {row.fraction:5.0%} {row.size:5} {row.train_loss:11.3f} {row.loss:14.3f} {row.accuracy:9.1%} {row.images_per_second:9,.0f} {remain:>7}"
        )
        lines = [
            ",".join(asdict(row)),
            *(",".join(f"{v:.6g}" for v in asdict(r).values()) for r in self.history),
        ]
        if best:
            save(self.folder, network.state_dict(), make_card(self.found, self.plan, row.size))
            self.saved = True
        write_whole(self.folder / "history.csv", "\n".join(lines) + "\n")

    def step(self, fraction: float, per_second: float) -> None:
        """Twice a second, on a terminal, a line that the next one overwrites."""
        self.steps += 1
        if stderr().is_terminal and self.now() - self.shown > 0.5:
            self.shown = self.now()
            remain = as_clock(self.now() * (1 / max(fraction, 1e-3) - 1))
            stderr().print(
                f"{fraction:6.1%} done, {per_second:,.0f} images/s, {remain} remain    ",
                end="\r",
                markup=False,
            )

    def clear(self) -> None:
        if stderr().is_terminal and self.shown:
            stderr().print(" " * 60, end="\r")
