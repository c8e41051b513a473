"""The command line: one thin function per verb. Nothing heavy is imported before a verb is known."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyespot import __version__
from eyespot.augmenting import Copies, Out, augment_command
from eyespot.config import layout_settings, on_shell, reading_settings
from eyespot.course import app as course_command
from eyespot.documents import print_json
from eyespot.exits import IN_PART, STOPPED, run_command
from eyespot.explaining import ExplainFolder, explain_evaluation, refuse_explain
from eyespot.explaining import app as explain_command
from eyespot.exporting import app as export_commands
from eyespot.files import refuse_existing
from eyespot.invariance_command import app as invariance_command
from eyespot.predicting import app as predict_command
from eyespot.predicting import list_unread
from eyespot.serving.command import app as serve_command
from eyespot.sharing_commands import app as sharing_commands
from eyespot.shell import Commands, Device, Force, Full, Json, Quiet, RunPath, Split, typed, with_options
from eyespot.weights.commands import app as weights_commands
from eyespot.wrapping import quoted, show

if TYPE_CHECKING:
    from eyespot.run import Run

START = time.monotonic()

app = typer.Typer(
    cls=Commands,
    help="A folder of images in, a network you can trust out.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(weights_commands, name="weights")
app.add_typer(predict_command)
app.add_typer(explain_command)
app.add_typer(export_commands)
app.add_typer(invariance_command)
app.add_typer(serve_command)
app.add_typer(sharing_commands)
app.add_typer(course_command)

DATA = (
    "Folders of classes, images/ beside masks/, a CSV of path,label or path,mask, or a built-in set: "
    "digits, waves, solids, cells, cells3d."
)
"""What a data set can be, for the help."""
Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA, show_default=False)]


def version(wanted: bool) -> None:
    if wanted:
        print(f"eyespot {__version__}")
        raise typer.Exit


def list_models(wanted: bool) -> None:
    if wanted:
        from eyespot.models import listing

        print(listing())
        raise typer.Exit


ListModels = Annotated[
    bool,
    typer.Option("--list-models", callback=list_models, is_eager=True, help="List the networks by name."),
]


@app.callback()
def eyespot(
    _: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
@with_options(*reading_settings())
def look(
    data: Data,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The contact sheet (PNG); NAME-look.png if not given.", show_default=False
        ),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Report what DATA contains and what is wrong with it.

    It also says what would be trained, and writes a contact sheet."""
    from eyespot.looking import free_sheet, look

    result = look(data, sheet=out or free_sheet(data), force=force, **typed(settings))
    print_json(result.as_dict()) if json else show(result)
    if result.errors:
        raise typer.Exit(IN_PART)


@app.command()
@with_options(*on_shell())
def train(
    data: Annotated[str | None, typer.Argument(metavar="DATA", help=DATA, show_default=False)] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The run folder; runs/NAME if not given.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A TOML file with settings, such as a run's plan.toml; options take precedence.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Continue an interrupted run; takes no DATA and no settings.",
            show_default=False,
        ),
    ] = None,
    list_models: ListModels = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a run folder that exists.")] = False,
    json: Json = False,
    full: Full = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Train a network on DATA, evaluate it and write a run folder."""
    from eyespot.run import train

    run = train(
        data,
        out=out,
        config=config,
        resume=resume,
        force=force,
        elapsed=lambda: time.monotonic() - START,
        **typed(settings),
    )
    assert run.evaluation is not None
    if json:
        print_json(run.evaluation.as_dict(full) | {"run": str(run.folder), "ended": run.ended})
    else:
        _print_run(run)
    list_unread(run.evaluation.errors)
    if run.interrupted:
        raise typer.Exit(STOPPED)
    if run.evaluation.errors:
        raise typer.Exit(IN_PART)


def _print_run(run: "Run") -> None:
    assert run.evaluation is not None
    show(run.evaluation)
    if examples := run.evaluation.examples():
        show(f"\npredictions for some of these {run.evaluation.details.word}s:\n{examples}")
    named = quoted(run.folder)
    models = [*run.folder.glob("model.safetensors"), *sorted(run.folder.glob("fold-*/model.safetensors"))]
    print("\nmodel   " + "\n        ".join(map(str, models)))
    if (run.folder / "report.html").exists():
        print(f"report  {run.folder / 'report.html'}")
    print(f"predict eyespot predict {named} FILE...")
    if run.interrupted:
        print(f"resume  eyespot train --resume {named}")


@app.command()
@with_options(*layout_settings())
def evaluate(
    run: RunPath,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="Images with the model's classes; the run's test or validation set if not given.",
            show_default=False,
        ),
    ] = None,
    *,
    split: Split = None,
    explain: ExplainFolder = None,
    force: Force = False,
    device: Device = None,
    json: Json = False,
    full: Full = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Compute metrics of RUN, each with n and a 95% interval."""
    from eyespot.run import evaluate

    if explain:
        refuse_explain(run, explain, force)
    result = evaluate(run, data, split=split, device=device, **typed(settings))
    if explain:
        explain_evaluation(run, result, explain, device, force)
    print_json(result.as_dict(full)) if json else show(result)
    list_unread(result.errors)
    if result.errors:
        raise typer.Exit(IN_PART)


