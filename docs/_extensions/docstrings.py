"""Docstrings are plain text: their rows of "name   what it is" become lists, and other indented lines stay as they are."""

import re
from itertools import groupby
from typing import Any

from sphinx.application import Sphinx


def as_rst(lines: list[str]) -> list[str]:
    """The reStructuredText of a docstring in plain text."""
    result: list[str] = []
    for kind, group in groupby(_kinds(lines), key=lambda pair: pair[0]):
        texts = [text for _, text in group]
        if kind == "columns":
            result += ["", *(_as_list(texts) or _as_written(texts)), ""]
        elif kind == "code":
            result += ["", *texts, ""]
        else:
            result += [_escaped(text) for text in texts]
    return result


def _kinds(lines: list[str]) -> list[tuple[str, str]]:
    """Each line, and whether it belongs to text, to columns or to code with its output."""
    kinds: list[tuple[str, str]] = []
    last = "blank"
    for line in lines:
        if not line.strip():
            last = "blank"
        elif line.startswith((">>> ", "... ")) or last == "code":
            last = "code"
        elif line.startswith(" ") or last == "columns" or re.search(r"\S {3,}\S", line):
            last = "columns"
        else:
            last = "text"
        kinds.append((last, line))
    return kinds


def _as_list(lines: list[str]) -> list[str]:
    """Rows of two columns as a list; [] if the lines are something else."""
    first = re.match(r" *\S.*? {2,}(?=\S)", lines[0])
    if not first:
        return []
    column, result = first.end(), []
    for line in lines:
        name, text = line[:column], line[column:]
        if len(line) <= column or not name.endswith(" "):
            return []
        result += (
            [f"``{name.strip()}``", f"    {_escaped(text)}"] if name.strip() else [f"    {_escaped(text)}"]
        )
    return result


def _as_written(lines: list[str]) -> list[str]:
    return [".. code-block:: text", "", *("    " + text for text in lines)]


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
