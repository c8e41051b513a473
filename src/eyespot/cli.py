"""The command line: one thin function per verb. Nothing heavy is imported before a verb is known."""

import io
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from eyespot import __version__
from eyespot.errors import UserError

START = time.monotonic()
DONE, IN_PART, CANNOT, STOPPED = 0, 1, 2, 130

app = typer.Typer(
    help="A folder of images in, a network you can trust out.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)

DATA = (
    "Folders of classes, images/ beside masks/, a CSV of path,label or path,mask, or a built-in set: "
    "digits, waves, solids, cells, cells3d."
)
Data = Annotated[str, typer.Argument(help=DATA, show_default=False)]
RunPath = Annotated[
    str, typer.Argument(metavar="RUN", help="A run folder, or the model file in it.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Size = Annotated[
    int | None, typer.Option(help="Samples (pixels, voxels) along each axis.", show_default=False)
]
Fit = Annotated[
    str | None, typer.Option(help="How a file comes to that size: pad, crop or stretch.", show_default=False)
]
Dim = Annotated[
    int | None,
    typer.Option(help="1 to take the files as signals, 2 as images, 3 as volumes.", show_default=False),
]
Void = Annotated[
    str | None,
    typer.Option(help="Of masks: the value of pixels that do not count, or none.", show_default=False),
]
Multilabel = Annotated[
    bool, typer.Option("--multilabel", help="Masks have a channel per class: a pixel may be of several.")
]
View = Annotated[str | None, typer.Option(help="Of sounds: spectrum or samples.", show_default=False)]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; a GPU if there is one.", show_default=False)
]
Answering = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 or mps.")]


def version(wanted: bool) -> None:
    if wanted:
        print(f"eyespot {__version__}")
        raise typer.Exit


@app.callback()
def eyespot(
    _: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def look(
    data: Data,
    size: Size = None,
    fit: Fit = None,
    dim: Dim = None,
    view: View = None,
    void: Void = None,
    multilabel: Multilabel = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The contact sheet (PNG); NAME-look.png if not given.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say what is in DATA, what is wrong with it, and what would be trained."""
    from eyespot.looking import look

    name = Path(data).resolve().stem if Path(data).exists() else data
    found = look(data, size=size, fit=fit, dim=dim, view=view, void=void, multilabel=multilabel, sheet=out or f"{name}-look.png")  # fmt: skip
    print(found.as_json() if json else found)
    if found.errors:
        raise typer.Exit(IN_PART)


@app.command()
def train(
    data: Annotated[str | None, typer.Argument(help=DATA, show_default=False)] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Time for the whole command, evaluation and report included.", show_default=False),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the training images.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A network by name, such as resnet18.", show_default=False)
    ] = None,
    size: Size = None,
    fit: Fit = None,
    dim: Dim = None,
    view: View = None,
    void: Void = None,
    multilabel: Multilabel = False,
    loss: Annotated[
        str | None,
        typer.Option(
            help="For masks: ce, dice, focal, tversky, border, or a sum: ce+dice; multi-label: bce, dice.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Images per step.", show_default=False)] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Parts of training, such as 'whiten|muon|average'; none for plain AdamW.", show_default=False
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help="Changes that keep the class, such as 'flip|shift(0.06)'; none for none.", show_default=False
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Files whose names match the same text stay on one side of the split.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="For the split, the weights and the order.", show_default=False)
    ] = None,
    device: Device = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            help="Weights to start from: a .safetensors or .pth file, a run folder, or imagenet.",
            show_default=False,
        ),
    ] = None,
    fine_tune: Annotated[
        bool, typer.Option("--fine-tune", help="From these weights, first the head learns, then all layers.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The run folder; runs/NAME if not given.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with these settings, such as a run's plan.toml; what is typed wins.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a run folder that exists.")] = False,
    json: Json = False,
) -> None:
    """Train a network on DATA, evaluate it on held-out images, and write a run folder."""
    from eyespot.run import train

    run = train(
        data, minutes=minutes, epochs=epochs, model=model, size=size, fit=fit, dim=dim, view=view, void=void, multilabel=multilabel or None, loss=loss, batch=batch, recipe=recipe, augment=augment, group=group,
        seed=seed, device=device, start_from=start_from, fine_tune=fine_tune or None, out=out, config=config, force=force,
        elapsed=lambda: time.monotonic() - START,
    )  # fmt: skip
    assert run.evaluation is not None
    if json:
        _print_json(run.evaluation.as_dict() | {"run": str(run.folder), "ended": run.ended})
    else:
        print(run.evaluation)
        if examples := run.evaluation.examples():
            print(f"\nsome of these images and their predictions:\n{examples}")
        named = f'"{run.folder}"' if " " in str(run.folder) else str(run.folder)
        print(
            f"\nmodel   {run.folder / 'model.safetensors'}\nreport  {run.folder / 'report.html'}\npredict eyespot predict {named} FILE..."
        )
        if run.interrupted:
            print(f"go on   eyespot train DATA --start-from {named}")
    _list_unread(run.evaluation.errors)
    if run.interrupted:
        raise typer.Exit(STOPPED)
    if run.evaluation.errors:
        raise typer.Exit(IN_PART)


@app.command()
def evaluate(
    run: RunPath,
    data: Annotated[
        str | None,
        typer.Argument(
            help="Images with the model's classes; the run's held-out images if not given.",
            show_default=False,
        ),
    ] = None,
    device: Answering = "cpu",
    json: Json = False,
) -> None:
    """Score RUN on DATA, every number with its n and a 95% interval."""
    from eyespot.run import evaluate

    result = evaluate(run, data, device=device)
    _print_json(result.as_dict()) if json else print(result)
    _list_unread(result.errors)
    if result.errors:
        raise typer.Exit(IN_PART)


@app.command()
def predict(
    run: RunPath,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Files, folders, globs, or - for one path per line of standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write here (.csv, .jsonl) instead of standard output; a folder for masks.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="table, csv or jsonl; by the ending of --out, else table on a terminal and csv in a pipe.",
            show_default=False,
        ),
    ] = None,
    instances: Annotated[
        bool | None,
        typer.Option(
            help="Of masks: a number for each object; by default where the training masks had that.",
            show_default=False,
        ),
    ] = None,
    probabilities: Annotated[
        bool,
        typer.Option("--probabilities", help="Of masks: NAME_probabilities.tif too, a channel per class."),
    ] = False,
    device: Answering = "cpu",
) -> None:
    """Say what is on each image. Any number of images in constant memory."""
    from eyespot.prediction.inputs import expand
    from eyespot.prediction.output import WriteRequest
    from eyespot.prediction.predictor import load

    predictor = load(run, device=device)
    files = expand(paths, sys.stdin, predictor.preprocessing.dim)
    common = Path(paths[0]) if len(paths) == 1 and Path(paths[0]).is_dir() else None
    request = WriteRequest(run, out, format, common, instances, probabilities)
    unread, done = predictor.write(files, request)
    _list_unread(unread)
    if unread and not done:
        raise UserError("none of the files could be read")
    if not done:
        raise UserError(f"{' '.join(paths)} holds no file that can be read")
    if unread:
        raise typer.Exit(IN_PART)


@app.command()
def convolve(
    image: Annotated[Path, typer.Argument(help="An image file.", show_default=False)],
    kernel: Annotated[
        str, typer.Option(help="Rows of numbers with ; between them, such as '1 -1'.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="An image, or .npy for the exact numbers.", show_default=False)
    ],
    mode: Annotated[str, typer.Option(help="full, same or valid.")] = "same",
    boundary: Annotated[str, typer.Option(help="zero, replicate, reflect or circular.")] = "reflect",
    stride: Annotated[int, typer.Option(help="Keep every so many pixels.")] = 1,
) -> None:
    """Convolve IMAGE with a kernel."""
    from eyespot.convolution import convolve_file

    print(convolve_file(image, kernel, out, mode=mode, boundary=boundary, stride=stride))


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
    classes: Annotated[int | None, typer.Option(help="Classes.", show_default=False)] = None,
    channels: Annotated[int | None, typer.Option(help="Channels of an image.", show_default=False)] = None,
    dim: Annotated[int | None, typer.Option(help="Axes of an image: 1, 2 or 3.", show_default=False)] = None,
    depth: Annotated[
        int | None,
        typer.Option(min=0, help="Modules within modules to show; all if not given.", show_default=False),
    ] = None,
    effective: Annotated[
        bool, typer.Option("--effective", help="Measure the effective receptive field as well.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw it: a PNG, SVG or PDF file.", metavar="FILE", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Describe a network: layers, parameters, multiply-adds, memory, stride, receptive field."""
    from eyespot.anatomy import draw
    from eyespot.inspection import inspect

    found = inspect(model, size=size, classes=classes, channels=channels, dim=dim, effective=effective)
    if picture:
        draw(found, picture)
    _print_json(found.as_dict()) if json else print(f"{found.summary()}\n\n{found.table(depth)}")


def _print_json(document: dict) -> None:
    from json import dumps

    print(dumps(document, indent=2))


def _list_unread(errors: dict[str, str], most: int = 20) -> None:
    for path, reason in list(errors.items())[:most]:
        print(f"cannot be read: {path}: {reason}", file=sys.stderr)
    if len(errors) > most:
        print(f"and {len(errors) - most} more that cannot be read", file=sys.stderr)


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 2."""
    for stream in (sys.stdout, sys.stderr):  # a name may hold what a terminal or Windows' encoding does not
        if isinstance(stream, io.TextIOWrapper):
            shown = stream.isatty()
            stream.reconfigure(
                encoding=None if shown else "utf-8", errors="backslashreplace" if shown else "surrogateescape"
            )
    try:
        app(standalone_mode=True)
    except UserError as error:
        print(f"eyespot: {error}", file=sys.stderr)
        sys.exit(CANNOT)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        sys.exit(DONE)
    except SystemExit as error:
        cause = getattr(error.__context__, "__cause__", None)
        if isinstance(cause, KeyboardInterrupt):  # which typer leaves without a word
            print("eyespot: stopped", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        print("eyespot: stopped", file=sys.stderr)
        sys.exit(STOPPED)
