"""`eyespot augment`: the command. Torch is imported when it is called."""

from pathlib import Path
from typing import Annotated, Any

import typer

from eyespot.documents import print_json
from eyespot.wrapping import show

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="The picture (PNG), NAME-augment.png if not given; with --copies, a new folder.",
        show_default=False,
    ),
]
Copies = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Write an enlarged data set with N changed copies of each original into the folder of -o.",
        show_default=False,
    ),
]


def augment_command(
    data: str, out: Path | None, copies: int | None, force: bool, json: bool, settings: dict[str, Any]
) -> None:
    """Show how DATA is augmented, or enlarge it by copies."""
    from eyespot.enlargement.augment_data import SOFTWARE, augment_data
    from eyespot.looking import free_picture

    where = out or (None if copies is not None else free_picture(data, "augment", SOFTWARE))
    result = augment_data(data, out=where, copies=copies, force=force, **settings)
    print_json(result.as_dict()) if json else show(result)
