"""The report's charts, as SVG text."""

import io
from typing import Any

from markupsafe import Markup

BLUE, ORANGE, GREY = "#1f6f8b", "#d1603d", "#999999"


def _svg(figure) -> Markup:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    return Markup(text[text.index("<svg") :])


def _figure(width: float, height: float, panels: int = 1):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for a in axes:
        a.spines[["top", "right"]].set_visible(False)
        a.grid(alpha=0.25)
    return figure, axes


def curves(history: list[Any], score: str) -> Markup:
    """Loss and score over the epochs."""
    figure, (left, right) = _figure(9, 3, 2)
    epochs = [row.epoch for row in history]
    dot = "o" if len(history) < 3 else None
    left.plot(epochs, [row.train_loss for row in history], color=GREY, marker=dot, label="training")
    left.plot(epochs, [row.loss for row in history], color=ORANGE, marker=dot, label="validation")
    left.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    left.legend(frameon=False)
    right.plot(epochs, [100 * row.score for row in history], color=BLUE, marker=dot)
    right.set(xlabel="epoch", ylabel=f"{score}, validation (%)")
    return _svg(figure)


def reliability(bins: list[dict[str, Any]]) -> Markup:
    """Accuracy against confidence: on the diagonal, a stated 80% is right 80% of the time."""
    figure, (a,) = _figure(4.2, 4)
    x = [b["confidence"] for b in bins]
    y = [b["accuracy"]["value"] for b in bins]
    low = [b["accuracy"]["value"] - b["accuracy"]["low"] for b in bins]
    high = [b["accuracy"]["high"] - b["accuracy"]["value"] for b in bins]
    a.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    a.errorbar(x, y, [low, high], color=BLUE, marker="o", linewidth=1, capsize=2)
    a.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.02))
    return _svg(figure)
