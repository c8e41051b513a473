"""`eyespot train`, from a folder to a run: survey, plan, loop, model file, evaluation, report."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import torch

from eyespot.config import (
    DECLARED,
    Config,
    LayoutSettings,
    Settings,
    given_settings,
    layout_settings,
    read_config,
)
from eyespot.console import clock as as_clock
from eyespot.console import say
from eyespot.cross_validation import Ended, Steps, resume_folds, train_folds
from eyespot.data.preprocess.choose import LARGEST, ON_GPU
from eyespot.data.surveys.survey import Survey
from eyespot.data.surveys.survey_data import survey_data
from eyespot.devices import choose_device
from eyespot.errors import UserError
from eyespot.evaluation.evaluate import evaluate as evaluate_on
from eyespot.evaluation.evaluate import finish_run
from eyespot.evaluation.evaluation import Evaluation
from eyespot.evaluation.run_split import run_of
from eyespot.explanation.gallery import maps_beside
from eyespot.fast import keep_freed, return_freed, use_compiled
from eyespot.files import locked, remove_files
from eyespot.guard import is_out_of_memory, memory_sentence
from eyespot.invariances.learning.learn import learn_for_run
from eyespot.models import check_preset
from eyespot.plurals import count
from eyespot.prediction.load import load
from eyespot.prediction.predictor import Predictor
from eyespot.report.page import write_report
from eyespot.run_folder import (
    CHECKPOINT,
    PLAN,
    REPORT,
    Callback,
    Table,
    make_card,
    new_run,
    read_plan,
    save,
    show_plan,
    start_folder,
)
from eyespot.run_log import check_log
from eyespot.run_shown import shown
from eyespot.run_warnings import after_training, before_training, warn
from eyespot.signature import with_settings
from eyespot.tasks.augmentation import LEARN
from eyespot.training.division import class_problems
from eyespot.training.loop import DIVERGED, Loop, Outcome, clock
from eyespot.training.plan import Plan, make_plan
from eyespot.training.state import read_state
from eyespot.weights.hub import local
from eyespot.weights.load import read
from eyespot.weights.published import IMAGENET
from eyespot.weights.start import find

NAMED = 3
"""Files that are named with a warning; `look` names all."""


class Run:
    """A trained network in its folder, just trained or opened from disk. Shows itself in a notebook.

    folder        a run folder, also of a cross-validation; a model file; or hub:OWNER/NAME
    ended         why training ended; empty for a run that was opened
    interrupted   whether training was stopped
    device        where it predicts; a GPU if there is one, if not given
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        evaluation: Evaluation | None = None,
        ended: str = "",
        interrupted: bool = False,
        device: str | None = None,
    ):
        self.folder = local(folder)
        self.device = device
        self._evaluation = evaluation
        self.ended = ended
        self.interrupted = interrupted
        self._predictor: Predictor | None = None

    @property
    def predictor(self) -> Predictor:
        if self._predictor is None:
            self._predictor = load(self.folder, device=self.device)
        return self._predictor

    @property
    def evaluation(self) -> Evaluation:
        """Metrics on the run's own test or validation set; of a cross-validation, of its folds together.

        Those that training ended with; of a run that was opened from disk, computed on first use from the images that its
        split.csv names. Raises UserError where these are not there.
        """
        if self._evaluation is None:
            self._evaluation = self.evaluate()
        return self._evaluation

    def predict(self, images: Any) -> Any:
        """Classes or label maps of images: see `eyespot.predict`."""
        return self.predictor(images)

    @with_settings(*layout_settings())
    def evaluate(
        self,
        data: str | os.PathLike | None = None,
        *,
        split: str | None = None,
        **settings: Unpack[LayoutSettings],
    ) -> Evaluation:
        """Metrics on a data set, or on the run's own test or validation set; on the one named by `split` only."""
        return evaluate_on(self.predictor, run_of(self.folder), data, dict(settings), split)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.predictor!r})"

    def _repr_html_(self) -> str:
        return shown(run_of(self.folder), self.predictor.card)


