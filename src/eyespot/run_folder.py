"""The folder of a run: where it goes, and what is written into it before, while and after training."""

import csv
import io
import os
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from itertools import count as numbers
from pathlib import Path
from typing import Any

from eyespot import pictures
from eyespot.config import DECLARED, Config, read_config, write_plan
from eyespot.console import FIRST_WORK, LIVE_SECONDS, is_live, live, say, say_setting
from eyespot.console import clock as as_clock
from eyespot.data.duplicates.seen import FILE
from eyespot.data.scan import fingerprint
from eyespot.data.sources.csv_file import MASK_OF
from eyespot.data.sources.samples import RUN_FILES, is_run
from eyespot.data.surveys.survey import Survey
from eyespot.errors import UserError
from eyespot.evaluation.out_of_fold import PREDICTIONS
from eyespot.evaluation.run_split import SPLIT
from eyespot.files import (
    claim_folder,
    locked,
    make_folder,
    remove_files,
    remove_folder,
    remove_if_empty,
    write_file,
)
from eyespot.plurals import count
from eyespot.run_log import JSON_LINES, TENSORBOARD, Log, new_log
from eyespot.training.plan import Budget, Plan, restore_plan, settings_with_reasons
from eyespot.training.state import Row, TrainState
from eyespot.weights.card import NAME, Card, versions, write_model
from eyespot.weights.ensemble_file import ENSEMBLE, FOLD
from eyespot.wrapping import quoted, width_of

PLAN = "plan.toml"
CHECKPOINT = "checkpoint.safetensors"
REPORT = "report.html"
HISTORY = "history.csv"
OURS = (
    NAME,
    *RUN_FILES,
    FILE,
    HISTORY,
    JSON_LINES,
    "first-batch.png",
    CHECKPOINT,
    REPORT,
    ENSEMBLE,
    PREDICTIONS,
)
Callback = Callable[[dict[str, float]], object]
"""What is called after each validation, with the row of history.csv."""


def run_folder(out: str | os.PathLike | None, data: str) -> Path:
    """Where a new run goes. A name of ours is taken at once, so that no other run that is started now gets the same."""
    if out is None:
        name = Path(data).resolve().name if Path(data).exists() else data
        numbered = (Path("runs") / (Path(name).stem + (f"-{i}" if i > 1 else "")) for i in numbers(1))
        return next(path for path in numbered if claim_folder(path))
    folder = Path(out)
    if folder.is_file():
        raise UserError(f"{folder} is a file: name a folder for the run")
    return folder


def refuse_content(folder: Path, force: bool) -> None:
    """Raises UserError for a folder that is not empty, unless forced and it is a run's."""
    content = [p.name for p in folder.iterdir() if not p.name.startswith(".")]
    if content and not force:
        raise UserError(f"{folder} exists: name another folder with --out, or overwrite it with --force")
    foreign = sorted(set(content) - {*OURS, TENSORBOARD}) or content
    if content and not set(content) & {NAME, "plan.toml"}:
        raise UserError(
            f"{folder} holds {foreign[0]} and is not a run of eyespot, so --force leaves it alone: name another folder with --out"
        )


@contextmanager
def new_run(out: str | os.PathLike | None, data: str, force: bool) -> Iterator[Path]:
    """The folder of a new run, which no other process writes into meanwhile; deleted if nothing was written."""
    wanted = Path("runs") if out is None else Path(out)
    missing = [path for path in (wanted, *wanted.parents) if not path.exists()]
    folder = run_folder(out, data)
    try:
        with locked(folder):
            refuse_content(folder, force)  # not before: a run may just have ended in it
            yield folder
    finally:
        for path in ([folder] if out is None else []) + missing:
            remove_if_empty(path)


def save(folder: Path, tensors: Any, card: Card) -> None:
    """Write the model file; where that fails, the one before it stays, and is named."""
    path = folder / NAME
    try:
        write_model(path, tensors, card)
    except UserError as error:
        raise UserError(
            f"{error}; the last good model stays in {path}" if path.exists() else str(error)
        ) from error


def make_card(survey: Survey, plan: Plan, side: int) -> Card:
    """What the model file says of itself. `side` is the size that the network was last trained at."""
    config = plan.config
    assert config.model
    assert config.augment is not None
    preprocessing = survey.preprocessing.as_dict() | {
        "side": side,
        "mean": list(plan.task.normal.mean),
        "std": list(plan.task.normal.std),
        "precision": config.precision,
    }
    data = {
        "name": survey.source.name,
        "images": len(survey.labels),
        "trained": len(plan.train),
        "content": fingerprint(survey.scan),
        "split": plan.seen.fingerprint(),
        "seen": plan.seen.as_card(),
    }
    settings = {name: value for name, value in asdict(config).items() if value is not None}
    return Card(
        config.model,
        {},
        list(survey.classes),
        preprocessing | plan.task.card_facts(),
        augment=config.augment,
        plan=settings,
        data=data,
        versions=versions(),
        task=survey.task,
    )


