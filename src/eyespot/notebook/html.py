"""Pieces of HTML that results are made of in a notebook: readable on light and dark pages, and small.

Text takes the colour of the page that it is on, and lines are half transparent. Pictures have text in their place.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from eyespot.plurals import count

ROWS = 20
"""Of a table, at the most."""
STYLE = """<style>
.eyespot-result {--blue: #2b8db3; --orange: #d0652f; --soft: #808890; --line: rgba(128, 128, 128, .35);
  color: inherit; line-height: 1.4; max-width: 60em}
.eyespot-result p {margin: .3em 0}
.eyespot-result pre {white-space: pre; overflow: auto; font: .86em/1.35 ui-monospace, Menlo, Consolas, monospace; max-height: 30em; margin: .3em 0; background: none; color: inherit}
.eyespot-result .scroll {overflow-x: auto}
.eyespot-result table {border-collapse: collapse; margin: .4em 0; font-size: .92em; color: inherit}
.eyespot-result td:first-child, .eyespot-result th:first-child {text-align: left !important}
.eyespot-result td, .eyespot-result th {text-align: right; padding: .15em .9em .15em 0; white-space: nowrap;
  border-bottom: 1px solid var(--line); background: none; color: inherit}
.eyespot-result .cards {display: flex; flex-wrap: wrap; gap: .9em 1.1em; margin: .4em 0}
.eyespot-result figure {margin: 0; max-width: 100%}
.eyespot-result .card {width: 11em}
.eyespot-result .card.wide {width: 15em}
.eyespot-result .card svg {width: 100%}
.eyespot-result figcaption {font-size: .85em; overflow-wrap: anywhere; color: inherit; text-align: left; padding: 0}
.eyespot-result img {max-width: 100%; height: auto; display: block; margin: 0 0 .25em}
.eyespot-result svg {width: 24em; max-width: 100%; height: auto}
.eyespot-result .bar {position: relative; display: flex; justify-content: space-between; gap: .6em; padding: 0 .3em}
.eyespot-result .bar i {position: absolute; left: 0; top: 1px; bottom: 1px; background: rgba(47, 143, 179, .35)}
.eyespot-result .bar span {position: relative; color: inherit}
.eyespot-result .swatch {display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 0; border-radius: 2px}
.eyespot-result .legend {width: 100%}
.eyespot-result .legend span {margin-right: 1em; white-space: nowrap}
</style>"""


def result(*pieces: str) -> str:
    """The whole output, of pieces from below."""
    return f'{STYLE}<div class="eyespot-result">{"".join(pieces)}</div>'


def line(text: str, *, strong: bool = False) -> str:
    """A paragraph."""
    inner = f"<strong>{escape(text)}</strong>" if strong else escape(text)
    return f"<p>{inner}</p>"


def lines(texts: Iterable[str]) -> str:
    """A paragraph for each text that is not empty."""
    return "".join(map(line, filter(None, texts)))


def text(content: str, *, wrap: bool = False) -> str:
    """Text whose columns stay below each other. wrap   whether long lines are broken between words"""
    style = ' style="white-space: pre-wrap"' if wrap else ""
    return f'<pre tabindex="0"{style}>{escape(content)}</pre>'


def link(address: str, words: str) -> str:
    return f'<p><a href="{escape(address)}">{escape(words)}</a></p>'


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], thing: str = "row") -> str:
    """A table of the first rows, and how many others there are. thing   what a row is"""
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows[:ROWS]
    )
    html = f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return html + not_shown(len(rows) - ROWS, thing)


def not_shown(n: int, thing: str) -> str:
    """How many things are left out; nothing where none are."""
    return line(f"and {count(n, f'other {thing}')}") if n > 0 else ""


def charts(svgs: Iterable[str]) -> str:
    """SVGs of `pages.charts`, which have words for those who do not see them."""
    return f'<div class="cards">{"".join(svgs)}</div>'


def card(image: str, caption: str, below: str = "", *, wide: bool = False) -> str:
    """A picture with what is said of it. image, below   HTML"""
    kind = "card wide" if wide else "card"
    return f'<figure class="{kind}">{image}<figcaption>{escape(caption)}{below}</figcaption></figure>'


def cards(items: Iterable[str]) -> str:
    return f'<div class="cards">{"".join(items)}</div>'


def bars(shares: Mapping[str, float]) -> str:
    """A bar for each name, as long as its share."""
    return "".join(
        f'<div class="bar"><i style="width: {100 * share:.1f}%"></i><span>{escape(name)}</span>'
        f"<span>{100 * share:.1f}%</span></div>"
        for name, share in shares.items()
    )
