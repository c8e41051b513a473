"""One published file into the cache: checked, resumed where the connection broke, whole or not there."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from eyespot.console import say, track
from eyespot.environment import cache_folder
from eyespot.errors import UserError
from eyespot.files import appending, make_folder, move_file, remove_files, write_file

ADDRESS = "https://download.pytorch.org/models"
TRIES = 5
SECONDS = 30
BLOCK = 2**20
"""Connections per file, seconds to wait for an answer, and bytes per read"""


def fetch(name: str, digest: str) -> Path:
    """The file of this name in the cache, fetched unless it is there; its SHA-256 begins with `digest`.

    It comes from torchvision's server, or from the address in $EYESPOT_WEIGHTS_URL.
    """
    path = cache_folder() / "weights" / name
    if path.exists():
        if intact(path, digest):
            return path
        say(f"{path} has changed since it was fetched: fetching it again")
    partial = path.with_name(f"{name}.part")
    url = f"{address()}/{name}"
    make_folder(path.parent)
    download(url, partial)
    digest_received = sha256(partial)
    if not digest_received.startswith(digest):
        remove_files(partial)
        raise UserError(
            f"{url} gave another file than was published (its SHA-256 begins with {digest_received[:8]}, not {digest}), so it "
            "was removed; try again, or give a file of your own"
        )
    write_file(_record(path), f"{digest_received}  {name}\n")
    move_file(partial, path)
    return path


def address() -> str:
    """Where files are published."""
    return (os.environ.get("EYESPOT_WEIGHTS_URL") or ADDRESS).rstrip("/")


def intact(path: Path, digest: str) -> bool:
    """Whether the file still has the sum that it was fetched with."""
    known = _record(path)
    present = sha256(path)
    return present.startswith(known.read_text().split()[0] if known.exists() else digest)


def sha256(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def download(url: str, partial: Path) -> None:
    """Write the file at an address, resuming after what is there already; a broken connection is made again."""
    for _ in range(TRIES):
        done = partial.stat().st_size if partial.exists() else 0
        with connect(url, done) as answer:
            if answer.status == 416:  # no bytes after those: what is there is not the beginning of this file
                remove_files(partial)
                continue
            done = done if answer.status == 206 else 0  # some servers only send whole files
            length = answer.headers["Content-Length"]
            whole = None if length is None else done + int(length)
            write_on(answer, partial, done, whole)
        if whole is None or partial.stat().st_size >= whole:
            return
    raise UserError(
        f"the connection to {url} broke {TRIES} times; run the command again, and it goes on from where it stopped"
    )


def connect(url: str, done: int) -> Any:
    """The answer of a server that was asked for what comes after so many bytes."""
    try:
        return urlopen(Request(url, headers={"Range": f"bytes={done}-"} if done else {}), timeout=SECONDS)
    except HTTPError as error:
        if error.code == 416:
            return error
        error.close()
        raise UserError(
            f"{url} answered {error.code} ({error.reason}); check $EYESPOT_WEIGHTS_URL, or give a file of your own"
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        raise UserError(
            f"{url} cannot be reached ({getattr(error, 'reason', None) or error}); fetch it where there is a "
            "connection, and give the file"
        ) from error


def write_on(answer: Any, partial: Path, done: int, whole: int | None) -> None:
    """Append what arrives to the file, or start it anew."""
    total = -(-((whole or 0) - done) // BLOCK)
    with appending(partial, start_over=not done) as file:
        for block in track(blocks(answer), total, f"fetching {partial.stem}, MB"):
            file.write(block)


def blocks(answer: Any) -> Iterator[bytes]:
    """What comes until the end, or until the connection breaks."""
    with suppress(OSError, HTTPException):
        while block := answer.read(BLOCK):
            yield block
