"""`eyespot course`: the lecture whose pages run, in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from eyespot.errors import UserError

app = typer.Typer(rich_markup_mode=None)
"""Its command is added to those of the command line."""

HERE = Path(__file__).parent
BUILT = ("site/lecture/index.html", "../../docs/_build/html/lecture/index.html")
"""Where the built course may lie, beside this file: in an installed package, and in a clone."""
SOURCE = "../../docs/course"
BUILD = "sphinx-build docs docs/_build/html"


def built_course() -> Path:
    """The first page of the built course.

    Raises UserError where it was not built; the message says where its source lies and how it is built."""
    for place in BUILT:
        page = (HERE / place).resolve()
        if page.is_file():
            return page
    source = (HERE / SOURCE).resolve()
    if source.is_dir():
        clone = source.parents[1]
        remedy = f"in {clone}, run: pip install -e '.[docs]' && {BUILD}"
        raise UserError(f"the course in {source} has not been built; {remedy}")
    raise UserError(
        f"the course is not part of this installation; its source is docs/course in eyespot's repository, where `{BUILD}` builds it"
    )


@app.command()
def course(
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the path of its first page, and open nothing.")
    ] = False,
) -> None:
    """Open the lecture on convolutional networks in the browser.

    Each of its statements is checked by the code on the page."""
    import webbrowser

    page = built_course()
    print(page)
    if not no_open:
        webbrowser.open(page.as_uri())
