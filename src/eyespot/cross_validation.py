"""`eyespot train --folds K`: a run in a folder of its own for each fold, then the metrics of all, and one ensemble."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from eyespot.config import Config
from eyespot.console import say
from eyespot.data.surveys.survey import WARNING, Problem, Survey
from eyespot.evaluation.evaluate import finish_run
from eyespot.evaluation.evaluation import Evaluation
from eyespot.evaluation.out_of_fold import pooled, write_predictions
from eyespot.fast import use_compiled
from eyespot.plurals import count
from eyespot.prediction.load import load
from eyespot.report.page import write_report
from eyespot.run_folder import (
    CHECKPOINT,
    PLAN,
    REPORT,
    Callback,
    SavedPlan,
    Table,
    agrees_compiled,
    make_card,
    show_plan,
    start_folder,
)
from eyespot.training.division import split_rows
from eyespot.training.folds import FoldPlans, plan_folds
from eyespot.training.loop import Loop, Outcome
from eyespot.weights.card import NAME, Card, read_card
from eyespot.weights.ensemble_file import fold_folder, write_ensemble

if TYPE_CHECKING:
    from eyespot.run import Run

Elapsed = Callable[[], float]
OUT_OF_FOLD = "out-of-fold"
"""In the card of an ensemble: its metrics are not its own, but of each sample by the network not trained on it."""


@dataclass(frozen=True)
class Ended:
    """How a cross-validation ended: the metrics of the folds that are complete, and why there are no more."""

    evaluation: Evaluation | None
    ended: str
    interrupted: bool


class Steps(NamedTuple):
    """What `eyespot train` does with a single run.

    fit        train to the end, save the network, evaluate and report it
    resume     the same for a run that was interrupted
    callback   what is called after each validation
    """

    fit: "Callable[[Loop, Path, Survey], Run]"
    resume: "Callable[[Path, Survey, Elapsed, Callback | None], Run]"
    callback: Callback | None


@dataclass
class Progress:
    """The folds of a cross-validation as far as they are.

    compiled      whether compiled passes may be used in training
    evaluations   of each complete fold on its own validation set
    interrupted   the run of the fold in which training was stopped
    """

    folder: Path
    plans: FoldPlans
    compiled: bool
    evaluations: dict[int, Evaluation] = field(default_factory=dict)
    interrupted: "Run | None" = None
    stopped: bool = False

    @property
    def missing(self) -> list[int]:
        return [fold for fold in range(1, self.plans.k + 1) if fold not in self.evaluations]

    def run(self, fold: int, work: "Callable[[], Run]") -> None:
        """Train a fold, and keep what became of it."""
        try:
            run = work()
        except KeyboardInterrupt:  # before its first step
            if not self.evaluations:
                raise
            self.stopped = True
            return
        if run.interrupted:
            self.interrupted = run
            self.stopped = True
        else:
            self.evaluations[fold] = self.evaluated(fold, run.evaluation)

    def evaluated(self, fold: int, evaluation: Evaluation | None) -> Evaluation:
        """The evaluation of a complete fold on its validation set: the run's own, unless that is of a test set."""
        survey = self.plans.survey
        division = split_rows(survey, replace(self.plans.config, fold=fold), self.plans.first.before)
        if evaluation is not None and not len(division.test):
            return evaluation
        folder = fold_folder(self.folder, fold)
        predictor = load(folder, device=self.plans.config.device or "cpu")
        return finish_run(predictor, survey, folder, division, division.val)[0]


def train_folds(survey: Survey, settings: Config, folder: Path, elapsed: Elapsed, steps: Steps) -> Ended:
    """Train all folds of a new run."""
    plans = plan_folds(survey, settings, elapsed)
    show_plan(plans.whole(), survey)
    start_folder(folder, survey, plans.whole())
    progress = Progress(folder, plans, agrees_compiled(plans.first))
    for fold in progress.missing:
        _train_fold(progress, fold, elapsed, steps, plans.share(fold, elapsed()))
        if progress.stopped:
            break
    return _end(progress)


