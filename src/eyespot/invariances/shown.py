"""What a notebook shows of invariances: the table, the curves, and what stands out."""

from typing import Any

from eyespot.invariances.charts import curve_svg
from eyespot.notebook import html

MOST = 12
"""Changes whose curves are shown."""


def fragment(result: Any) -> str:
    """An `Invariance` as HTML."""
    start = result.accuracy["value"] if result.accuracy else None
    curves = [
        html.card(
            curve_svg(change, result.metric, start), f"{change.name}: {change.verdict.status}", wide=True
        )
        for change in result.changes[:MOST]
    ]
    return html.result(
        html.lines(result.above()),
        html.table(result.headers(), result.rows(), "change"),
        html.text("\n".join(result.below()), wrap=True),
        html.cards(curves),
        html.not_shown(len(result.changes) - MOST, "curve"),
    )
