"""`eyespot explain`: the command. Torch is imported when it is called."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyespot.documents import print_json
from eyespot.errors import UserError, one_line
from eyespot.exits import IN_PART
from eyespot.shell import Device, Force, Json, Quiet, RunPath
from eyespot.wrapping import complain, show

if TYPE_CHECKING:
    from eyespot.explanation.explain import Request

app = typer.Typer(rich_markup_mode=None)
"""Its command is added to those of the command line."""
METHODS = "grad-cam, grad-cam++, gradient, smoothgrad, integrated-gradients, guided-backprop, deconvnet, occlusion, rise"
ExplainFolder = Annotated[
    Path | None,
    typer.Option(
        "--explain",
        metavar="FOLDER",
        help="Write a page of the worst images with maps, and the mean map of each class.",
        show_default=False,
    ),
]


@app.command()
def explain(
    run: RunPath,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE", help="Files, folders, globs, or - for standard input.", show_default=False
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The folder of the page; RUN-explained if not given.", show_default=False
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="What each layer sees, from the run's own images.")
    ] = False,
    method: Annotated[str, typer.Option(help=f"{METHODS}.")] = "grad-cam",
    target: Annotated[
        str | None,
        typer.Option("--class", help="To explain; the predicted one if not given.", show_default=False),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Explain why --class and not this one.", show_default=False)
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="For Grad-CAM; the last with 7 or more places along each axis if not given.",
            show_default=False,
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help="Of masks: START:END for each axis, such as 10:20,0:64.", show_default=False),
    ] = None,
    baseline: Annotated[str, typer.Option(help="What stands for nothing: mean, black or blur.")] = "mean",
    patch: Annotated[
        int | None, typer.Option(min=1, help="Samples of occlusion's patch.", show_default=False)
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Compare each map with an edge filter.")
    ] = True,
    device: Device = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what RUN looked at, or what its layers see.

    Give images, or --layers for what excites each stage, from the images of the run."""
    from eyespot.explanation.explain import Request

    if layers == bool(paths):
        raise UserError("give images to explain, or --layers" + " and no images" * layers)
    request = Request(method, target, against, layer, region, baseline, patch, check, device=device)
    if layers:
        if request != Request(layer=layer, check=check, device=device):
            raise UserError(
                "--layers shows what excites each stage, whatever the image or class: of the other options only --layer goes with it"
            )
        from eyespot.explanation.cards import explain_layers

        show(explain_layers(run, out, device=device, layer=layer, force=force))
        return
    _explain_images(run, paths or [], out, request, force, json)


def _explain_images(
    run: str, paths: list[str], out: Path | None, request: "Request", force: bool, json: bool
) -> None:
    from eyespot.explanation.explain import Explainer, predictor_of
    from eyespot.explanation.page import as_document, summary
    from eyespot.explanation.result import Explanations
    from eyespot.explanation.write import PAGE, free_folder, names_of, refuse_taken, write_explanations
    from eyespot.prediction.inputs import expand

    predictor = predictor_of(run, request.device)
    explainer = Explainer(predictor, request, run)
    files = without_repeats(
        expand(paths, sys.stdin, predictor.preprocessing.dim, leave_out_masks=predictor.output.of_positions)
    )
    if not files:
        raise UserError(f"{' '.join(paths)} holds no file that can be read")
    folder = out or free_folder(run)
    names = dict(zip(files, names_of(files, request.method), strict=True))
    refuse_taken(folder, list(names.values()), force)
    unread: dict[str, str] = {}
    explained = Explanations(explainer.stream(files, unread))
    if len(unread) == 1 and not explained:
        path, reason = next(iter(unread.items()))
        raise UserError(f"{path} cannot be explained: {reason}")
    for path, reason in unread.items():
        complain(one_line(f"cannot be explained: {path}: {reason}"))
    if not explained:
        raise UserError("none of the files could be read")
    title = f"What the run {Path(run).resolve().name} looked at"
    write_explanations(folder, explained, [names[Path(e.path)] for e in explained], title)
    if json:
        print_json(as_document(explained, folder))
    else:
        show(f"{summary(explained)}\npage  {folder / PAGE}")
    if unread:
        raise typer.Exit(IN_PART)


def without_repeats(files: Iterable[Path]) -> list[Path]:
    """The files in their order, each once, by whatever path it is named."""
    from eyespot.console import say
    from eyespot.plurals import count

    named = list(files)
    kept: dict[Path, Path] = {}
    for file in named:
        kept.setdefault(file.resolve(), file)
    if len(kept) < len(named):
        say(f"{count(len(named) - len(kept), 'path')} left out: the same file is named before")
    return list(kept.values())


def refuse_explain(run: str, folder: Path, force: bool) -> None:
    """Raises UserError where `evaluate --explain` cannot be written, before anything is computed."""
    from eyespot.explanation.write import refuse_taken
    from eyespot.weights.ensemble_file import is_ensemble

    refuse_taken(folder, [], force, "--explain")
    if is_ensemble(run):
        raise UserError(
            f"{run} is a cross-validation, and --explain looks into one network: name one fold, such as {run}/fold-1"
        )


def explain_evaluation(run: str, evaluation: Any, folder: Path, device: str | None, force: bool) -> None:
    """Write the page of `evaluate --explain`, and say where it is and what it suspects."""
    from eyespot.console import say
    from eyespot.explanation.explain import predictor_of
    from eyespot.explanation.gallery import write_evaluation
    from eyespot.explanation.write import PAGE

    for sentence in write_evaluation(
        predictor_of(run, device), evaluation, folder, force, Path(run).resolve().name
    ):
        say(f"warning: {sentence}")
    say(f"page  {folder / PAGE}")