@app.command()
@with_options(*reading_settings(), "augment", "group", "seed")
def augment(
    data: Data,
    *,
    out: Out = None,
    copies: Copies = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Show how DATA is augmented, or enlarge it by copies."""
    augment_command(data, out, copies, force, json, typed(settings))


@app.command()
def convolve(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.", show_default=False)],
    kernel: Annotated[
        str, typer.Option(help="Rows of numbers with ; between them, such as '1 -1'.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="An image, or .npy for the exact numbers.", show_default=False)
    ],
    mode: Annotated[str, typer.Option(help="full, same or valid.")] = "same",
    boundary: Annotated[str, typer.Option(help="zero, replicate, reflect or circular.")] = "reflect",
    stride: Annotated[int, typer.Option(help="Keep every n-th pixel.")] = 1,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Convolve IMAGE with a kernel."""
    from eyespot.convolution import convolve_file

    result = convolve_file(image, kernel, out, mode=mode, boundary=boundary, stride=stride, force=force)
    print_json(result.as_dict()) if json else show(result)


@app.command()
def inspect(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|RUN", help="A network by name, a run folder or a model file.", show_default=False
        ),
    ],
    size: Annotated[
        int | None,
        typer.Option(help="Samples along each axis; the network's own if not given.", show_default=False),
    ] = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes.", show_default=False)] = None,
    channels: Annotated[
        int | None, typer.Option(help="Number of channels of an image.", show_default=False)
    ] = None,
    dim: Annotated[
        int | None, typer.Option(help="Number of axes of an image: 1, 2 or 3.", show_default=False)
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(min=0, help="Levels of nested modules to show; all if not given.", show_default=False),
    ] = None,
    effective: Annotated[
        bool, typer.Option("--effective", help="Measure the effective receptive field as well.")
    ] = False,
    gradients: Annotated[
        bool,
        typer.Option(
            "--gradients",
            help="Show instead how large the gradient is at each depth, with and without skips and norms.",
        ),
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw it: a PNG, SVG or PDF file.", metavar="FILE", show_default=False)
    ] = None,
    list_models: ListModels = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Describe a network: layers, memory and receptive field.

    For each layer: parameters, multiply-adds, memory, stride and receptive field."""
    from eyespot.anatomy import draw
    from eyespot.inspection import inspect, inspect_gradients

    if gradients:
        norms = inspect_gradients(model, size=size, classes=classes, channels=channels, dim=dim)
        print_json(norms.as_dict()) if json else show(norms)
        return
    if picture:
        refuse_existing(picture, force)
    report = inspect(model, size=size, classes=classes, channels=channels, dim=dim, effective=effective)
    if picture:
        draw(report, picture)
    print_json(report.as_dict()) if json else print(f"{report.summary()}\n\n{report.table(depth)}")


def main() -> None:
    """Run the command line; see `exits` for how it ends."""
    run_command(lambda: app(standalone_mode=True))
