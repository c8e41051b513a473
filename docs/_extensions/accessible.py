"""Small repairs of what Sphinx, furo and sphinx-gallery write, so that screen readers read it well."""

import re
from typing import Any

from sphinx.application import Sphinx

CAPTION = ('<p class="caption" role="heading">', '<p class="caption" role="heading" aria-level="2">')
"""The titles of the parts of the sidebar, which have no level."""
CARD = re.compile(r'(<a class="reference internal" href="[^"]+")(><span class="doc">([^<]+)</span></a>)')
"""Links of the course's cards, whose text is hidden."""
SCROLLING = {
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
}
"""What may be wider than a narrow window, and has to be reached by the keyboard to be scrolled."""
HEADING_OR_FIGURE = re.compile(r'<h[12]>(.*?)<a class="headerlink"|(<img [^>]*alt=")(\d\d [^"]*)"', re.DOTALL)
"""Headings of a page of the course, and figures without a title, which the gallery calls by the name of the script."""
ARGUMENTS = re.compile(r"<dl>\s*(<dd>(?:(?!</dl>).)*)</dl>", re.DOTALL)
"""Arguments of a long signature: a list of descriptions of nothing."""


def as_lines(arguments: re.Match[str]) -> str:
    """The arguments of a signature, each on a line."""
    lines = arguments[1].replace("<dd>", "<div>").replace("</dd>", "</div>")
    return f'<div class="arguments">{lines}</div>'


def with_alternatives(body: str) -> str:
    """Figures without a title are called after the heading that they stand under."""
    heading = ""

    def named(match: re.Match[str]) -> str:
        nonlocal heading
        if match[1] is None:
            return f'{match[2]}Figure. {heading}"'
        heading = re.sub("<[^>]+>", "", match[1]).strip()
        return match[0]

    return HEADING_OR_FIGURE.sub(named, body)


def repair(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Change the parts of a page before they are put together."""
    for part in ("furo_navigation_tree", "body"):
        if isinstance(context.get(part), str):
            context[part] = context[part].replace(*CAPTION)
    for plain, reachable in SCROLLING.items():
        context["body"] = context.get("body", "").replace(plain, reachable)
    context["body"] = ARGUMENTS.sub(as_lines, context["body"])
    if page.startswith("lecture/"):
        context["body"] = with_alternatives(context["body"])
    if page.startswith("lecture/") and "sphx-glr-thumbcontainer" in context["body"]:
        context["body"] = CARD.sub(r'\1 aria-label="\3"\2', context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Repair pages after the theme has prepared them."""
    app.connect("html-page-context", repair, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