@with_settings(*(name for name in DECLARED if name != "data"))
def train(
    data: str | os.PathLike | None = None,
    *,
    out: str | os.PathLike | None = None,
    config: str | os.PathLike | None = None,
    resume: str | os.PathLike | None = None,
    force: bool = False,
    elapsed: Callable[[], float] | None = None,
    callback: Callback | None = None,
    **settings: Unpack[Settings],
) -> Run:
    """Train a network on a data set within the time given, evaluate it, and write a run folder.

    data          a folder, a CSV or a built-in set: see `look`
    out           the run folder; runs/NAME if not given, and never one that exists unless `force`
    config        a TOML file with settings, such as the plan.toml of a run; arguments take precedence
    resume        the folder of an interrupted run: it continues exactly where its last checkpoint was, with its own
                  settings, so no data and no settings can be given
    force         overwrite a run folder that exists
    elapsed       seconds since the command began, where that was before this call
    callback      is called after each validation with a dict: the row of history.csv by column name. If it raises an
                  error, the checkpoint is saved and the error passes through; KeyboardInterrupt stops training as
                  Ctrl-C does

    Settings that are not given are chosen for the data and the machine; the plan gives the reasons.
    """
    start = elapsed or clock()
    given = given_settings({"data": data, **settings})
    if resume is not None:
        others = {"out": out is not None, "config": config is not None, "force": force}
        folder = _resumable(Path(resume), [*given, *(name for name, is_given in others.items() if is_given)])
        with locked(folder):
            return _guarded(lambda: _resume(folder, start, callback))
    return _start(
        read_config(Path(config), given) if config is not None else Config(**given),
        out,
        force,
        start,
        callback,
    )


def _start(
    settings: Config,
    out: str | os.PathLike | None,
    force: bool,
    start: Callable[[], float],
    callback: Callback | None,
) -> Run:
    """Train in a new run folder."""
    if not settings.data:
        raise UserError(
            "no data was named: give a folder, a CSV, a built-in set such as digits, or --config FILE"
        )
    with new_run(out, settings.data, force) as folder:
        return _guarded(lambda: _train(settings, folder, start, callback))


def _resumable(folder: Path, given: list[str]) -> Path:
    if given:
        raise UserError(f"resume takes no other settings, and {given[0]} was given: a run keeps its own plan")
    if not (folder / PLAN).exists():
        raise UserError(f"{folder} holds no {PLAN}: give the folder of a run that was started")
    return folder


def _guarded(work: Callable[[], Run]) -> Run:
    """The run; threads, compiled code and memory are left as they were."""
    threads = torch.get_num_threads()
    try:
        return work()
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise UserError(memory_sentence(error, "train")) from error
        raise
    finally:
        torch.set_num_threads(threads)
        use_compiled(False)
        return_freed()


@with_settings(*layout_settings())
def evaluate(
    run: str | os.PathLike,
    data: str | os.PathLike | None = None,
    *,
    split: str | None = None,
    device: str | None = None,
    **settings: Unpack[LayoutSettings],
) -> Evaluation:
    """Metrics of a run on a data set, or on its own images that it did not train on.

    split   "validation" or "test"; if not given, the test set where there is one, else the validation set
    """
    return Run(run, device=device).evaluate(data, split=split, **settings)


def predict(run: str | os.PathLike, images: Any, *, device: str | None = None) -> Any:
    """Predictions of a run for what the command line takes, and for images in memory.

    run      a run folder, a model file or an exported file
    images   paths, folders, patterns, Pillow or nibabel images, arrays, torch tensors, batches (N, ...), collections of
             these, or an iterator, which gives an iterator: see `Predictor`
    device   where the network runs; a GPU if there is one, if not given

    Raises UserError where no image can be read.
    """
    return Run(run, device=device).predict(images)


def _train(settings: Config, folder: Path, elapsed: Callable[[], float], callback: Callback | None) -> Run:
    check_log(settings.log)
    if settings.model is not None:
        check_preset(settings.model)
    if settings.weights not in (None, IMAGENET):
        read(find(settings.weights, ""))  # refused before minutes go into reading the images
    survey = _survey(settings)
    n_classes = len(survey.classes)
    say(
        f"{survey.source.name}: {count(len(survey.labels), survey.word)} in {count(n_classes, 'class', 'classes')}"
    )
    for guess in survey.guesses:
        say(f"guess: {guess}")
    for problem in survey.problems:
        if problem.level != "note":
            names = ", ".join(problem.files[:NAMED]) + ", ..." * (len(problem.files) > NAMED)
            say(f"{problem.level}: {problem.text}" + f" ({names})" * bool(names))
    learned = None
    if settings.augment == LEARN:  # without compiled passes, which the plan verifies
        settings, learned = learn_for_run(survey, settings)
    keep_freed()
    use_compiled()
    if settings.folds and settings.fold is None:
        return _of_folds(
            folder, train_folds(survey, settings, folder, elapsed, Steps(_fit, _continue, callback))
        )
    plan = make_plan(survey, settings, elapsed)
    if learned:
        survey.guesses.append(learned)
        plan.reasons["augment"] = f"learned: {learned.reason}"
        say(f"guess: {learned}")
    show_plan(plan, survey)
    start_folder(folder, survey, plan)
    return _fit(Loop(plan, elapsed, Table(folder, survey, plan, elapsed, callback)), folder, survey)


