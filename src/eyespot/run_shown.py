"""A run in a notebook: its metrics, the curves of its training, and where its report is."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from eyespot.metrics.intervals import percent
from eyespot.notebook import html
from eyespot.plurals import count
from eyespot.run_folder import HISTORY, REPORT
from eyespot.tasks.registry import task_of_card
from eyespot.weights.card import Card


def shown(folder: Path, card: Card) -> str:
    """The run of a folder, by its model's card and its history."""
    titles = task_of_card(card).evaluator().titles
    scores = {key: score for key, score in card.scores.items() if key in titles}
    rows = [
        (title, percent(scores[key]), f"{scores[key]['n']:,}")
        for key, title in titles.items()
        if key in scores
    ]
    of = f"metric on the {card.data['metrics']} images" if "metrics" in card.data else "metric"
    classes = count(len(card.classes), "class", "classes")
    history = read_history(folder)
    report = folder / REPORT
    return html.result(
        html.line(f"{folder}: {card.preset}, {classes}", strong=True),
        html.table([of, "value (95% interval)", "n"], rows, "metric"),
        _curves(history, task_of_card(card).training.score) if history else "",
        html.link(report.as_posix(), "report") if report.exists() else "",
    )


def read_history(folder: Path) -> list[Any]:
    """The rows of history.csv, the metrics of each validation by the names of its columns; none where there is no such file."""
    try:
        with (folder / HISTORY).open(newline="", encoding="utf-8") as file:
            return [
                SimpleNamespace(**{name: float(value) for name, value in row.items()})
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, TypeError):
        return []


def _curves(history: list[Any], score: str) -> str:
    from eyespot.report.charts import curves

    return html.charts(chart.svg for chart in curves(history, score))
