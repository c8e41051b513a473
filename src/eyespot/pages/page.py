"""The frame of every page that stands alone: its head, its style, its title and the list of its contents."""

import re
from typing import Any

from markupsafe import Markup

from eyespot.plurals import count

FEWEST = 3
MOST = 40
"""Headings with which a page lists them."""
HEADING = re.compile(r"<h2>(.*?)</h2>", re.DOTALL)


def template(package: str, name: str) -> Any:
    """A template of a package of ours; it may include those of this package, which are named "pages/NAME"."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader

    own = PackageLoader("eyespot", package)
    shared = PrefixLoader({"pages": PackageLoader("eyespot", "pages")})
    loader = ChoiceLoader([own, shared])
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["counted"] = count
    return environment.get_template(name)


def whole(title: str, body: str, style: str = "") -> str:
    """The page around a body of HTML: it opens anywhere, without a network, in light and in dark.

    Each <h2> of the body gets an address, and where there are several they are listed below the title.

    style   an element with what the page has beside the shared style
    """
    text, headings = _with_addresses(body)
    listed = headings if FEWEST <= len(headings) <= MOST else []
    frame = template("pages", "page.html.j2")
    return frame.render(title=title, body=Markup(text), contents=listed, style=Markup(style))


def _with_addresses(body: str) -> tuple[str, list[tuple[str, Markup]]]:
    """The body with an id in each <h2>, and the headings: (id, title)"""
    headings: list[tuple[str, Markup]] = []

    def named(match: re.Match[str]) -> str:
        title = Markup(match[1]).striptags()
        words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        address = f"{words or 'heading'}-{len(headings) + 1}"
        headings.append((address, Markup.escape(title)))
        return f'<h2 id="{address}">{match[1]}</h2>'

    return HEADING.sub(named, body), headings
