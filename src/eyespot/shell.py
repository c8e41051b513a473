"""Arguments and options that several commands have, declared once."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from eyespot.config import DECLARED, TYPES, declaration, help_text, option
from eyespot.setting import value_type
from eyespot.signature import add_parameters, keyword

Function = TypeVar("Function", bound=Callable[..., None])

RunPath = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run folder, the model file in it, an exported file, or hub:OWNER/NAME.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Full = Annotated[
    bool,
    typer.Option("--full", help="With --json: the whole confusion matrix of more than 200 classes, too."),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="cpu, cuda, cuda:1 or mps; a GPU if there is one, as in training.",
        show_default=False,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="torch for a run; onnxruntime or openvino for an exported file.",
        show_default=False,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="With --engine openvino: f32, or bf16, which is faster and rounds; f32 if not given.",
        show_default=False,
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="CLUSTER",
        help="Predict in the workers of Ray: local, or ray://HOST:PORT.",
        show_default=False,
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="SET",
        help="Which images: validation or test; if not given, the test set where there is one.",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]


VERBS = "look train evaluate predict explain invariance augment export verify serve card push inspect weights convolve course".split()
"""The commands in the order in which they are needed, which is theirs in the help."""
SENTENCE = 200
"""Most letters of what the list of commands says of each: a sentence is wrapped and not cut."""


class Commands(TyperGroup):
    """Commands in the order of `VERBS`, each with its whole first sentence."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: VERBS.index(name) if name in VERBS else len(VERBS))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(SENTENCE)) for name, command in commands if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def set_quiet(wanted: bool) -> None:
    from eyespot.console import quiet

    quiet(wanted)


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=set_quiet, help="No progress or notes on standard error.")
]


def with_options(*names: str) -> Callable[[Function], Function]:
    """A decorator that gives a command the options of these settings, as `**settings`."""

    def decorate(command: Function) -> Function:
        add_parameters(command, [keyword(name, *shell_option(name)) for name in names])
        return command

    return decorate


def shell_option(name: str) -> tuple[Any, Any]:
    """The annotation and the default of a setting's option. None and False stand for "not given"."""
    declared = declaration(DECLARED[name])
    kind = value_type(TYPES[name])
    if declared.opposite:
        flags = f"{option(name)}/{declared.opposite}"
        return Annotated[bool | None, typer.Option(flags, help=help_text(name), show_default=False)], None
    if kind is bool:
        return Annotated[bool, typer.Option(option(name), help=help_text(name))], False
    shown = typer.Option(
        option(name),
        *map(option, declared.old_names),
        help=help_text(name),
        metavar=declared.metavar,
        show_default=False,
    )
    return Annotated[kind | None, shown], None


def typed(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that were typed: a flag that has no opposite is false where it was not."""
    flags = {name for name, f in DECLARED.items() if f.default is False}
    return {k: v for k, v in settings.items() if v is not None and not (v is False and k in flags)}
