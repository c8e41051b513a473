"""What a notebook shows of invariances: the table, the curves, and what stands out."""

import io
from typing import Any

from PIL import Image

from eyespot.invariances.charts import curves_png
from eyespot.notebook import html, images


def fragment(result: Any) -> str:
    """An `Invariance` as HTML."""
    unchanged = result.accuracy and result.accuracy["value"]
    curves = Image.open(io.BytesIO(curves_png(result.changes, result.metric, unchanged)))
    curves.thumbnail((1000, 4000))
    alt = f"curves of consistency and {result.metric} by severity: " + "; ".join(
        f"{change.name} {change.verdict.status}" for change in result.changes
    )
    return html.result(
        html.lines(result.above()),
        html.table(result.headers(), result.rows(), "change"),
        html.text("\n".join(result.below())),
        images.picture(curves, alt),
    )