def _of_folds(folder: Path, ended: Ended) -> Run:
    return Run(folder, evaluation=ended.evaluation, ended=ended.ended, interrupted=ended.interrupted)


def _survey(settings: Config) -> Survey:
    device = choose_device(settings.device)
    largest = LARGEST if device == "cpu" else ON_GPU
    survey = survey_data(settings.data, settings, largest)
    survey.refuse_errors()
    return survey


def _resume(folder: Path, elapsed: Callable[[], float], callback: Callback | None) -> Run:
    """Continue a run that was stopped, exactly where its last checkpoint was."""
    if not (folder / CHECKPOINT).exists() and (folder / REPORT).exists():
        say(f"{folder} is complete: there is nothing to resume")
        return Run(folder, ended="complete")
    saved = read_plan(folder)
    check_log(saved.config.log)
    survey = _survey(saved.config)
    saved.refuse_other_data(survey)
    if saved.config.folds and saved.config.fold is None:
        keep_freed()
        use_compiled(saved.compiled)
        return _of_folds(
            folder, resume_folds(saved, survey, folder, elapsed, Steps(_fit, _continue, callback))
        )
    return _continue(folder, survey, elapsed, callback)


def _continue(folder: Path, survey: Survey, elapsed: Callable[[], float], callback: Callback | None) -> Run:
    """Continue a run whose data have been read, from its last checkpoint."""
    checkpoint = folder / CHECKPOINT
    has_checkpoint = checkpoint.exists()
    saved = read_plan(folder)
    spent = read_state(checkpoint)[0]["progress"]["seconds"] if has_checkpoint else 0.0
    keep_freed()
    use_compiled(saved.compiled)
    plan = saved.restore(survey)

    def total() -> float:
        return spent + elapsed()

    table = Table(folder, survey, plan, total, callback)
    loop = Loop(plan, total, table)
    if has_checkpoint:
        loop.resume(checkpoint)
        table.restore(loop.state)
        progress = loop.state.progress
        say(f"resuming {folder} after step {progress.steps:,}, {as_clock(progress.seconds)} spent")
    else:
        say(f"{folder} has no checkpoint yet: training starts again with the same plan")
    return _fit(loop, folder, survey)


def _fit(loop: Loop, folder: Path, survey: Survey) -> Run:
    """Train to the end, save the network, evaluate and report it."""
    warn(survey, before_training(survey, loop.plan))
    outcome = loop.run()
    loop.watcher.on_message(f"{outcome.ended} after {as_clock(loop.elapsed())}")
    plan = loop.plan
    warn(survey, after_training(plan, outcome))
    _keep(survey, plan, folder, outcome)
    run = _finish(survey, plan, folder, outcome)
    if not outcome.interrupted:
        remove_files(folder / CHECKPOINT)
    return run


def _keep(survey: Survey, plan: Plan, folder: Path, outcome: Outcome) -> None:
    """Write the weights to keep."""
    if outcome.tensors is None:
        if outcome.interrupted:
            say("stopped before the first step, so there is no network to keep")
            raise KeyboardInterrupt
        if outcome.ended == DIVERGED:
            raise UserError(
                "a loss or weight was not finite at once, so there is no network to keep: try another --seed or --model"
            )
        raise UserError("the time was over before the first step: give more --minutes")
    save(folder, outcome.tensors, make_card(survey, plan, outcome.side))
    if outcome.interrupted:
        say("evaluating the network so far (Ctrl-C again to leave at once)")


def _finish(survey: Survey, plan: Plan, folder: Path, outcome: Outcome) -> Run:
    """Evaluate and report the network as it will be loaded."""
    # As `evaluate` does later: compiled passes round otherwise, and it is to repeat the metrics.
    use_compiled(False)
    predictor = load(folder, device=plan.config.device or "cpu")
    rows = plan.division.final
    evaluation, fitted = finish_run(predictor, survey, folder, plan.division, rows)
    lacking = [f"{problem.level}: {problem.text}" for problem in class_problems(survey, plan.division)]
    evaluation = replace(evaluation, notes=(*evaluation.notes, *lacking))
    facts = predictor.engine.facts.as_dict() if predictor.output.of_positions else {}
    card = replace(predictor.card, scores=evaluation.single(), network_facts=facts, **fitted)
    save(folder, predictor.network.state_dict(), card)
    maps = {} if outcome.interrupted else maps_beside(predictor, evaluation)
    write_report(folder / REPORT, evaluation, card, outcome, plan, survey, maps)
    return Run(folder, evaluation=evaluation, ended=outcome.ended, interrupted=outcome.interrupted)
