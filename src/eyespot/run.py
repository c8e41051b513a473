"""`eyespot train`, from a folder to a run: survey, plan, loop, model file, evaluation, report."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from eyespot.console import clock as as_clock
from eyespot.console import count, say
from eyespot.data.pair_survey import PairSurvey, survey_any
from eyespot.data.preprocess.choose import LARGEST, ON_GPU, Wishes
from eyespot.data.survey import Survey
from eyespot.errors import UserError
from eyespot.evaluation import Evaluation, answer, assess
from eyespot.evaluation import evaluate as assess_data
from eyespot.fast import keep_freed, return_freed, use_compiled
from eyespot.files import remove_if_empty
from eyespot.mask_evaluation import MaskEvaluation, assess_pairs, evaluate_masks
from eyespot.metrics.classes import percent, temperature
from eyespot.models import check_preset
from eyespot.prediction.loading import load
from eyespot.prediction.masks import MaskPrediction, MaskPredictor
from eyespot.prediction.predictor import Predictions, Predictor, model_file
from eyespot.report.page import write_mask_report, write_report
from eyespot.run_folder import Table, make_card, run_folder, save, show_plan, start_folder
from eyespot.training.config import Config, read_config
from eyespot.training.devices import choose_device
from eyespot.training.loop import DIVERGED, DONE, Outcome, clock, fit
from eyespot.training.plan import Plan, make_plan
from eyespot.weights.load import read
from eyespot.weights.published import IMAGENET
from eyespot.weights.start import find

NAMED = 3
"""Files that are named with a warning; `look` names all."""


class Run:
    """A trained network in its folder. Shows itself; answers questions through the Predictor that its file loads."""

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        evaluation: Evaluation | MaskEvaluation | None = None,
        ended: str = "",
        interrupted: bool = False,
        device: str = "cpu",
    ):
        self.folder, self.device = Path(folder), device
        self.evaluation, self.ended, self.interrupted = evaluation, ended, interrupted
        self._predictor: Predictor | MaskPredictor | None = None

    @property
    def predictor(self) -> Predictor | MaskPredictor:
        if self._predictor is None:
            self._predictor = load(self.folder, device=self.device)
        return self._predictor

    def predict(self, images: Any) -> Predictions | list[MaskPrediction]:
        """Classes or label maps of one or several images: paths, Pillow images or arrays."""
        return self.predictor(images)

    def evaluate(self, data: str | os.PathLike | None = None) -> Evaluation | MaskEvaluation:
        """Scores on a data set, or on the images that were held out."""
        run, predictor = model_file(self.folder).parent, self.predictor
        if isinstance(predictor, MaskPredictor):
            return evaluate_masks(predictor, run, data)
        return assess_data(predictor, run, data)

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
    void: str | None = None,
    multilabel: bool | None = None,
    loss: str | None = None,
    batch: int | None = None,
    recipe: str | None = None,
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
        data=None if data is None else str(data), minutes=minutes, epochs=epochs, model=model, size=size, fit=fit, dim=dim,
        view=view, void=void, multilabel=multilabel, loss=loss, batch=batch, recipe=recipe, augment=augment, group=group,
        held_out=held_out, seed=seed, device=device, start_from=None if start_from is None else str(start_from),
        fine_tune=fine_tune,
    )  # fmt: skip
    typed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    settings = read_config(Path(config), typed) if config is not None else Config(**typed)
    if not settings.data:
        raise UserError(
            "no data was named: give a folder, a CSV, a built-in set such as digits, or --config FILE"
        )
    folder, threads = run_folder(out, settings.data, force), torch.get_num_threads()
    try:
        return _train(settings, folder, elapsed)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"the GPU's memory is too small for this ({str(error).splitlines()[0][:80]}); give a smaller --batch, --size or --model, "
            "or --device cpu"
        ) from error
    finally:
        torch.set_num_threads(threads)
        use_compiled(False)
        return_freed()
        if out is None:
            remove_if_empty(folder)
            remove_if_empty(folder.parent)


def evaluate(
    run: str | os.PathLike, data: str | os.PathLike | None = None, *, device: str = "cpu"
) -> Evaluation | MaskEvaluation:
    """Scores of a run on a data set, or on the images that it held out."""
    return Run(run, device=device).evaluate(data)


def predict(
    run: str | os.PathLike, images: Any, *, device: str = "cpu"
) -> Predictions | list[MaskPrediction]:
    """Answers of a run for one or several images: paths, Pillow images or arrays."""
    return Run(run, device=device).predict(images)


def _train(settings: Config, folder: Path, elapsed: Callable[[], float]) -> Run:
    if settings.model is not None:
        check_preset(settings.model)
    if settings.start_from not in (None, IMAGENET):
        read(find(settings.start_from, ""))  # refused before minutes go into reading the images
    device = choose_device(settings.device)
    wishes = Wishes(settings.size, settings.fit, settings.dim, settings.view)
    largest = LARGEST if device == "cpu" else ON_GPU
    found = survey_any(settings.data, wishes, largest, settings.void, settings.multilabel)
    found.refuse_errors()
    say(
        f"{found.source.name}: {count(len(found.labels), found.word)} in {count(len(found.classes), 'class', 'classes')}"
    )
    for problem in found.problems:
        if problem.level != "note":
            some = ", ".join(problem.files[:NAMED]) + ", ..." * (len(problem.files) > NAMED)
            say(f"{problem.level}: {problem.text}" + f" ({some})" * bool(some))
    keep_freed()
    use_compiled()
    plan = make_plan(found, settings, elapsed)
    show_plan(plan, found)
    start_folder(folder, found, plan)
    table = Table(folder, found, plan, elapsed)
    outcome = fit(plan, elapsed, table.row, table.step)
    table.clear()
    say(f"{outcome.ended} after {as_clock(elapsed())}")
    _keep(found, plan, folder, outcome, table)
    finish = finish_masks if isinstance(found, PairSurvey) else _finish
    return finish(found, plan, folder, outcome)  # type: ignore[arg-type]


def _keep(found: Survey, plan: Plan, folder: Path, outcome: Outcome, table: Table) -> None:
    """Write the last network, unless the best so far is to be kept."""
    if outcome.ended == DONE or not table.saved:
        if not table.steps:
            say("stopped before the first step, so there is no network to keep")
            raise KeyboardInterrupt
        if outcome.ended == DIVERGED:
            raise UserError(
                "the loss became infinite at once, so there is no network to keep: try another --seed or --model"
            )
        save(folder, outcome.network.state_dict(), make_card(found, plan, outcome.side))
    if outcome.interrupted:
        say("scoring what there is (Ctrl-C again to leave at once)")


def finish_masks(found: PairSurvey, plan: Plan, folder: Path, outcome: Outcome) -> Run:
    """Evaluate and report a network of masks as it will be loaded."""
    trained = load(folder, device=plan.config.device or "cpu")
    assert isinstance(trained, MaskPredictor)
    rows = plan.test if len(plan.test) else plan.held
    groups = None if plan.groups is None else [plan.groups[i] for i in rows]
    evaluation = assess_pairs(trained, found, rows, groups)
    card = replace(trained.card, scores=evaluation.single())
    save(folder, trained.network.state_dict(), card)
    write_mask_report(folder / "report.html", evaluation, card, outcome, plan, found)
    return Run(folder, evaluation=evaluation, ended=outcome.ended, interrupted=outcome.interrupted)


def _finish(found: Survey, plan: Plan, folder: Path, outcome: Outcome) -> Run:
    """Tune the temperature, evaluate and report a network as it will be loaded."""
    trained = load(folder, device=plan.config.device or "cpu")
    assert isinstance(trained, Predictor)
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
