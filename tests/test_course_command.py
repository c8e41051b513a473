"""`eyespot course`: the built course in the browser, or where its source lies and how it is built."""

import webbrowser

import pytest

from conftest import one_sentence
from eyespot import course


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone without a built site, in which the command lies; and the pages that it opens."""
    (tmp_path / "docs" / "course").mkdir(parents=True)
    monkeypatch.setattr(course, "HERE", tmp_path / "src" / "eyespot")
    return tmp_path


@pytest.fixture
def opened(monkeypatch):
    pages = []
    monkeypatch.setattr(webbrowser, "open", pages.append)
    return pages


@pytest.mark.parametrize(
    "place", ["docs/_build/html/lecture/index.html", "src/eyespot/site/lecture/index.html"]
)
def test_the_built_course_is_opened(place, clone, opened, cli):
    page = clone / place
    page.parent.mkdir(parents=True)
    page.write_text("<title>The course</title>")
    result = cli("course")
    assert result.code == 0 and result.out.strip() == str(page)
    assert opened == [page.as_uri()]
    assert cli("course", "--no-open").out == result.out
    assert len(opened) == 1


def test_a_course_that_is_not_built(clone, opened, cli):
    line = one_sentence(cli("course"))
    assert str(clone / "docs" / "course") in line and course.BUILD in line
    (clone / "docs" / "course").rmdir()
    line = one_sentence(cli("course", "--no-open"))
    assert "docs/course" in line and course.BUILD in line
    assert not opened
