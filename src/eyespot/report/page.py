"""One self-contained HTML page about a run: curves, confusions, classes, reliability, worst and most uncertain images."""

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyespot.data.findings import Survey
from eyespot.data.header import Array
from eyespot.data.masks import VOID
from eyespot.data.preprocess.preprocessing import OWN
from eyespot.evaluation.classes import ClassDetails, confusions
from eyespot.evaluation.evaluation import Evaluation
from eyespot.evaluation.masks import Case
from eyespot.files import write_file
from eyespot.metrics.intervals import percent
from eyespot.parallel import cores
from eyespot.pictures import embedded, enlarged, overlay, to_display
from eyespot.report import charts
from eyespot.training.loop import Outcome
from eyespot.training.plan import Plan
from eyespot.weights.card import Card

SHOWN = 24
"""Images in each gallery."""
WORST = 8
"""Images in the report of masks."""
LARGEST_MATRIX = 40
"""Classes up to which the whole confusion matrix is drawn."""


def write_report(
    path: Path, evaluation: Evaluation, card: Card, outcome: Outcome, plan: Plan, survey: Survey
) -> None:
    """Write the page. It opens anywhere, without a network."""
    headline = [
        (title, percent(evaluation.scores[key]))
        for key, title in evaluation.details.titles.items()
        if key in evaluation.scores
    ]
    html = template("page.html.j2").render(
        **frame(card, outcome, plan, survey),
        **PARTS[survey.task](evaluation, survey),
        body=f"{survey.task}.html.j2",
        headline=headline,
    )
    write_file(path, html)


def class_parts(evaluation: Evaluation, survey: Survey) -> dict[str, Any]:
    """What the report of classes shows beside the frame."""
    scores = evaluation.scores
    details = evaluation.details
    p_true = details.probabilities[np.arange(len(details.labels)), details.labels]
    wrong = np.flatnonzero(details.probabilities.argmax(1) != details.labels)
    worst = wrong[np.argsort(p_true[wrong])][:SHOWN]
    ordered = np.sort(details.probabilities, axis=1)
    uncertain = np.argsort(ordered[:, -1] - ordered[:, -2])[:SHOWN]
    small = len(evaluation.classes) <= LARGEST_MATRIX
    return {
        "n": len(details.labels),
        "classes": [
            (name, *(percent(of_class[k]) for k in ("recall", "precision", "f1")), of_class["recall"]["n"])
            for name, of_class in scores["classes"].items()
        ],
        "matrix": _matrix(scores["confusion"]) if small else None,
        "confused": confusions(scores["confusion"], evaluation.classes)[:12],
        "reliability": charts.reliability(scores["reliability"]),
        "galleries": [
            (
                "Most wrong",
                "The mistakes with the highest confidence. Wrong labels in the data are often among them.",
                _gallery(details, worst),
            ),
            (
                "Most uncertain",
                "The two most probable classes are nearly equal.",
                _gallery(details, uncertain),
            ),
        ],
    }


def mask_parts(evaluation: Evaluation, survey: Any) -> dict[str, Any]:
    """What the report of masks shows beside the frame."""
    share = survey.shares.mean(0)
    columns = ("iou", "dice", "recall", "precision", "boundary_f")
    of_class = evaluation.scores["classes"]
    cases = evaluation.details.cases
    return {
        "n": len(cases),
        "by_group": evaluation.details.by_group,
        "classes": [
            (name, f"{share[k]:.1%}", *(percent(of_class[name][column]) for column in columns))
            for k, name in enumerate(evaluation.classes)
        ],
        "worst": [_compared(case, survey) for case in cases[:WORST] if case.image is not None],
    }


PARTS: dict[str, Callable[[Evaluation, Any], dict[str, Any]]] = {
    "classification": class_parts,
    "segmentation": mask_parts,
}
"""By the survey's task."""


def template(name: str) -> Any:
    """A page's template; those that it includes stand beside it."""
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("eyespot", "report")
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(
        name
    )


def frame(card: Card, outcome: Outcome, plan: Plan, survey: Survey) -> dict[str, Any]:
    """What every report says, whatever was learned."""
    size = plan.config.size if survey.preprocessing.fit == OWN else survey.preprocessing.size
    return {
        "name": survey.source.name,
        "card": card,
        "word": survey.word,
        "size": " × ".join([str(size)] * survey.preprocessing.dim)
        + " frames" * (survey.preprocessing.view == "spectrum"),
        "ended": outcome.ended,
        "machine": f"{platform.machine()}, {cores()} cores, {plan.config.device}",
        "trained": len(plan.train),
        "curves": charts.curves(outcome.history, plan.task.score) if outcome.history else None,
        "reasons": [(k, getattr(plan.config, k, ""), v) for k, v in plan.reasons.items()],
        "problems": survey.problems,
        "checks": len(survey.checks),
        "split": plan.reasons["split"],
    }


def _compared(case: Case, survey: Any) -> dict[str, Any]:
    """One image, its mask, the prediction and the difference, side by side."""
    assert case.image is not None and case.truth is not None and case.predicted is not None
    wrong = ((case.truth != case.predicted) & (case.truth != VOID)).astype(np.uint8)
    nothing = np.zeros_like(case.truth)
    truth, predicted = (survey.as_shown(labels) for labels in (case.truth, case.predicted))
    shown = [overlay(case.image, labels) for labels in (nothing, truth, predicted, wrong)]
    pictures = [Image.fromarray(each) for each in shown]
    for picture in pictures:
        picture.thumbnail((480, 480))
    return {
        "iou": f"{100 * case.iou:.0f}%",
        "file": Path(case.path).name,
        "path": case.path,
        "images": [embedded(p) for p in pictures],
    }


def _matrix(matrix: list[list[int]]) -> list[list[tuple[int, float, bool]]]:
    """Count, share of its row for the shade, and whether it is right."""
    return [[(n, n / max(1, sum(row)), i == j) for j, n in enumerate(row)] for i, row in enumerate(matrix)]


def _gallery(details: ClassDetails, rows: np.ndarray) -> list[dict[str, Any]]:
    figures = []
    for i in rows:
        p = details.probabilities[i]
        label = int(details.labels[i])
        predicted = int(p.argmax())
        figures.append(
            {
                "image": embedded(_shown(details.pixels[i])),
                "file": Path(details.paths[i]).name,
                "path": details.paths[i],
                "truth": details.classes[label],
                "predicted": details.classes[predicted],
                "p": f"{100 * p[predicted]:.0f}%",
                "right": label == predicted,
            }
        )
    return figures


def _shown(image: Array) -> Image.Image:
    picture = to_display(image)
    return enlarged(picture, 96) if picture.width < 96 else picture.resize((128, 128))
