"""Curves of accuracy and consistency against severity, with their bands, as SVG for the page and as one PNG."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from eyespot.invariances.assess import Assessed
from eyespot.invariances.layers import LayerCurve
from eyespot.invariances.sawtooth import Sawtooth
from eyespot.metrics.intervals import Score
from eyespot.pages.charts import BLUE, GREY, ORANGE, between, chart, svg

COLUMNS = 4


def curve_svg(a: Assessed, metric: str, start: float | None) -> Markup:
    """One change."""
    with chart(3.6, 2.5) as (figure, axis):
        draw_curve(axis, a, metric, start)
        return svg(figure, described(a, metric))


def described(a: Assessed, metric: str) -> str:
    """The curves in words: consistency, and the metric where there is one, at each severity."""
    change = a.measured.change
    pieces = []
    for k, severity in enumerate(change.severities):
        right = f", {metric} {a.right[k]['value']:.0%}" if a.right else ""
        at = change.text(severity)
        pieces.append(f"{at + ': ' if at else ''}consistency {a.same[k]['value']:.0%}{right}")
    return f"{a.name}: " + "; ".join(pieces)


def sawtooth_svg(saw: Sawtooth) -> Markup:
    """Consistency by shift in samples."""
    with chart(6, 2.4) as (figure, axis):
        x = np.arange(1, len(saw.consistency) + 1)
        _band(axis, x, saw.consistency, BLUE, "")
        for k in range(saw.period, len(x) + 1, saw.period) if saw.period else ():
            axis.axvline(k, color=ORANGE, linewidth=0.8, linestyle=":")
        axis.set(xlabel="shift along all axes, samples of the network's input", ylabel="consistency (%)")
        axis.set_xticks(x[:: 1 + len(x) // 16])
        values = ", ".join(f"{score['value']:.0%}" for score in saw.consistency)
        return svg(figure, f"consistency at shifts of 1, 2, ... samples: {values}")


def layers_svg(curve: LayerCurve, names: Sequence[str], top: float) -> Markup:
    """Distance of features against severity, a line for each layer; by layer, where there is one severity or no order."""
    with chart(3.6, 2.5) as (figure, axis):
        _draw_layers(axis, curve, names)
        axis.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
        axis.set_ylim(0, top)
        axis.set_ylabel("distance")
        last = ", ".join(
            f"{name} {layer[curve.at]['value']:.2f}" for name, layer in zip(names, curve.errors, strict=True)
        )
        return svg(figure, f"{curve.change.name}{' at ' + curve.text if curve.text else ''}: distance {last}")


def _draw_layers(axis: Any, curve: LayerCurve, names: Sequence[str]) -> None:
    change = curve.change
    values = np.array([[score["value"] for score in layer] for layer in curve.errors])
    if change.ordered and len(change.severities) > 1:
        x = np.array(change.severities) * (100 if change.unit == "%" else 1)
        colours = [between(share) for share in np.linspace(0, 1, len(names))]
        for row, name, colour in zip(values, names, colours, strict=True):
            axis.plot(
                np.r_[0, x],
                np.r_[0, row],
                color=colour,
                marker="o",
                markersize=2.5,
                linewidth=1.3,
                label=name,
            )
        axis.legend(frameon=False, fontsize=6.5, loc="upper left", ncols=2)
        axis.set_xlabel(_unit(change.unit))
    else:
        axis.plot(values[:, curve.at], color=BLUE, marker="o", markersize=3.5, linewidth=1.2)
        axis.set_xticks(np.arange(len(names)), names, rotation=35, ha="right", fontsize=7)


def curves_png(changes: Sequence[Assessed], metric: str, start: float | None) -> bytes:
    """All changes in one picture."""
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(changes))
    rows = -(-len(changes) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.6 * rows), layout="constrained", dpi=110)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, a in zip(axes, changes, strict=False):
        _plain(axis)
        draw_curve(axis, a, metric, start)
        axis.set_title(f"{a.name}: {a.verdict.status}", fontsize=10, loc="left")
    for axis in axes[len(changes) :]:
        axis.set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "eyespot invariance"})
    return buffer.getvalue()


def draw_curve(axis: Any, a: Assessed, metric: str, start: float | None) -> None:
    """The unchanged image at 0, where the change has severities in an order; points where it has none."""
    change = a.measured.change
    scale = 100 if change.unit == "%" else 1
    x = np.array(change.severities) * scale
    if change.ordered and len(x) > 1:
        first: Score = {"value": start, "low": start, "high": start, "n": 0}
        right = [first, *a.right] if a.right and start is not None else a.right
        same = [first | dict.fromkeys(("value", "low", "high"), 1.0), *a.same]
        _band(axis, np.r_[0, x], same, BLUE, "consistency")
        if right:
            _band(axis, np.r_[0, x][-len(right) :], right, ORANGE, metric)
        if a.floor:
            axis.plot(
                x, [100 * s["value"] for s in a.floor], color=GREY, linestyle="--", label="there and back"
            )
        axis.set_xlabel(_unit(change.unit))
    else:
        _points(axis, x, a, metric)
    if a.random:
        axis.axhline(100 * a.random["value"], color=GREY, linewidth=0.8, linestyle=":")
    axis.set_ylim(*_limits(axis.get_ylim()))
    axis.set_ylabel("%")
    axis.legend(frameon=False, fontsize=7.5, loc="best")


def _unit(unit: str) -> str:
    return {
        "%": "severity (%)",
        "degrees": "degrees",
        "pixels": "standard deviation (pixels)",
        "dB": "dB",
    }.get(unit, unit)


def _limits(limits: tuple[float, float]) -> tuple[float, float]:
    """From 0 where the curve falls deep, otherwise closer"""
    return (0.0 if limits[0] < 55 else min(limits[0], 90.0) - 1, 101.0)


def _band(axis: Any, x: Any, scores: Sequence[Score], colour: str, label: str) -> None:
    value, low, high = (np.array([100 * s[key] for s in scores]) for key in ("value", "low", "high"))
    axis.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axis.plot(x, value, color=colour, marker="o", markersize=3, linewidth=1.4, label=label or None)


def _points(axis: Any, x: Any, a: Assessed, metric: str) -> None:
    """Where severities are no scale: points with their intervals, side by side"""
    places = np.arange(len(x))
    series = [(a.same, BLUE, "consistency", -0.08)]
    if a.right:
        series.append((a.right, ORANGE, metric, 0.08))
    for scores, colour, label, beside in series:
        value, low, high = (np.array([100 * s[key] for s in scores]) for key in ("value", "low", "high"))
        axis.errorbar(
            places + beside,
            value,
            [value - low, high - value],
            color=colour,
            marker="o",
            markersize=4,
            linestyle="none",
            capsize=3,
            label=label,
        )
    axis.set_xlim(-0.6, len(x) - 0.4)
    change = a.measured.change
    axis.set_xticks(places, [change.text(s).removesuffix(" degrees") for s in change.severities])
    axis.set_xlabel(change.unit)


def _plain(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
