"""The metrics of a cross-validation: each sample as predicted by the network that was not trained on it."""

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from eyespot.data.header import WORD
from eyespot.data.sources.samples import Source
from eyespot.evaluation.evaluation import Evaluation
from eyespot.evaluation.fold_scores import FoldScores
from eyespot.evaluation.run_split import SEEN, of_split, share_held_out, split_rows, untrained
from eyespot.files import write_file
from eyespot.prediction.model_file import make_predictor
from eyespot.prediction.predictor import Predictor
from eyespot.tasks.registry import task_of_card
from eyespot.weights.ensemble_file import fold_folder, read_ensemble

PREDICTIONS = "predictions.csv"


def evaluate_folds(ensemble: Predictor, run: Path) -> Evaluation:
    """Evaluate each fold of a run on its own validation set, and pool them; and the ensemble on the test set, if any."""
    folds = read_ensemble(run)[1]
    evaluator = task_of_card(ensemble.card).evaluator()
    engine = ensemble.engine
    evaluations: dict[int, Evaluation] = {}
    names: dict[str, str] = {}
    for fold, member, card in zip(folds, engine.members, engine.cards, strict=True):
        folder = fold_folder(run, fold)
        source = of_split(folder, "val")
        names |= names_by_path(source)
        evaluations[fold] = evaluator.on_source(make_predictor(card, member), source, folder, str(folder))
    return pooled(ensemble, run, evaluations, names)


def names_by_path(source: Source) -> dict[str, str]:
    """The group of each sample by its path; empty where each is on its own."""
    groups = source.groups
    if groups is None:
        return {}
    return {str(sample.path): group for sample, group in zip(source.samples, groups, strict=True)}


def pooled(
    ensemble: Predictor, run: Path, evaluations: Mapping[int, Evaluation], names: Mapping[str, str]
) -> Evaluation:
    """The metrics of all folds together; where there is a test set, those of the ensemble on it, with the pooled one.

    evaluations   of each fold on its own validation set, in their order
    names         the group of each sample by its path; empty where each is on its own
    """
    card = ensemble.card
    evaluator = task_of_card(card).evaluator()
    key, title = ensemble.output.metric
    k = int(card.plan["folds"])
    share = f"each held out in one of {k} folds" if card.plan.get("group") or has_groups(run) else ""
    evaluation = evaluator.pool([*evaluations.values()], names or None, share)
    word = WORD[ensemble.preprocessing.dim]
    folds = FoldScores(title, word, k, {fold: of_fold.scores[key] for fold, of_fold in evaluations.items()})
    of_folds = (*folds.notes(), *_notes(evaluations, word))
    notes = (*of_folds, *evaluation.notes)
    evaluation = _with_seen(evaluation, evaluations)
    if not any(row["split"] == "test" for row in split_rows(run)):
        return replace(evaluation, folds=folds, notes=notes)
    tested = evaluator.on_source(ensemble, untrained(run), run, str(run), share_held_out(run))
    folds = replace(folds, pooled=evaluation.scores[key])
    return replace(tested, folds=folds, notes=(*of_folds, *tested.notes))


def has_groups(run: Path) -> bool:
    """Whether a run's split names groups."""
    return all(row.get("group") for row in split_rows(run))


def _with_seen(evaluation: Evaluation, evaluations: Mapping[int, Evaluation]) -> Evaluation:
    """The pooled evaluation with the samples that the networks, or the weights they started from, had been trained on."""
    seen_by_fold = [of_fold.seen for of_fold in evaluations.values() if of_fold.seen]
    if not seen_by_fold:
        return evaluation
    files = {path: original for seen in seen_by_fold for path, original in seen["files"].items()}
    n = sum(seen["n"] for seen in seen_by_fold)
    scores = evaluation.scores
    if n:
        scores = scores | {name: score | {"seen": n} for name, score in evaluation.single().items()}
    seen = {"n": n, "of": sum(seen["of"] for seen in seen_by_fold), "files": files}
    return replace(evaluation, scores=scores, seen=seen)


def _notes(evaluations: Mapping[int, Evaluation], word: str) -> tuple[str, ...]:
    """What is said of samples that had been trained on, or of which that is not known."""
    known = sum(of_fold.seen.get("n", 0) for of_fold in evaluations.values())
    n = sum(of_fold.seen.get("of", 0) for of_fold in evaluations.values())
    text = f"warning: {known:,} of the {n:,} out-of-fold {word}s {SEEN}, so their scores are too good"
    unknown = [note for of_fold in evaluations.values() for note in of_fold.notes if "not known" in note]
    return (*(text,) * bool(known), *dict.fromkeys(unknown))


def write_predictions(run: Path, evaluations: Mapping[int, Evaluation]) -> None:
    """predictions.csv: a row for each sample, as predicted by the fold that was not trained on it."""
    text = io.StringIO()
    writer: Any = None
    for fold, evaluation in evaluations.items():
        for row in evaluation.details.rows():
            content = {"path": row["path"], "fold": fold} | row
            if writer is None:
                writer = csv.DictWriter(text, [*content], lineterminator="\n")
                writer.writeheader()
            writer.writerow(content)
    write_file(run / PREDICTIONS, text.getvalue())
