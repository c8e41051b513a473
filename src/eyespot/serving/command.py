"""`eyespot serve`: the command. FastAPI and the engine are imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from eyespot.serving.limits import Limits
from eyespot.shell import Device, Engine, On, Precision, Quiet, RunPath

app = typer.Typer(rich_markup_mode=None)
"""Its command is added to those of the command line."""
DEFAULT = Limits()


@app.command()
def serve(
    run: RunPath,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    token_file: Annotated[
        Path | None,
        typer.Option(help="A file with the token that clients have to send.", show_default=False),
    ] = None,
    token_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The environment variable that has the token instead.", show_default=False
        ),
    ] = None,
    without_token: Annotated[
        bool, typer.Option("--without-token", help="Let anyone ask who can reach --host.")
    ] = False,
    megabytes: Annotated[float, typer.Option(min=0.001, help="Most of one request.")] = DEFAULT.megabytes,
    megapixels: Annotated[
        float, typer.Option(min=0.001, help="Most of one image, before it is decoded.")
    ] = DEFAULT.megapixels,
    images: Annotated[int, typer.Option(min=1, help="Most in one request.")] = DEFAULT.images,
    seconds: Annotated[float, typer.Option(min=0.1, help="Most that a request takes.")] = DEFAULT.seconds,
    requests: Annotated[
        int, typer.Option(min=1, help="Taken in at once; others get 503 and come back.")
    ] = DEFAULT.requests,
    device: Device = None,
    engine: Engine = None,
    precision: Precision = None,
    on: On = None,
    quiet: Quiet = False,
) -> None:
    """Serve RUN: a page to drop images on, and an HTTP API.

    POST images to /v1/predict; /openapi.json describes the rest. Ctrl-C and SIGTERM finish what was taken in."""
    from eyespot.serving.serve import serve

    serve(
        run,
        port=port,
        host=host,
        token=read_token(token_file, token_env),
        without_token=without_token,
        limits=Limits(megabytes, megapixels, images, seconds, requests),
        device=device,
        engine=engine,
        precision=precision,
        on=on,
    )


def read_token(file: Path | None, variable: str | None) -> str | None:
    """The token from a file or an environment variable. Raises UserError where it is not there."""
    import os

    from eyespot.errors import UserError

    if file is not None and variable is not None:
        raise UserError("--token-file and --token-env both name a token: give one of them")
    if variable is not None:
        if not os.environ.get(variable):
            raise UserError(f"the environment variable {variable} is not set, and --token-env names it")
        return os.environ[variable].strip()
    if file is None:
        return None
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UserError(
            f"the token file {file} cannot be read ({reason}): name a file with one line"
        ) from error
