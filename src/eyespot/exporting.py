"""`eyespot export` and `eyespot verify`: the commands. Nothing heavy is imported before they are called."""

from pathlib import Path
from typing import Annotated

import typer

from eyespot.documents import print_json
from eyespot.exits import IN_PART
from eyespot.shell import Engine, Force, Json, Quiet
from eyespot.wrapping import show

app = typer.Typer(rich_markup_mode=None)
"""Its commands are added to those of the command line."""


@app.command()
def export(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run folder, or the model file in it.", show_default=False)
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file; RUN.onnx if not given.", show_default=False),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="In 8-bit whole numbers: faster, and measured on the validation images."),
    ] = False,
    max_loss: Annotated[
        float,
        typer.Option(
            min=0,
            help="With --int8: points of accuracy or mean IoU that may be lost before layers stay in float.",
        ),
    ] = 1.0,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA", help="With --int8: images in place of the run's own.", show_default=False
        ),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write RUN as one .onnx file that predicts the same elsewhere.

    It holds all from decoded pixels to probabilities, and test images with their logits: see eyespot verify."""
    from eyespot.onnx_file.export import export

    written = export(run, out, int8=int8, max_loss=max_loss, calibration=calibration, force=force)
    print_json(written.as_dict()) if json else show(written)


@app.command()
def verify(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A file that eyespot export wrote.", show_default=False)
    ],
    *,
    engine: Engine = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check that FILE still predicts here what it did when exported.

    Exit code 1 where it does not; a file that was changed is refused."""
    from eyespot.prediction.verification import verify

    result = verify(file, engine=engine)
    print_json(result.as_dict()) if json else show(result)
    if not result.holds:
        raise typer.Exit(IN_PART)
