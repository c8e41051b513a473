"""The look of charts in pages: SVG whose colours follow the page, in light and in dark, with a text alternative."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

BLUE = "#1f6f8b"
ORANGE = "#b5401a"
GREY = "#6b7280"
INK = "#010203"
LINE = "#d5d9de"
VARIABLES = {
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREY: "var(--soft)",
    INK: "currentColor",
    LINE: "var(--line)",
}
"""What each colour is called in the style of a page."""
FONT = "system-ui, sans-serif"
LOOK: dict[Any, Any] = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": GREY,
    "grid.color": LINE,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "svg.fonttype": "none",
}


def between(share: float) -> str:
    """The colour of a line in an order of lines: from orange at 0 to blue at 1."""
    return f"#fe00{round(100 * share):02x}"


@dataclass(frozen=True)
class Chart:
    """A chart of a page: what it is called, its SVG, and its numbers as rows of text."""

    title: str
    svg: Markup
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@contextmanager
def chart(width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """A figure of inches with its axis, to be drawn and made SVG inside the context: (figure, axis)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(LOOK):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def svg(figure: Any, alternative: str) -> Markup:
    """The figure as SVG for a page. alternative   what it shows, for those who do not see it"""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": alternative}):  # no two charts of a page have the same addresses
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    text = re.sub(r"#fe00([0-9a-f]{2})", _mixed, text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", FONT, text)
    used = set(re.findall(r"#([\w.-]+)", text))
    text = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", text)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{escape(alternative)}" ', 1))


def _mixed(match: re.Match[str]) -> str:
    return f"color-mix(in srgb, var(--blue) {int(match[1], 16)}%, var(--orange))"
