"""Each page of the course runs, and checks each of its statements by code that could fail."""

import ast
import re
import runpy
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
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


@pytest.mark.slow  # the site's build runs each page too, and CI builds it: pytest -m slow tests/test_course.py
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


def test_stored_networks_are_small_and_name_their_script():
    """At most 300 KB, and a make_*.py whose first lines have the command that wrote it."""
    scripts = [path.read_text() for path in COURSE.glob("models/make_*.py")]
    for path in COURSE.glob("models/*.safetensors"):
        assert path.stat().st_size < 300_000, path.name
        word = path.stem.split("-")[0]
        named = [text for text in scripts if word in text]
        command = re.compile(r"^    python docs/course/models/make_\w+\.py", re.MULTILINE)
        assert any(command.search(text) for text in named), path.name


MUTATIONS = {
    "convolve does not flip its kernel, and correlate does": (
        "operation._apply",
        lambda f: lambda x, k, *a: f(x, k, *a[:-2], not a[-2], a[-1]),
        "04",
    ),
    "rows of numpy.convolve in the reverse order": (
        "arrays.convolve_rows",
        lambda f: lambda *a: np.ascontiguousarray(f(*a)[..., ::-1]),
        "04",
    ),
    "samples of a function off by 1%": (
        "continuous.sampled",
        lambda f: lambda *a: 1.01 * f(*a),
        "04",
    ),
    "the name of an operation does not say whether it flips": (
        "geometry.flips",
        lambda f: lambda operation: False,
        "05",
    ),
    "taps of the matrix meet the next sample": (
        "matrix.tap_samples",
        lambda f: lambda g: np.roll(f(g), 1, 1),
        "05",
    ),
    "the dense layer has a weight too few": (
        "parameters",
        lambda f: lambda *a, **k: f(*a, **k)._replace(dense=f(*a, **k).dense - 1),
        "05",
    ),
    "the adjoint is the operation itself": (
        "adjoint",
        lambda f: lambda y, k, shape, **o: f(y, np.asarray(k)[::-1], shape, **o),
        "05",
    ),
    "the edge of a circle is off by one": (
        "matrix.source_indices",
        lambda f: (
            lambda n, b, a, edge: (f(n, b, a, edge) + 1) % n if edge == "circular" else f(n, b, a, edge)
        ),
        "03",
    ),
    "scipy.ndimage is called with the wrong origin": (
        "arrays.correlate_ndimage",
        lambda f: lambda *a: np.roll(f(*a), 1, -1),
        "06",
    ),
    "full has a sample too few in front": (
        "geometry.padding",
        lambda f: (
            lambda reach, mode, flip: (
                (max(reach - 1, 0), reach + 1) if mode == "full" else f(reach, mode, flip)
            )
        ),
        "06",
    ),
    "the last tap is left out": (
        "arrays.sum_over_taps",
        lambda f: lambda x, k, g: f(x, np.where(np.arange(k.shape[-1]) < k.shape[-1] - 1, k, 0), g),
        "07",
    ),
    "an edge is repeated where it is reflected": (
        "arrays.pad",
        lambda f: lambda x, b, a, edge: f(x, b, a, "replicate" if edge == "reflect" else edge),
        "07",
    ),
    "sizes are rounded up": (
        "output_size",
        lambda f: lambda size, chain: f(size, chain) + size % 2,
        "07",
    ),
}
"""What breaks a function of eyespot.convolution, and the page that has to notice: name, place, how it is replaced, page."""


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_page_notices_a_broken_function(name, monkeypatch):
    from eyespot.convolution.arrays import full_crop
    from eyespot.convolution.geometry import geometry

    place, replaced, number = MUTATIONS[name]
    module, _, function = f"eyespot.convolution.{place}".rpartition(".")
    original = getattr(import_module(module), function)
    page = next(page for page in PAGES if page.name.startswith(number))
    caches = (geometry, full_crop)
    monkeypatch.setattr(f"{module}.{function}", replaced(original))
    try:
        for cache in caches:
            cache.cache_clear()
        with pytest.raises(AssertionError):
            run_page(page, monkeypatch)
    finally:
        for cache in caches:
            cache.cache_clear()
