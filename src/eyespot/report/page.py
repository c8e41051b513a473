"""One self-contained HTML page about a run: curves, confusions, classes, reliability, worst and most uncertain images."""

import platform
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyespot.data.facts import Array
from eyespot.data.survey import Survey
from eyespot.evaluation import Evaluation, confusions
from eyespot.files import cores, write_whole
from eyespot.pictures import embedded, enlarged, to_display
from eyespot.report import charts
from eyespot.scores import TITLES, percent
from eyespot.training.loop import Outcome
from eyespot.training.plan import Plan
from eyespot.weights import Card

SHOWN = 24
"""Images in each gallery."""
LARGEST_MATRIX = 40
"""Classes up to which the whole confusion matrix is drawn."""


def write_report(
    path: Path, evaluation: Evaluation, card: Card, outcome: Outcome, plan: Plan, found: Survey
) -> None:
    """Write the page. It opens anywhere, without a network."""
    from jinja2 import Environment

    template = files("eyespot.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template)
    s = evaluation.scores
    true = evaluation.probabilities[np.arange(len(evaluation.labels)), evaluation.labels]
    wrong = np.flatnonzero(evaluation.probabilities.argmax(1) != evaluation.labels)
    worst = wrong[np.argsort(true[wrong])][:SHOWN]
    top = np.sort(evaluation.probabilities, axis=1)
    unsure = np.argsort(top[:, -1] - top[:, -2])[:SHOWN]
    html = page.render(
        name=found.source.name,
        card=card,
        word=found.word,
        size=" × ".join([str(found.reading.size)] * found.reading.dim)
        + (" frames" if found.reading.view == "spectrum" else ""),
        ended=outcome.ended,
        machine=f"{platform.machine()}, {cores()} cores, {plan.config.device}",
        n=len(evaluation.labels),
        trained=len(plan.train),
        headline=[(title, percent(s[key])) for key, title in TITLES.items() if key in s],
        classes=[
            (name, *(percent(c[k]) for k in ("recall", "precision", "f1")), c["recall"]["n"])
            for name, c in s["classes"].items()
        ],
        matrix=_matrix(s["confusion"]) if len(card.classes) <= LARGEST_MATRIX else None,
        confused=confusions(s["confusion"], card.classes)[:12],
        curves=charts.curves(outcome.history) if outcome.history else None,
        reliability=charts.reliability(s["reliability"]),
        galleries=[
            (
                "Most wrong",
                "The mistakes it was surest of. Wrong labels in the data tend to stand here.",
                _gallery(evaluation, worst),
            ),
            ("Most uncertain", "The two likeliest classes nearly tie.", _gallery(evaluation, unsure)),
        ],
        reasons=[(k, getattr(plan.config, k, ""), v) for k, v in plan.reasons.items()],
        problems=found.problems,
        split=plan.reasons["split"],
    )
    write_whole(path, html)


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
