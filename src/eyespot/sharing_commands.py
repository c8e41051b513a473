"""`eyespot card` and `eyespot push`: the commands. Nothing heavy is imported before they are called."""

from pathlib import Path
from typing import Annotated

import typer

from eyespot.documents import print_json
from eyespot.shell import Force, Json, Quiet, RunPath

app = typer.Typer(rich_markup_mode=None)
"""Its commands are added to those of the command line."""


@app.command()
def card(
    run: RunPath,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write here instead of to standard output, such as README.md.",
            show_default=False,
        ),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Write RUN's model card as Markdown.

    It has the use, the metrics, the limits and the training."""
    from eyespot.files import refuse_existing, write_file
    from eyespot.sharing.push import card_text

    if out:
        refuse_existing(out, force)
    text = card_text(run)
    if out:
        write_file(out, text)
        print(out)
    else:
        print(text, end="")


@app.command()
def push(
    run: RunPath,
    repository: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/NAME", help="A repository of the Hugging Face hub.", show_default=False
        ),
    ],
    public: Annotated[
        bool, typer.Option("--public", help="If the repository is made now, everybody can see it.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put RUN and its model card on the Hugging Face hub.

    No images and no reports go there. `eyespot predict hub:OWNER/NAME FILE...` uses what is there."""
    from eyespot.sharing.push import push

    address = push(run, repository, public=public)
    print_json({"repository": repository, "address": address}) if json else print(address)
