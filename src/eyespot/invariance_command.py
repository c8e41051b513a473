"""`eyespot invariance`: the command. Torch is imported when it is called."""

from pathlib import Path
from typing import Annotated, Any

import typer

from eyespot.config import layout_settings
from eyespot.documents import print_json
from eyespot.errors import UserError, one_line
from eyespot.exits import IN_PART
from eyespot.shell import Device, Force, Json, Quiet, RunPath, Split, typed, with_options
from eyespot.wrapping import complain, show

app = typer.Typer(rich_markup_mode=None)
"""Its command is added to those of the command line."""


@app.command()
@with_options(*layout_settings())
def invariance(
    run: RunPath,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="Images with the model's classes or masks; the run's test or validation set if not given.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write a page, curves as PNG and the numbers as JSON here.",
            show_default=False,
        ),
    ] = None,
    changes: Annotated[
        str | None,
        typer.Option(
            help="Only these, such as hflip,shift, and those of the contract; all if not given.",
            show_default=False,
        ),
    ] = None,
    contract: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A TOML file of what may change predictions; exit code 1 where it is broken.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            min=1, help="At most so many images; 2,000, or 100 with masks, if not given.", show_default=False
        ),
    ] = None,
    split: Split = None,
    learn: Annotated[
        bool,
        typer.Option(
            "--learn",
            help="Learn from the training images of a data set, given in place of RUN, which changes keep the class.",
        ),
    ] = False,
    device: Device = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Measure which changes leave RUN's predictions as they are.

    Flips, shifts, rotations, brightness, noise and others of images: accuracy and consistency by severity, with bands."""
    from eyespot.invariances.measure import invariance
    from eyespot.invariances.write import refuse_taken, write_result

    names = None if changes is None else [name.strip() for name in changes.split(",")]
    if learn:
        given = {"DATA": data, "--out": out, "--contract": contract, "--most": most, "--split": split}
        _learn(
            run, names, [name for name, value in given.items() if value is not None], json, typed(settings)
        )
        return
    if out:
        refuse_taken(out, force)
    result = invariance(
        run, data, changes=names, contract=contract, most=most, split=split, device=device, **typed(settings)
    )
    if out:
        page = write_result(result, out)
    print_json(result.as_dict()) if json else show(result)
    if out and not json:
        show(f"\npage  {page}")
    for path, reason in list(result.errors.items())[:20]:
        complain(one_line(f"cannot be read: {path}: {reason}"))
    if result.errors or (result.contract and result.contract.broken):
        raise typer.Exit(IN_PART)


def _learn(
    data: str, names: list[str] | None, given: list[str], json: bool, settings: dict[str, Any]
) -> None:
    """Print what may change in the images of a data set. given   options that it does not have"""
    from eyespot.invariances.learning.learn import learn_changes

    if given:
        raise UserError(f"--learn takes a data set in place of RUN, and no {given[0]}: leave it out")
    ranges = learn_changes(data, changes=names, **settings)
    print_json(ranges.as_dict()) if json else show(ranges)
