"""The result as one page that needs nothing else."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from eyespot.explanation.page import template as explanation_template
from eyespot.invariances.assess import Assessed
from eyespot.invariances.causes import TITLES
from eyespot.invariances.changes import MEANING
from eyespot.invariances.charts import curve_svg, sawtooth_svg
from eyespot.invariances.examples import examples_of
from eyespot.invariances.result import Invariance
from eyespot.invariances.verdict import STATUSES
from eyespot.metrics.intervals import percent


def page(result: Invariance) -> str:
    """The whole page."""
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("eyespot", "invariances")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    rows = [_row(result, a) for a in result.changes]
    style = Markup(explanation_template("style.html.j2").render())
    name = Path(result.run).resolve().name
    return environment.get_template("index.html.j2").render(
        title=f"What may change in an image of {name}"
        if result.word == "image"
        else f"What may change in a {result.word} of {name}",
        r=result,
        rows=rows,
        style=style,
        statuses=STATUSES,
        titles=TITLES,
        percent=percent,
        saw=result.sawtooth is not None,
        saw_svg=sawtooth_svg(result.sawtooth) if result.sawtooth else "",
        shown=[row for row in rows if row["examples"]],
        masks=bool(result.images and result.images.predictor.output.of_positions),
    )


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


def details(a: Assessed) -> list[str]:
    """What else was measured, each a few words with the numbers."""
    change = a.measured.change
    at = a.at
    texts = []
    if change.ordered and len(change.severities) > 1:
        tolerance = a.verdict.tolerance
        none = "no severity tested is certain to do no harm"
        texts.append(none if tolerance is None else f"certain to do no harm up to {change.text(tolerance)}")
    if a.harmful and a.helpful:
        texts.append(f"right to wrong {percent(a.harmful[at])}, wrong to right {percent(a.helpful[at])}")
    if a.overlap:
        texts.append(f"mean IoU of the two predictions {percent(a.overlap[at])}")
    if a.trials:
        worst, mean = a.trials.worst["value"], a.trials.mean["value"]
        texts.append(f"right in all of {a.trials.k} directions {worst:.1%}, on average {mean:.1%}")
    if a.floor:
        texts.append(f"there and back {percent(a.floor[at])}")
    elif change.exact:
        texts.append("values are copied: no interpolation")
    if a.border:
        inner, filled = a.border.inner["value"], a.border.filled["value"]
        texts.append(f"consistency without a border {inner:.1%}, with the border filled {filled:.1%}")
    if a.random:
        texts.append(f"with random weights {a.random['value']:.1%}")
    return [*texts, f"by chance {a.measured.chance:.1%}"]
