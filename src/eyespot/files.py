"""The only module that creates, replaces or deletes files.

A file or folder is written under a temporary name beside its own, forced to the disk (fsync), and renamed: a reader
never sees half of one, and a crash or a full disk leaves what was there before. Temporary names begin with a dot.
Errors of the operating system become a UserError of one sentence.
"""

import errno
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from eyespot.errors import UserError
from eyespot.guard import system_sentence

TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
"""Error numbers of a lock that another process has, on Unix and on Windows."""


def write_file(path: Path, content: bytes | str, *, replace: bool = True) -> None:
    """Write a file, or replace it; see `writing`."""
    with writing(path, replace=replace) as file:
        file.write(content.encode(errors="surrogateescape") if isinstance(content, str) else content)


@contextmanager
def writing(
    path: Path,
    *,
    text: bool = False,
    keep_empty: bool = True,
    replace: bool = True,
    interrupted: Path | None = None,
) -> Iterator[IO[Any]]:
    """A file to write to, which takes its name when the block ends without an error.

    An OSError inside the block is reported as one of writing.

    text         text in UTF-8, with lines as they are given; else bytes
    keep_empty   whether a file to which nothing was written takes its name too
    replace      whether a file that exists is replaced; else UserError, at the end if it appeared meanwhile
    interrupted  the name that the file takes if the block ends with an exception other than an OSError
    """
    if not replace:
        refuse_existing(path)
    temporary = _temporary_name(path)
    with write_errors(path):
        try:
            with _created(temporary, text) as file:
                yield file
                synchronise(file)
            if keep_empty or temporary.stat().st_size:
                _publish(temporary, path, replace)
                _synchronise_folder(path.parent)
        except BaseException as error:
            if interrupted and not isinstance(error, OSError) and temporary.stat().st_size:
                os.replace(temporary, interrupted)
            raise
        finally:
            temporary.unlink(missing_ok=True)


def refuse_existing(path: Path, force: bool = False) -> None:
    """Raises UserError where a file to write exists, unless forced: what a user has is not written over."""
    if os.path.lexists(path) and not force:
        raise UserError(f"{path} exists: name another file, or overwrite it with --force")


def _publish(temporary: Path, path: Path, replace: bool) -> None:
    """Give a file that is whole its name."""
    if not replace:
        try:
            os.link(temporary, path)  # which fails where the name is taken, whatever happens meanwhile
            return
        except OSError:  # or where the disk has no such links
            refuse_existing(path)
    os.replace(temporary, path)


def _created(path: Path, text: bool) -> IO[Any]:
    if text:
        return path.open("x", newline="", encoding="utf-8", errors="surrogateescape")
    return path.open("xb")


