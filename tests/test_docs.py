"""What the documentation shows: commands that exist, Python that is valid, links that lead somewhere.

`sphinx-build -W docs docs/_build/html` checks more, and runs the scripts of the course.
"""

import ast
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

import eyespot
from eyespot.augment import parse as parse_pipeline
from eyespot.cli import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    + [p for p in (ROOT / "docs").rglob("*.md") if not {"_build", "lecture"} & set(p.parts)]
)
RECORDS = ("CHANGELOG.md", "docs/results.md", "docs/recipe.md", "docs/decisions/")
"""Pages whose commands were typed for a measurement, or are mentioned in passing."""
OF_READERS = set(
    "DATA RUN FILE IMAGE PATH PHOTO FILE.onnx photos more new birds stacks nuclei scans ecg runs photo.jpg photos.onnx "
    "cats.onnx nuclei.onnx p.onnx hub:ann ann - predictions.csv".split()
)
"""What an argument begins with that stands for the data, runs and files of the reader; docs/guide.md says so."""
BUILT_IN = {"digits", "waves", "solids", "cells", "cells3d"}
RUN_HERE = ("inspect", "weights list", "look")
"""Commands that are run here where they need no data of the reader; training has its own tests."""
SCRIPTS = sorted((ROOT / "docs" / "course").glob("[0-9]*.py"))
"""The course, whose sentences name commands too."""
OF_OTHERS = set(
    "--help --keep-going --index-url --no-deps --data-binary --mixed --seeds --n --repeats".split()
)
"""Options of pip, curl, Sphinx and the scripts in benchmarks/ that pages show."""
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language; "" for commands."""
    fenced = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for name, text in fenced if name == language]


def commands(page: Path) -> list[list[str]]:
    """Each `eyespot ...` that a page shows, as words."""
    lines = [line for block in blocks(page, "") for line in block.splitlines()]
    lines += re.findall(r"`((?:\.venv/bin/)?eyespot [a-z][^`]*)`", page.read_text().replace("\n", " "))
    texts = [
        text for line in lines for text in re.findall(r"(?:^|[|&] |/bin/)(eyespot .*?)(?: && |   |$)", line)
    ]
    texts = [text for text in texts if not text.startswith("eyespot COMMAND")]
    return [
        shlex.split(text.replace("...", " ").replace("|", "\\|") if "'" not in text else text)
        for text in texts
    ]


def parse(words: list[str]) -> tuple[str, dict]:
    """The command and its arguments; an error for a command or an option that does not exist."""
    command, name, rest = get_command(app), "", words[1:]
    while inner := getattr(command, "commands", None):
        if rest and rest[0].startswith("-"):
            break
        assert rest and rest[0] in inner, f"there is no command {' '.join(words)}"
        name, command, rest = rest[0], inner[rest[0]], rest[1:]
    context = command.context_class(command, info_name=name)
    values, left, _ = command.make_parser(context).parse_args(list(rest))
    assert not left, f"{' '.join(words)}: {left} is too much"
    return name, values


@pytest.mark.parametrize("page", PAGES + SCRIPTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_exist(page):
    for words in commands(page):
        try:
            parse(words)
        except Exception as error:  # an option that a sentence mentions, without its value
            if not (words[-1].startswith("--") and "requires an argument" in str(error)):
                raise


def options(command) -> set[str]:
    """The options of a command and of those below it."""
    inner = getattr(command, "commands", {}).values()
    names = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    return names.union(*map(options, inner))


@EVERY_PAGE
def test_options_exist(page):
    """Also those that a sentence names without their command."""
    if str(page.relative_to(ROOT)).startswith(RECORDS):
        return
    code = re.findall(r"`([^`\n]+)`", page.read_text()) + blocks(page, "")
    named = {name for text in code for name in re.findall(r"(?<![\w-])--[a-z][\w-]*", text)}
    assert named <= options(get_command(app)) | OF_OTHERS


def is_pipeline(text: str) -> bool:
    """Whether a text is a pipeline for signals, images or volumes, or a word that stands for one."""
    for axes in (1, 2, 3):
        try:
            parse_pipeline(text, axes)
            return True
        except eyespot.UserError:
            pass
    return text in ("learn", "none")


def test_shown_pipelines_are_valid():
    shown = [words for page in PAGES for words in commands(page) if "--augment" in words[:-1]]
    assert shown
    assert not [words for words in shown if not is_pipeline(words[words.index("--augment") + 1])]


@EVERY_PAGE
def test_python_is_valid(page):
    for code in blocks(page, "python"):
        if code.startswith(">>> "):  # doctests, which tests/test_convolution.py runs
            continue
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "eyespot":
                assert hasattr(eyespot, node.attr) or node.attr == "invariances", node.attr


def anchors(page: Path) -> set[str]:
    """Names of the headings of a page, as GitHub and MyST make them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@EVERY_PAGE
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(<?([^)\s>]+)>?\)", text):
        if target.startswith(("http://", "https://")):
            assert re.fullmatch(r"https?://[\w.-]+\.\w+(:\d+)?(/\S*)?", target), target
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        if "lecture" in other.parts:  # made when the site is built, which checks them
            continue
        assert other.exists(), target
        if anchor and other.suffix == ".md":
            assert anchor in anchors(other), target


def arguments(words: list[str]) -> list[str]:
    """The arguments of a command that are no options."""
    _, values = parse(words)
    command = get_command(app)
    for word in words[1:3]:
        command = getattr(command, "commands", {}).get(word, command)
    own = [values.get(p.name) for p in command.params if p.param_type_name == "argument"]
    return [text for value in own if value for text in ([value] if isinstance(value, str) else value)]


def needs_readers_data(words: list[str]) -> bool:
    """Whether an argument or option names what only the reader has."""
    given = [*arguments(words), *(words[i + 1] for i in range(len(words) - 1) if words[i] == "--resume")]
    return any(text.split("/")[0] in OF_READERS for text in given)


SHOWN = {
    tuple(words): page
    for page in PAGES
    if not str(page.relative_to(ROOT)).startswith(RECORDS)
    for words in commands(page)
    if len(words) > 2 and not words[-1].startswith("--")
}
"""The commands of all pages that say what to do, and a page that shows each."""


def test_commands_are_on_built_in_data_or_names_that_stand_for_the_readers():
    known = BUILT_IN | set(eyespot.presets())
    assert len(SHOWN) > 40
    odd = [
        (page.name, words)
        for words, page in SHOWN.items()
        if not needs_readers_data(list(words)) and not set(arguments(list(words))) <= known
    ]
    assert not odd


@pytest.mark.parametrize(
    "words",
    [
        words
        for words in SHOWN
        if " ".join(words[1:]).startswith(RUN_HERE) and not needs_readers_data(list(words))
    ],
    ids=" ".join,
)
def test_commands_that_need_no_data_run(words, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli(*words[1:]).code == 0