def start_folder(folder: Path, survey: Survey, plan: Plan) -> None:
    """What is known before the first step: the plan, the split, and a picture of the first batch."""
    make_folder(folder)
    remove_files(*(folder / name for name in OURS))
    remove_folder(folder / TENSORBOARD)
    for of_fold in filter(is_run, folder.glob(f"{FOLD}*")):
        remove_folder(of_fold)
    tables = {"reasons": plan.reasons, "timed": plan.timed, "budget": budget_table(plan, survey)}
    write_plan(folder / PLAN, plan.config, tables)
    write_file(folder / SPLIT, split_csv(survey, plan))
    write_file(folder / FILE, plan.seen.as_bytes())
    pictures.write_png(plan.task.picture(plan.train), folder / "first-batch.png")


def split_csv(survey: Survey, plan: Plan) -> str:
    """Which image is on which side: a CSV that `train` and `evaluate` read as a data set."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    of_class = [MASK_OF + name for name in survey.classes] if survey.source.by_class else []
    what = of_class or ["mask" if survey.source.has_masks else "label"]
    of_row = {"split": plan.division.sides, "content": [h.digest.hex() for h in survey.headers]}
    of_row |= plan.division.columns()
    writer.writerow(["path", *what, *of_row])
    for r, i in enumerate(survey.images.rows.tolist()):
        sample = survey.source.samples[i]
        masks = {MASK_OF + name: file.resolve() for name, file in sample.masks}
        labels = [masks.get(name, "") for name in of_class] or [
            sample.mask.resolve() if sample.mask else sample.label
        ]
        writer.writerow([sample.path.resolve(), *labels, *(values[r] for values in of_row.values())])
    return text.getvalue()


def show_plan(plan: Plan, survey: Survey) -> None:
    """Every choice with its reason, on standard error."""
    config = plan.config
    sizes = [f"{count(len(plan.train), survey.word)} for training", f"{len(plan.val):,} for validation"]
    if config.folds and config.fold is None:
        sizes = [
            f"{count(len(plan.train), survey.word)} in {count(config.folds, 'fold')}, each for validation once"
        ]
    sizes += [f"{len(plan.test):,} for testing"] * bool(len(plan.test))
    say("")
    say(f"plan      {', '.join(sizes)}")
    for name, value, reason in settings_with_reasons(plan, survey):
        say_setting(name, value, reason)
    say("")


HEAD = ("epoch", "done", "size", "train loss", "val loss", "score", "speed", "remain")
WIDTHS = (7, 5, 5, 11, 9, 9, 9, 7)
LESS = (2, 6)
"""Columns that a narrow terminal does not show; history.csv has them."""


def table_row(cells: Sequence[str], width: int) -> str:
    """A line of the live table."""
    is_narrow = sum(WIDTHS) + len(WIDTHS) - 1 > width
    pairs = [pair for i, pair in enumerate(zip(cells, WIDTHS, strict=True)) if not (is_narrow and i in LESS)]
    return " ".join(f"{cell:>{columns}}" for cell, columns in pairs)


class Table:
    """The run folder while a network trains: the live table, history.csv, the best network so far, the checkpoint."""

    def __init__(
        self,
        folder: Path,
        survey: Survey,
        plan: Plan,
        elapsed: Callable[[], float],
        callback: Callback | None = None,
    ):
        self.folder = folder
        self.callback = callback
        self.survey = survey
        self.plan = plan
        self.elapsed = elapsed
        self.shown = 0.0
        self.start = elapsed()
        self.first: float | None = None
        self.has_head = False
        self.log: Log | None = None

    def remain(self, fraction: float) -> str:
        """The time until the command ends, by the progress since it began or was resumed, and by the minutes given."""
        now = self.elapsed()
        minutes = self.plan.config.minutes
        done = fraction - (self.first or 0.0)
        if not minutes and (now - self.start < FIRST_WORK or done <= 0):
            return "-:--"
        left = (now - self.start) * (1 - fraction) / max(done, 1e-3) + self.plan.reserve
        return as_clock(min(left, 60 * minutes - now) if minutes else left)

    def on_row(self, state: TrainState, is_kept: bool) -> None:
        """Print a row, rewrite history.csv, and save the network if it is the one to keep so far."""
        row = state.progress.history[-1]
        width = width_of(sys.stderr)
        self.clear()
        if not self.has_head:
            names = {"score": self.plan.task.score, "speed": f"{self.plan.task.unit}/s"}
            say(table_row([names.get(name, name) for name in HEAD], width))
            self.has_head = True
        losses = (f"{row.train_loss:.3f}", f"{row.loss:.3f}", f"{row.score:.1%}")
        speed = (f"{row.images_per_second:,.0f}", self.remain(row.fraction))
        say(table_row([f"{row.epoch:.1f}", f"{row.fraction:.0%}", str(row.size), *losses, *speed], width))
        if is_kept:
            save(self.folder, state.best, make_card(self.survey, self.plan, row.size))
        self.write_history(state.progress.history)

    def on_validated(self, row: Row) -> None:
        """Call the callback, and name it where it fails."""
        if self.callback is None:
            return
        try:
            self.callback(asdict(row))
        except Exception as error:
            name = getattr(self.callback, "__name__", repr(self.callback))
            error.add_note(
                f"raised by the callback {name} of eyespot.train; the checkpoint is saved: eyespot train --resume {quoted(self.folder)}"
            )
            raise

    def write_history(self, history: list[Row]) -> None:
        """history.csv, and the log that was asked for."""
        write_history(self.folder, history)
        if self.log is None:
            per_epoch = len(self.plan.task.sample_indices(self.plan.train))
            self.log = new_log(self.plan.config.log, self.folder, per_epoch)
        self.log.write(history)

    def restore(self, state: TrainState) -> None:
        """Bring history.csv and the model file back to a checkpoint: a killed run may have written more."""
        self.write_history(state.progress.history)
        if state.best:
            save(
                self.folder,
                state.best,
                make_card(self.survey, self.plan, state.progress.kept_side or state.progress.side),
            )

    def on_checkpoint(self, state: TrainState) -> Path:
        """Save the whole state in place of the one before."""
        path = self.folder / CHECKPOINT
        write_file(path, state.document(self.elapsed()))
        return path

    def on_message(self, text: str) -> None:
        self.clear()
        say(text)

    def on_step(self, fraction: float, per_second: float) -> None:
        """Twice a second, on a terminal or in a notebook, a line that the next one overwrites."""
        self.first = fraction if self.first is None else self.first
        if is_live() and self.elapsed() - self.shown > LIVE_SECONDS:
            self.shown = self.elapsed()
            live(
                f"{fraction:6.1%} done, {per_second:,.0f} {self.plan.task.unit}/s, {self.remain(fraction)} remain"
            )

    def clear(self) -> None:
        if self.shown:
            live()


def write_history(folder: Path, history: list[Row]) -> None:
    """history.csv: a line for each validation."""
    lines = [",".join(f.name for f in fields(Row))]
    lines += [",".join(f"{value:.6g}" for value in asdict(row).values()) for row in history]
    write_file(folder / HISTORY, "\n".join(lines) + "\n")


@dataclass(frozen=True)
class SavedPlan:
    """What plan.toml holds: the resolved settings, and what else a resumed run needs."""

    path: Path
    config: Config
    reasons: dict[str, str]
    timed: dict[str, float]
    budget: Budget
    content: str
    compiled: bool
    """Whether compiled passes may be used: they agreed with plain PyTorch when the run was started."""

    def refuse_other_data(self, survey: Survey) -> None:
        """Raise UserError where the data set is not the one that the run was started with."""
        if self.content != fingerprint(survey.scan):
            raise UserError(
                f"{survey.source.name} has changed since {self.path.parent} was started: put the files back, or train anew with --config {quoted(self.path)}"
            )

    def restore(self, survey: Survey) -> Plan:
        return restore_plan(survey, self.config, self.path.parent, self.reasons, self.timed, self.budget)


def read_plan(folder: Path) -> SavedPlan:
    """The plan of a run that is to be resumed."""
    path = folder / PLAN
    config = read_config(path, {})
    tables = tomllib.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    budget = tables.get("budget", {})
    if not {"reserve", "images", "content", "folder", "settings"} <= set(budget):
        raise UserError(
            f"{path} does not say what a resumed run needs, as one of an older eyespot: train anew with --config {quoted(path)}"
        )
    if budget["settings"] != settings_digest(config):
        raise UserError(
            f"the settings in {path} were changed after the run was started, or it is of an older eyespot: change them back, or train anew with --config {quoted(path)}"
        )
    if not Path(config.data).exists() and (beside := Path(budget["folder"]) / config.data).exists():
        config = replace(config, data=str(beside))
    return SavedPlan(
        path,
        config,
        tables.get("reasons", {}),
        tables.get("timed", {}),
        Budget(budget.get("seconds"), budget["reserve"], budget["images"]),
        budget["content"],
        budget.get("compiled", True),
    )


def settings_digest(config: Config) -> str:
    """Of the settings that were chosen: a resumed run is exact only with those that it was started with."""
    chosen = {name: value for name, value in asdict(config).items() if value != DECLARED[name].default}
    return sha256(repr(sorted(chosen.items())).encode()).hexdigest()


def budget_table(plan: Plan, survey: Survey) -> dict[str, Any]:
    """What plan.toml says for a resumed run: when it ends, and which data it was started with."""
    seconds = {} if plan.budget.seconds is None else {"seconds": plan.budget.seconds}
    return seconds | {
        "reserve": plan.budget.reserve,
        "images": plan.budget.images,
        "content": fingerprint(survey.scan),
        "folder": os.getcwd(),
        "settings": settings_digest(plan.config),
        "compiled": agrees_compiled(plan),
    }


def agrees_compiled(plan: Plan) -> bool:
    """Whether compiled passes agreed with plain PyTorch when the steps were timed."""
    return "compiled passes" not in getattr(plan.timed, "rejected", {})