def resume_folds(saved: SavedPlan, survey: Survey, folder: Path, elapsed: Elapsed, steps: Steps) -> Ended:
    """Continue with the fold that was interrupted; those that are complete are kept as they are."""
    first = replace(saved, config=replace(saved.config, fold=1)).restore(survey)
    plans = FoldPlans(survey, first, saved.config)
    progress = Progress(folder, plans, saved.compiled)
    for fold in progress.missing:
        if is_complete(fold_folder(folder, fold)):
            progress.evaluations[fold] = progress.evaluated(fold, None)
    say(f"resuming {folder}: {len(progress.evaluations)} of {count(plans.k, 'fold')} complete")
    for fold in progress.missing:
        of_fold = fold_folder(folder, fold)
        if (of_fold / PLAN).exists():
            say(f"fold {fold} of {plans.k}")
            own = _from_now(elapsed)
            progress.run(
                fold, lambda path=of_fold, own=own: steps.resume(path, _copy(survey), own, steps.callback)
            )
        else:
            _train_fold(progress, fold, elapsed, steps, plans.seconds)
        if progress.stopped:
            break
    return _end(progress)


def is_complete(folder: Path) -> bool:
    """Whether the run of a fold ended and was evaluated."""
    return (folder / REPORT).exists() and not (folder / CHECKPOINT).exists()


def _train_fold(progress: Progress, fold: int, elapsed: Elapsed, steps: Steps, seconds: float | None) -> None:
    """Train one fold from its beginning, for so many seconds."""
    survey = _copy(progress.plans.survey)
    use_compiled(progress.compiled)
    own = _from_now(elapsed)
    plan = progress.plans.plan(fold, seconds)
    folder = fold_folder(progress.folder, fold)
    sizes = f"{count(len(plan.train), survey.word)} for training, {len(plan.val):,} for validation"
    say(f"fold {fold} of {progress.plans.k}: {sizes}")
    start_folder(folder, survey, plan)
    table = Table(folder, survey, plan, own, steps.callback)
    progress.run(fold, lambda: steps.fit(Loop(plan, own, table), folder, survey))
    say("")


def _from_now(elapsed: Elapsed) -> Elapsed:
    """The clock of a fold: seconds since it began."""
    began = elapsed()
    return lambda: elapsed() - began


def _copy(survey: Survey) -> Survey:
    """The survey with its own list of problems, to which a run adds its own."""
    return replace(survey, problems=[*survey.problems])


def _end(progress: Progress) -> Ended:
    """Pool and report the folds that are complete; say which are missing."""
    ended = f"{count(progress.plans.k, 'fold')} are complete"
    if progress.missing:
        ended = _missing(progress)
        say(ended)
    if not progress.evaluations:
        assert progress.interrupted is not None
        return Ended(progress.interrupted.evaluation, ended, True)
    folder = progress.folder
    card = _card(progress)
    write_ensemble(folder, card, [*progress.evaluations])
    predictor = load(folder, device=progress.plans.config.device or "cpu")
    evaluation = pooled(predictor, folder, progress.evaluations, _names(progress.plans))
    write_predictions(folder, progress.evaluations)
    card = replace(card, scores=evaluation.single())
    write_ensemble(folder, card, [*progress.evaluations])
    if not progress.missing:
        _report(progress, evaluation, card)
    return Ended(evaluation, ended, progress.stopped)


def _missing(progress: Progress) -> str:
    """What there is, and what is missing."""
    complete = ", ".join(map(str, progress.evaluations)) or "none"
    missing = ", ".join(map(str, progress.missing))
    so_far = f"; the network so far of fold {progress.missing[0]} is kept" * bool(progress.interrupted)
    return f"stopped by Ctrl-C: folds complete: {complete}; missing: {missing}{so_far}"


def _card(progress: Progress) -> Card:
    """What the ensemble says of itself: as its first network, but for what is of one network alone."""
    of_fold = read_card(fold_folder(progress.folder, min(progress.evaluations)) / NAME)
    whole = progress.plans.whole()
    card = make_card(progress.plans.survey, whole, of_fold.preprocessing["side"])
    return replace(card, data=card.data | ({} if len(whole.test) else {"metrics": OUT_OF_FOLD}))


def _names(plans: FoldPlans) -> dict[str, str]:
    """What each sample stays together with, by its path; empty where each is on its own."""
    clusters = plans.first.division.clusters.tolist()
    if len(set(clusters)) == len(clusters):
        return {}
    return {plans.survey.path(row): str(cluster) for row, cluster in enumerate(clusters)}


def _report(progress: Progress, evaluation: Evaluation, card: Card) -> None:
    """The page about all folds."""
    plans = progress.plans
    survey = _copy(plans.survey)
    groups = evaluation.details.groups
    if groups is not None:
        survey.add_problems(Problem(WARNING, note.removeprefix("warning: ")) for note in groups.notes())
    outcome = Outcome(None, card.preprocessing["side"], [], f"{count(plans.k, 'fold')}")
    write_report(progress.folder / REPORT, evaluation, card, outcome, plans.whole(), survey)
