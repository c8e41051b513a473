"""One self-contained HTML page about a run: curves, confusions, classes, reliability, worst and most uncertain images."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyespot.data.findings import PairSurvey, Survey
from eyespot.data.header import Array
from eyespot.data.masks import VOID
from eyespot.data.preprocess.preprocessing import OWN
from eyespot.evaluation import Evaluation, confusions
from eyespot.files import write_file
from eyespot.mask_evaluation import TITLES as MASK_TITLES
from eyespot.mask_evaluation import Case, MaskEvaluation
from eyespot.metrics.classes import TITLES, percent
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
    path: Path, evaluation: Evaluation, card: Card, outcome: Outcome, plan: Plan, found: Survey
) -> None:
    """Write the page. It opens anywhere, without a network."""
    s = evaluation.scores
    true = evaluation.probabilities[np.arange(len(evaluation.labels)), evaluation.labels]
    wrong = np.flatnonzero(evaluation.probabilities.argmax(1) != evaluation.labels)
    worst = wrong[np.argsort(true[wrong])][:SHOWN]
    top = np.sort(evaluation.probabilities, axis=1)
    unsure = np.argsort(top[:, -1] - top[:, -2])[:SHOWN]
    html = template("page.html.j2").render(
        **frame(card, outcome, plan, found),
        n=len(evaluation.labels),
        headline=[(title, percent(s[key])) for key, title in TITLES.items() if key in s],
        classes=[
            (name, *(percent(c[k]) for k in ("recall", "precision", "f1")), c["recall"]["n"])
            for name, c in s["classes"].items()
        ],
        matrix=_matrix(s["confusion"]) if len(card.classes) <= LARGEST_MATRIX else None,
        confused=confusions(s["confusion"], card.classes)[:12],
        reliability=charts.reliability(s["reliability"]),
        galleries=[
            (
                "Most wrong",
                "The mistakes it was surest of. Wrong labels in the data tend to stand here.",
                _gallery(evaluation, worst),
            ),
            ("Most uncertain", "The two likeliest classes nearly tie.", _gallery(evaluation, unsure)),
        ],
    )
    write_file(path, html)


def template(name: str) -> Any:
    """A page's template; those that it includes stand beside it."""
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("eyespot", "report")
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(
        name
    )


def frame(card: Card, outcome: Outcome, plan: Plan, found: Survey) -> dict[str, Any]:
    """What every report says, whatever was learned."""
    size = plan.config.size if found.preprocessing.fit == OWN else found.preprocessing.size
    return {
        "name": found.source.name,
        "card": card,
        "word": found.word,
        "size": " × ".join([str(size)] * found.preprocessing.dim)
        + " frames" * (found.preprocessing.view == "spectrum"),
        "ended": outcome.ended,
        "machine": f"{platform.machine()}, {cores()} cores, {plan.config.device}",
        "trained": len(plan.train),
        "curves": charts.curves(outcome.history, plan.task.score) if outcome.history else None,
        "reasons": [(k, getattr(plan.config, k, ""), v) for k, v in plan.reasons.items()],
        "problems": found.problems,
        "split": plan.reasons["split"],
    }


def write_mask_report(
    path: Path, evaluation: MaskEvaluation, card: Card, outcome: Outcome, plan: Plan, found: PairSurvey
) -> None:
    """Write the page of a network of masks."""
    s, share = evaluation.scores, found.shares.mean(0)
    html = template("masks.html.j2").render(
        **frame(card, outcome, plan, found),
        evaluation=evaluation,
        n=len(evaluation.cases),
        headline=[(title, percent(s[key])) for key, title in MASK_TITLES.items() if key in s],
        classes=[
            (
                name,
                f"{share[k]:.1%}",
                *(
                    percent(s["classes"][name][what])
                    for what in ("iou", "dice", "recall", "precision", "boundary_f")
                ),
            )
            for k, name in enumerate(evaluation.classes)
        ],
        worst=[_compared(case, found) for case in evaluation.cases[:WORST] if case.image is not None],
    )
    write_file(path, html)


def _compared(case: Case, found: PairSurvey) -> dict[str, Any]:
    """One image, its mask, the prediction and the difference, side by side."""
    assert case.image is not None and case.truth is not None and case.said is not None
    wrong = ((case.truth != case.said) & (case.truth != VOID)).astype(np.uint8)
    nothing = np.zeros_like(case.truth)
    truth, said = (found.as_shown(labels) for labels in (case.truth, case.said))
    shown = [overlay(case.image, labels) for labels in (nothing, truth, said, wrong)]
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


def _gallery(evaluation: Evaluation, rows: np.ndarray) -> list[dict[str, Any]]:
    out = []
    for i in rows:
        p = evaluation.probabilities[i]
        truth, said = int(evaluation.labels[i]), int(p.argmax())
        out.append(
            {
                "image": embedded(_shown(evaluation.pixels[i])),
                "file": Path(evaluation.paths[i]).name,
                "path": evaluation.paths[i],
                "truth": evaluation.classes[truth],
                "said": evaluation.classes[said],
                "p": f"{100 * p[said]:.0f}%",
                "right": truth == said,
            }
        )
    return out


def _shown(image: Array) -> Image.Image:
    picture = to_display(image)
    return enlarged(picture, 96) if picture.width < 96 else picture.resize((128, 128))
