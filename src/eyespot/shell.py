"""Arguments and options that several commands have, declared once."""

from typing import Annotated

import typer

RunPath = Annotated[
    str, typer.Argument(metavar="RUN", help="A run folder, or the model file in it.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Full = Annotated[
    bool,
    typer.Option("--full", help="With --json: the whole confusion matrix of more than 200 classes, too."),
]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 or mps.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]


def set_quiet(wanted: bool) -> None:
    from eyespot.console import quiet

    quiet(wanted)


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=set_quiet, help="No progress or notes on standard error.")
]
