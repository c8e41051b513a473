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
from eyespot.environment import cache_folder, offline, torch_cache_folder
from eyespot.errors import UserError
from eyespot.files import appending, locked, make_folder, move_file, remove_files, write_file
from eyespot.weights.progress import Progress, Stopped, Unavailable

ADDRESS = "https://download.pytorch.org/models"
TRIES = 5
SECONDS = 30
BLOCK = 2**20
"""Connections per file, seconds to wait for an answer, and bytes per write"""
BUSY = "another command is fetching weights into {}: wait until it has ended"


def fetch(name: str, digest: str, progress: Progress | None = None) -> Path:
    """The file of this name in our cache or torchvision's, or fetched; its SHA-256 begins with `digest`.

    It comes from torchvision's server, or from the address in $EYESPOT_WEIGHTS_URL.

    progress   what is counted, and can be stopped, while the file comes; without one, a bar is shown

    Raises UserError where it cannot be had, and Stopped.
    """
    present = cached(name, digest)
    if present is not None:
        return present
    path = place(name)
    if offline():
        raise Unavailable(
            f"{path} is missing or damaged, and EYESPOT_OFFLINE is set: unset it, or copy the file there",
            "EYESPOT_OFFLINE is set",
        )
    if path.exists():
        say(f"{path} has changed since it was fetched: fetching it again")
    with locked(path.parent, BUSY):
        if not is_intact(path, digest):  # as another command may have fetched it meanwhile
            _fetch(path, digest, progress)
    return path


def _fetch(path: Path, digest: str, progress: Progress | None) -> None:
    partial = path.with_name(f"{path.name}.part")
    url = f"{address()}/{path.name}"
    download(url, partial, progress)
    digest_received = sha256(partial)
    if not digest_received.startswith(digest):
        remove_files(partial)
        raise Unavailable(
            f"{url} gave another file than was published (its SHA-256 begins with {digest_received[:8]}, not {digest}), so it "
            "was removed; try again, or give a file of your own",
            "the server gave another file than was published",
        )
    write_file(_record(path), f"{digest_received}  {path.name}\n")
    move_file(partial, path)


def place(name: str) -> Path:
    """Where a file lies in the cache, or would."""
    return cache_folder() / "weights" / name


def cached(name: str, digest: str) -> Path | None:
    """The file of this name as it was published, where we or torchvision have kept it, if it is there."""
    for path in (place(name), torch_cache_folder() / name):
        if is_intact(path, digest):
            return path
    return None


def address() -> str:
    """Where files are published."""
    return (os.environ.get("EYESPOT_WEIGHTS_URL") or ADDRESS).rstrip("/")


def is_intact(path: Path, digest: str) -> bool:
    """Whether the file is there, begins with the published digits, and has the sum that it was fetched with."""
    if not path.exists():
        return False
    present = sha256(path)
    record = _record(path)
    known = record.read_text(errors="replace").split()[:1] if record.exists() else []
    return present.startswith(digest) and known in ([], [present])


def sha256(path: Path) -> str:
    """The file's SHA-256 in hex."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror or error}; delete it, or mend its permissions"
        ) from error


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def download(url: str, partial: Path, progress: Progress | None = None) -> None:
    """Write the file at an address, resuming after what is there already; a broken connection is made again."""
    make_folder(partial.parent)
    for _ in range(TRIES):
        done = partial.stat().st_size if partial.exists() else 0
        with connect(url, done, progress.patience if progress else SECONDS) as answer:
            if answer.status == 416:  # no bytes after those: what is there is not the beginning of this file
                remove_files(partial)
                continue
            done = done if answer.status == 206 else 0  # some servers only send whole files
            length = answer.headers["Content-Length"]
            whole = None if length is None else done + int(length)
            if progress:
                progress.begin(done, whole)
            write_on(answer, partial, (done, whole), progress)
        if whole is None or partial.stat().st_size >= whole:
            return
    raise Unavailable(
        f"the connection to {url} broke {TRIES} times; run the command again, and it goes on from where it stopped",
        "the connection broke again and again",
    )


def connect(url: str, done: int, seconds: float) -> Any:
    """The answer of a server that was asked for what comes after so many bytes."""
    try:
        return urlopen(Request(url, headers={"Range": f"bytes={done}-"} if done else {}), timeout=seconds)
    except HTTPError as error:
        if error.code == 416:
            return error
        error.close()
        raise Unavailable(
            f"{url} answered {error.code} ({error.reason}); check $EYESPOT_WEIGHTS_URL, or give a file of your own",
            f"the server answered {error.code}",
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(
            f"{url} cannot be reached ({getattr(error, 'reason', None) or error}); fetch it where there is a "
            f"connection, and copy it to {place(url.rpartition('/')[2])}",
            "no connection",
        ) from error


def write_on(answer: Any, partial: Path, extent: tuple[int, int | None], progress: Progress | None) -> None:
    """Append what arrives to the file, or start it anew. `extent` has the bytes that are there and those of the whole."""
    done, whole = extent
    total = -(-((whole or 0) - done) // BLOCK)
    arriving = blocks(answer, progress)
    with appending(partial, start_over=not done) as file:
        for block in arriving if progress else track(arriving, total, f"fetching {partial.stem}, MB"):
            file.write(block)


def blocks(answer: Any, progress: Progress | None) -> Iterator[bytes]:
    """What comes until the end, or until the connection breaks, a megabyte at a time. Raises Stopped."""
    waiting = bytearray()
    with suppress(OSError, HTTPException):
        while arrived := answer.read1(BLOCK):
            if progress:
                progress.add(len(arrived))
            waiting += arrived
            if len(waiting) >= BLOCK:
                yield bytes(waiting)
                waiting.clear()
    if progress and progress.is_stopped:
        raise Stopped
    yield bytes(waiting)
