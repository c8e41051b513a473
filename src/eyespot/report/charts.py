"""The report's charts: how training went, and whether confidence can be trusted."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eyespot.pages.charts import BLUE, GREY, ORANGE, Chart, chart, svg
from eyespot.plurals import count

ROWS = 24
"""Validations in the table below a chart, at the most."""
WIDTH = 4.4
HEIGHT = 3.1
DOTS = (24.0, 260.0)
"""Areas of the dots of the reliability diagram, for the smallest and the largest n."""


def curves(history: list[Any], score: str) -> list[Chart]:
    """Loss and score over the epochs."""
    epochs = [row.epoch for row in history]
    losses = {
        "training": ([row.train_loss for row in history], GREY, "--"),
        "validation": ([row.loss for row in history], ORANGE, "-"),
    }
    scores = {"validation": ([100 * row.score for row in history], BLUE, "-")}
    return [
        _lines("Loss", "loss", epochs, losses, "{:.4g}".format, 0),
        _lines(f"Validation {score}", f"{score} (%)", epochs, scores, "{:.1f}%".format),
    ]


def _lines(
    title: str,
    name: str,
    epochs: list[float],
    series: dict[str, tuple[list[float], str, str]],
    text: Callable[[float], str],
    bottom: float | None = None,
) -> Chart:
    """A chart of lines over epochs, its description and its table."""
    with chart(WIDTH, HEIGHT) as (figure, axis):
        for label, (values, colour, style) in series.items():
            marker = "o" if len(values) < 3 else None
            axis.plot(epochs, values, color=colour, linestyle=style, marker=marker, label=label)
        axis.set(xlabel="epoch", ylabel=name, xlim=(0, None), ylim=(bottom, None))
        if len(series) > 1:
            axis.legend(frameon=False)
        drawn = svg(figure, described(title, epochs, {k: v for k, (v, _, _) in series.items()}, text))
    shown = np.unique(np.linspace(0, len(epochs) - 1, min(ROWS, len(epochs))).astype(int)).tolist()
    rows = [[f"{epochs[i]:g}", *(text(values[i]) for values, _, _ in series.values())] for i in shown]
    return Chart(title, drawn, ("epoch", *series), rows)


def described(
    title: str, epochs: list[float], series: dict[str, list[float]], text: Callable[[float], str]
) -> str:
    """Where each line begins and ends, in words."""
    ends = "; ".join(f"{label} {text(values[0])} to {text(values[-1])}" for label, values in series.items())
    return f"{title} from epoch {epochs[0]:g} to {epochs[-1]:g}: {ends}"


def reliability(bins: Sequence[dict[str, Any]], word: str) -> Chart:
    """Accuracy against confidence, dots as large as their bins: on the diagonal, a stated 80% is right 80% of the time."""
    n = np.array([b["accuracy"]["n"] for b in bins])
    x = np.array([b["confidence"] for b in bins])
    value, low, high = (np.array([b["accuracy"][key] for b in bins]) for key in ("value", "low", "high"))
    areas = DOTS[0] + (DOTS[1] - DOTS[0]) * n / n.max()
    with chart(WIDTH, 4.0) as (figure, axis):
        axis.errorbar(x, value, [value - low, high - value], color=BLUE, linestyle="none", linewidth=1)
        axis.scatter(x, value, s=areas, color=BLUE, zorder=3)
        ends = limits(x), limits(np.r_[low, value])
        axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, zorder=1)
        axis.set(xlabel="confidence", ylabel="accuracy", xlim=ends[0], ylim=ends[1])
        alternative = (
            f"Accuracy by confidence, in {count(len(bins), 'bin')} of confidence; the table has the numbers"
        )
        drawn = svg(figure, alternative)
    rows = [
        (f"{100 * c:.1f}%", f"{100 * v:.1f}% ({100 * lo:.1f}-{100 * hi:.1f})", f"{k:,}")
        for c, v, lo, hi, k in zip(x, value, low, high, n, strict=True)
    ]
    title = f"Accuracy by confidence; a larger dot is more {word}s"
    return Chart(title, drawn, ("confidence", "accuracy", f"{word}s"), rows)


def limits(values: Any) -> tuple[float, float]:
    """An axis of shares on which all values and 1 are, and as little else as possible."""
    low = float(np.min(values))
    margin = max(0.03, 0.06 * (1 - low))
    return (low - margin if low > margin else -margin / 2), 1 + margin
