"""Docstrings are plain text: their indented lines become blocks as they are written, and the rest paragraphs."""

import re
from itertools import groupby
from typing import Any

from sphinx.application import Sphinx


def as_rst(lines: list[str]) -> list[str]:
    """The reStructuredText of a docstring in plain text."""
    result: list[str] = []
    for kind, group in groupby(_kinds(lines), key=lambda pair: pair[0]):
        texts = [text for _, text in group]
        if kind == "literal":
            result += ["", ".. code-block:: text", "", *("    " + text for text in _trimmed(texts)), ""]
        elif kind == "code":
            result += ["", *texts, ""]
        else:
            result += [_escaped(text) for text in texts]
    return result


def _kinds(lines: list[str]) -> list[tuple[str, str]]:
    kinds: list[tuple[str, str]] = []
    for line in lines:
        last = kinds[-1][0] if kinds else "text"
        if not line.strip():
            kinds.append(("text" if last == "code" else last, line))
        elif line.startswith((">>> ", "... ")) or last == "code":
            kinds.append(("code", line))
        else:
            kinds.append(("literal" if line.startswith(" ") or _is_row(line) else "text", line))
    return kinds


def _is_row(line: str) -> bool:
    """Whether a line is one of a table in columns."""
    return bool(re.search(r"\S {3,}\S", line))


def _trimmed(texts: list[str]) -> list[str]:
    while texts and not texts[-1].strip():
        texts = texts[:-1]
    return texts


def _escaped(text: str) -> str:
    """Names between backticks become code; other signs that reStructuredText knows lose their meaning."""
    pieces = re.split(r"(`[^`]+`)", text)
    for i, piece in enumerate(pieces):
        pieces[i] = f"`{piece}`" if i % 2 else re.sub(r"([*|_`\\])", r"\\\1", piece)
    return "".join(pieces)


def process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Rewrite the lines of a docstring in place."""
    lines[:] = as_rst(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the rewriting."""
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