class NewFolder:
    """A folder that does not have its name yet, see `new_folder`."""

    def __init__(self, path: Path):
        self.path = path

    def open(self, name: str) -> BinaryIO:
        """A file in it to write to, `name` being its path inside."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file in it, `name` being its path inside."""
        with self.open(name) as file:
            file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def new_folder(path: Path) -> Iterator[NewFolder]:
    """A folder to write to, which takes its name when the block ends without an error.

    If another process made a folder of that name meanwhile, that one stays and this one is dropped. An OSError inside
    the block is reported as one of writing.
    """
    working = _temporary_name(path)
    with write_errors(path.parent):
        working.mkdir(parents=True)
        try:
            yield NewFolder(working)
            _synchronise_content(working)
            try:
                os.rename(working, path)
            except OSError:
                if not path.is_dir():
                    raise
            _synchronise_folder(path.parent)
        finally:
            shutil.rmtree(working, ignore_errors=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in the system's place for temporary files, deleted after the block. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="eyespot-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def appending(path: Path, *, start_over: bool = False) -> Iterator[BinaryIO]:
    """A file to write at its end, or from its beginning; it keeps what was written when the block fails."""
    with write_errors(path), path.open("wb" if start_over else "ab") as file:
        yield file


def open_to_update(path: Path) -> BinaryIO:
    """A file that is there, to write anywhere in it. Raises OSError."""
    return path.open("r+b")


def synchronise(file: IO[Any]) -> None:
    """Force what was written to the disk. Raises OSError."""
    file.flush()
    os.fsync(file.fileno())


def move_file(old: Path, new: Path) -> None:
    """Rename a file, over another if there is one, when its content is on the disk."""
    with write_errors(new):
        with open_to_update(old) as file:
            os.fsync(file.fileno())
        os.replace(old, new)
        _synchronise_folder(new.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they exist."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(system_sentence("make the folder", path, error)) from error


def claim_folder(path: Path) -> bool:
    """Make a folder and those above it; False if it exists, so that only one process gets the name."""
    try:
        path.mkdir(parents=True)
    except OSError as error:
        if os.path.lexists(path):
            return False
        raise UserError(system_sentence("make the folder", path, error)) from error
    return True


BUSY = "another run is being written into {}: wait until it has ended, or name another folder with --out"


@contextmanager
def locked(folder: Path, busy: str = BUSY) -> Iterator[None]:
    """A folder that no other process writes into meanwhile; made if it is missing. Raises UserError where one does.

    busy   the sentence for that, with {} for the folder

    The lock belongs to the open file .lock and not to its name, so the system releases it however the process ends, and
    a file that a killed process left does not count. Some network disks lock nothing: then this is said, and no more.
    """
    path = folder / ".lock"
    file = _locked_file(path, busy)
    try:
        yield
    finally:
        if sys.platform != "win32":
            path.unlink(missing_ok=True)  # while it is locked: whoever has it open by now looks again
        file.close()
        if sys.platform == "win32":  # where an open file cannot be deleted
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _locked_file(path: Path, busy: str) -> BinaryIO:
    """The lock file, open and locked."""
    while True:
        make_folder(path.parent)
        with write_errors(path):
            try:
                file = path.open("ab")
            except FileNotFoundError:  # another run gave up and deleted the folder
                continue
        if not _lock(file, path.parent):
            file.close()
            raise UserError(busy.format(path.parent))
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # the run that had it ended just now, and deleted it


def _lock(file: BinaryIO, folder: Path) -> bool:
    """Whether the lock of an open file is now ours."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        from eyespot.console import say

        say(f"{folder} is on a disk without locks ({error.strerror}): start no other run into it meanwhile")
    return True


def remove_files(*paths: Path) -> None:
    """Delete files, those that exist."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"cannot delete {path}: {error.strerror or error}") from error
    for folder in {path.parent for path in paths}:
        _synchronise_folder(folder)


def remove_folder(path: Path) -> None:
    """Delete a folder and all that is in it, as far as that is possible: at once under its name, then its content."""
    working = _temporary_name(path)
    with suppress(OSError):
        os.rename(path, working)
        shutil.rmtree(working, ignore_errors=True)


def remove_if_empty(folder: Path) -> None:
    """Delete a folder in which nothing is."""
    with suppress(OSError):
        folder.rmdir()


def is_temporary(path: Path) -> bool:
    """Whether a file or folder is being written, or was left by a run that was killed."""
    return path.name.startswith(".")


def check_not_input(out: Path, inputs: Iterable[Path]) -> None:
    """Raises UserError where a file to write is one of those that are read."""
    if out.exists() and any(path.exists() and out.samefile(path) for path in inputs):
        raise UserError(f"{out} is one of the inputs: name another file")


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Raises UserError for an OSError inside the block, as one of writing the path."""
    try:
        yield
    except OSError as error:
        raise UserError(system_sentence("write", path, error)) from error


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}")


def _synchronise_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can (Windows and some network disks cannot)."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _synchronise_content(folder: Path) -> None:
    """Force all files below a folder to the disk; in threads, since a disk serves many requests at once."""

    def synchronise_file(path: Path) -> None:
        with open_to_update(path) as file:
            os.fsync(file.fileno())

    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(synchronise_file, (path for path in folder.rglob("*") if path.is_file())):
            pass
    for inner in reversed(folders):
        _synchronise_folder(inner)
