"""Fills `<!-- made: NAME -->` in pages with tables that are made from the code or from another page, never copied."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

KINDS = {"str": "TEXT", "int": "INTEGER", "float": "NUMBER"}
"""How values of options are called."""
HEADLINES = (
    "| classification | CIFAR-10 | `train cifar10-train --minutes 10` | Intel",
    "| classification | CIFAR-10 | `train cifar10-train --minutes 1` | H100",
    "| signals | spoken digits",
    "| volumes | solids",
    "| segmentation | ISBI 2012 | `masks_in_time.py",
    "| segmentation | CamVid",
    "| step time",
    "| augmentation | 32 pixels",
    "| augmentation | 224 pixels",
    "| large image",
)
"""The beginnings of the rows of docs/results.md that the first page shows, better or worse than others."""


def settings() -> str:
    """The table of settings."""
    from eyespot.config import as_table

    return as_table()


def commands() -> str:
    """A section for each command, with its arguments and options."""
    from typer.main import get_command

    from eyespot.cli import app

    return "\n\n".join(_sections(get_command(app), "eyespot"))


def _sections(command: Any, name: str) -> list[str]:
    inner = getattr(command, "commands", None)
    if inner:
        context = command.context_class(command, info_name=name)
        return [t for key in command.list_commands(context) for t in _sections(inner[key], f"{name} {key}")]
    context = command.context_class(command, info_name=name)
    records = [(p, p.get_help_record(context)) for p in command.params]
    rows = [f"| `{_cell(_name(p, record[0]))}` | {_cell(record[1])} |" for p, record in records if record]
    arguments = [_name(p, p.name) for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([name, *arguments, "[OPTIONS]"])
    summary = re.sub(r"\s+", " ", command.help or "")
    return [
        "\n".join(
            [
                f"## {name}",
                "",
                f"`{usage}`",
                "",
                summary,
                "",
                "| argument or option | what it is |",
                "| --- | --- |",
                *rows,
            ]
        )
    ]


def _name(parameter: Any, names: str) -> str:
    """What is typed, such as --size INTEGER, DATA or [DATA]."""
    if parameter.param_type_name == "option":
        return re.sub(r"<(\w+)(?: range)?>", lambda kind: KINDS.get(kind[1], kind[1].upper()), names)
    name = (parameter.metavar or parameter.name.upper()).strip("[].") + "..." * (parameter.nargs != 1)
    return name if parameter.required else f"[{name}]"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").strip()


def headline() -> str:
    """Rows of the first table of the results, as they are there."""
    table = [line for line in (DOCS / "results.md").read_text().splitlines() if line.startswith("|")]
    rows = []
    for start in HEADLINES:
        same = [line for line in table if line.startswith(start)]
        if len(same) != 1:
            raise ValueError(
                f"docs/results.md has {len(same)} rows that begin with {start!r}; change HEADLINES"
            )
        rows += same
    return "\n".join([*table[:2], *rows])


DOCS = Path(__file__).parents[1]
MADE: dict[str, tuple[Callable[[], str], tuple[str, ...]]] = {
    "settings": (settings, ("eyespot.config", "eyespot.setting")),
    "commands": (commands, ("eyespot.cli", "eyespot.shell", "eyespot.config")),
    "headline": (headline, ()),
}
"""What can be made, and the modules that it is made from."""


def fill(app: Sphinx, document: str, source: list[str]) -> None:
    """Replace the marks of a page."""
    for name in re.findall(r"<!-- made: (\w+) -->", source[0]):
        make, modules = MADE[name]
        source[0] = source[0].replace(f"<!-- made: {name} -->", make())
        for module in modules:
            app.env.note_dependency(str(sys.modules[module].__file__))
        app.env.note_dependency(str(DOCS / "results.md"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Fill pages as they are read."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
