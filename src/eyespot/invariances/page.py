"""The result as one page that needs nothing else."""

from pathlib import Path
from typing import Any

from eyespot.invariances.assess import Assessed
from eyespot.invariances.causes import TITLES
from eyespot.invariances.changes import MEANING
from eyespot.invariances.charts import curve_svg, layers_svg, sawtooth_svg
from eyespot.invariances.examples import examples_of
from eyespot.invariances.outliers import by_change
from eyespot.invariances.result import Invariance
from eyespot.invariances.verdict import STATUSES
from eyespot.metrics.intervals import percent
from eyespot.pages.page import template, whole


def page(result: Invariance) -> str:
    """The whole page."""
    rows = [_row(result, a) for a in result.changes]
    name = Path(result.run).resolve().name
    an = "an image" if result.word == "image" else f"a {result.word}"
    body = template("invariances", "index.html.j2").render(
        r=result,
        rows=rows,
        statuses=STATUSES,
        titles=TITLES,
        percent=percent,
        saw=result.sawtooth is not None,
        saw_svg=sawtooth_svg(result.sawtooth) if result.sawtooth else "",
        layers=_layers(result),
        standing=by_change(result.outliers),
        shown=[row for row in rows if row["examples"]],
        masks=bool(result.images and result.images.predictor.output.of_positions),
    )
    style = template("invariances", "style.html.j2").render()
    return whole(f"What may change in {an} of {name}", body, style)


def _row(result: Invariance, a: Assessed) -> dict[str, Any]:
    change = a.measured.change
    start = result.accuracy["value"] if result.accuracy else None
    return {
        "a": a,
        "text": change.text(change.severities[a.at]),
        "same": percent(a.same[a.at]),
        "right": percent(a.right[a.at]) if a.right else "",
        "why": "" if a.verdict.why == result.flag else a.verdict.why,
        "meaning": MEANING[change.name],
        "svg": curve_svg(a, result.metric, start),
        "details": details(a),
        "examples": examples_of(result, a),
    }


def _layers(result: Invariance) -> list[dict[str, Any]]:
    """A chart for each change, all on one axis."""
    if result.layers is None:
        return []
    curves = result.layers.curves
    names = result.layers.names
    top = 1.05 * max(1.0, *(score["value"] for c in curves for layer in c.errors for score in layer))
    return [
        {"name": c.change.name, "text": c.text, "jump": c.jump, "svg": layers_svg(c, names, top)}
        for c in curves
    ]


def details(a: Assessed) -> list[tuple[str, str]]:
    """What else was measured: a name and the numbers of each."""
    change = a.measured.change
    at = a.at
    rows = []
    if change.ordered and len(change.severities) > 1:
        tolerance = a.verdict.tolerance
        rows.append(
            (
                "no harm for certain",
                "at no severity" if tolerance is None else f"up to {change.text(tolerance)}",
            )
        )
    if a.harmful and a.helpful:
        rows.append(("right to wrong", percent(a.harmful[at])))
        rows.append(("wrong to right", percent(a.helpful[at])))
    if a.overlap:
        rows.append(("IoU of the two masks", percent(a.overlap[at])))
    if a.trials:
        what = "right" if a.measured.trials_right is not None else "consistency"
        name = "mean" if a.overlap else what
        rows.append((f"{name}, worst of {a.trials.k} directions", f"{a.trials.worst['value']:.1%}"))
        rows.append((f"{name}, mean of {a.trials.k}", f"{a.trials.mean['value']:.1%}"))
    if a.floor:
        rows.append(("there and back", percent(a.floor[at])))
    elif change.exact:
        rows.append(("interpolation", "none: values are copied"))
    if a.border:
        where = (
            ("far from the border", "everywhere")
            if a.overlap
            else ("cropped without border", "border filled")
        )
        rows += [
            (f"consistency, {name}", f"{score['value']:.1%}")
            for name, score in zip(where, (a.border.inner, a.border.filled), strict=True)
        ]
    if a.random:
        rows.append(("consistency, random weights", f"{a.random['value']:.1%}"))
    return [*rows, ("consistency by chance", f"{a.measured.chance:.1%}")]
