"""Each page of the course runs, and checks each of its statements by code that could fail."""

import ast
import re
import runpy
from itertools import pairwise
from pathlib import Path

import matplotlib
import pytest

COURSE = Path(__file__).parents[1] / "docs" / "course"
PAGES = sorted(COURSE.glob("[0-9][0-9]_*.py"))
STATEMENT = re.compile(r"^# Statement (\d+)\.(\d+): .+$", re.MULTILINE)
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)

pytestmark = pytest.mark.skipif(not PAGES, reason="docs/course is not part of this installation")


def run_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a page as sphinx-gallery does, and draw its figures without a screen."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    def draw() -> None:
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
        plt.close("all")

    monkeypatch.setattr(plt, "show", draw)
    monkeypatch.chdir(page.parent)
    try:
        runpy.run_path(str(page), run_name="__main__")
        draw()
    finally:
        plt.close("all")


@EACH_PAGE
def test_a_page_runs(page, monkeypatch):
    run_page(page, monkeypatch)


@EACH_PAGE
def test_each_statement_has_an_assertion(page):
    """Between the heading of a statement and that of the next one lies an assert; headings count 1, 2, 3 ..."""
    text = page.read_text()
    headings = list(STATEMENT.finditer(text))
    number = int(page.name[:2])
    assert [tuple(map(int, h.groups())) for h in headings] == [(number, k + 1) for k in range(len(headings))]
    assert headings, "a page has statements"
    lines = [node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
    starts = [text.count("\n", 0, h.start()) + 1 for h in headings]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        assert any(start < line < end for line in lines), text.splitlines()[start - 1]


@EACH_PAGE
def test_headings_are_underlined(page):
    """reStructuredText wants a line below a heading that is as long as it, which -W of Sphinx refuses otherwise."""
    lines = page.read_text().splitlines()
    for above, below in pairwise(lines):
        if re.fullmatch(r"# [-=]{4,}", below):
            assert len(below) >= len(above), above
