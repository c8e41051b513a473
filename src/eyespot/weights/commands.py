"""`eyespot weights fetch` and `eyespot weights list`: torchvision's published weights in the cache."""

from typing import Annotated, Any

import typer

from eyespot.documents import print_json
from eyespot.environment import cache_folder
from eyespot.errors import UserError, one_line
from eyespot.exits import CANNOT, IN_PART
from eyespot.shell import Commands, Json, Quiet
from eyespot.wrapping import complain, show

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="List and fetch published weights to start from.",
    rich_markup_mode=None,
)


@app.command(name="list")
def list_weights(
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the networks that have published weights, and which of these are in the cache."""
    from eyespot.console import table
    from eyespot.weights.published import DIGESTS

    rows = [describe(preset) for preset in DIGESTS]
    folder = cache_folder() / "weights"
    if json:
        print_json({"folder": str(folder), "weights": rows})
        return
    table(["network", "MB", "SHA-256", "in the cache"], [[*row.values()][:4] for row in rows])
    show(f"\nfolder  {folder}\nfetch   eyespot weights fetch resnet18")


def describe(preset: str) -> dict[str, Any]:
    """What is known of a preset's published weights: size in MB, first digits of the SHA-256, whether they are here, where."""
    from eyespot.weights.published import DIGESTS, MEGABYTES, location, place_of

    path = location(preset)
    state = "damaged" if path is None and place_of(preset).exists() else "no" if path is None else "yes"
    return {
        "network": preset,
        "megabytes": MEGABYTES.get(preset, 0),
        "sha256": f"{DIGESTS[preset]}...",
        "cached": state,
        "file": str(path or place_of(preset)),
    }


@app.command()
def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="Networks, such as resnet18.", show_default=False)
    ],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch the published weights of networks into the cache, each checked by its hash."""
    from eyespot.weights.published import fetch_published, file_name

    for name in names:
        file_name(name)  # a mistyped name is refused before anything is fetched
    wanted = list(dict.fromkeys(names))
    files: dict[str, str] = {}
    for name in wanted:
        try:
            files[name] = str(fetch_published(name))
        except UserError as error:
            complain(one_line(f"eyespot: {error}"))
            continue
        if not json:
            print(files[name], flush=True)
    if json:
        print_json({"files": files})
    if len(files) < len(wanted):
        raise typer.Exit(IN_PART if files else CANNOT)
