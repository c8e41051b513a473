"""`eyespot predict`: the command. Nothing heavy is imported before it is called."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyespot.documents import print_json
from eyespot.errors import UserError, one_line
from eyespot.exits import IN_PART
from eyespot.shell import Device, Engine, Force, Json, On, Precision, Quiet, RunPath
from eyespot.wrapping import complain, show

if TYPE_CHECKING:
    from eyespot.prediction.output import WriteRequest, Written

app = typer.Typer(rich_markup_mode=None)
"""Its command is added to those of the command line."""


@app.command()
def predict(
    run: RunPath,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Files, folders, globs, or - for one path per line of standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write here (.csv, .json, .jsonl) instead of standard output; a folder for masks.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="table, csv, json or jsonl; by the extension of --out, else table on a terminal and csv in a pipe.",
            show_default=False,
        ),
    ] = None,
    instances: Annotated[
        bool | None,
        typer.Option(
            help="For masks: number the objects; by default if the training masks did.",
            show_default=False,
        ),
    ] = None,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="For masks: also write NAME_probabilities.tif, a channel per class."
        ),
    ] = False,
    device: Device = None,
    engine: Engine = None,
    precision: Precision = None,
    on: On = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict the class of each image, or its mask. Any number of images in constant memory."""
    from eyespot.prediction.inputs import expand
    from eyespot.prediction.load import load
    from eyespot.prediction.output import WriteRequest

    predictor = load(run, device=device, engine=engine, precision=precision)
    read = predictor.preprocessing
    masks = predictor.output.of_positions
    files = expand(paths, sys.stdin, read.dim, leave_out_masks=masks, channel_files=read.channel_files)
    common = Path(paths[0]) if len(paths) == 1 and Path(paths[0]).is_dir() else None
    request = WriteRequest(run, out, format, common, instances, probabilities, force)
    with ExitStack() as stack:
        source = (
            _workers(stack, on, run, device=device, engine=engine, precision=precision) if on else predictor
        )
        if json and out is None and not masks:
            written = _print_predictions(source, files)
        else:
            written = predictor.write(files, request, source)
            _print_written(written, request, json, masks)
    _end(written, paths)


def _workers(stack: ExitStack, on: str, run: str, **how: Any) -> Any:
    from eyespot.prediction.on_ray import connected, workers

    return workers(stack.enter_context(connected(on)), run, **how)


def _print_predictions(source: Any, files: Any) -> "Written":
    """All predictions as one JSON document"""
    from eyespot.prediction.output import Written
    from eyespot.prediction.sinks import as_document

    predictions = list(source.stream(files))
    unread = {p.path: p.error for p in predictions if p.error is not None}
    documents = [as_document(p) for p in predictions if p.error is None]
    if documents or unread:
        print_json({"predictions": documents, "unreadable": unread})
    return Written(unread, len(documents))


def _print_written(written: "Written", request: "WriteRequest", json: bool, masks: bool) -> None:
    """What was written into the file or the folder"""
    from eyespot.plurals import count

    if json and (written.count or written.unread):
        existing = [str(path) for path in written.existing]
        numbers = {"written": written.count, "unreadable": written.unread, "existing": existing}
        print_json({"out": str(request.out)} | numbers)
    elif masks and not json:
        show(f"{count(written.count, 'mask')} in {request.out}")


def _end(written: "Written", paths: list[str]) -> None:
    """What could not be read, and the exit code"""
    from eyespot.prediction.output import existing_sentence

    list_unread(written.unread)
    if written.existing:
        complain(existing_sentence(written.existing))
    if written.unread and not written.count:
        raise UserError("none of the files could be read")
    if not written.count:
        raise UserError(f"{' '.join(paths)} holds no file that can be read")
    if written.unread or written.existing:
        raise typer.Exit(IN_PART)


def list_unread(errors: dict[str, str], most: int = 20) -> None:
    """A line on standard error for each file that could not be read."""
    for path, reason in list(errors.items())[:most]:
        complain(one_line(f"cannot be read: {path}: {reason}"))
    if len(errors) > most:
        complain(f"and {len(errors) - most} more that cannot be read")
