"""How a command ends: its exit code, and what is written to standard error where it did not succeed."""

import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

from eyespot.errors import one_line
from eyespot.guard import as_sentence, report_bug
from eyespot.wrapping import complain

DONE = 0
IN_PART = 1
CANNOT = 2
BUG = 70
"""A bug of ours, as EX_SOFTWARE in sysexits.h."""
STOPPED = 130
"""Ctrl-C."""
TERMINATED = 128 + 15
"""SIGTERM."""


class Terminated(SystemExit):
    """SIGTERM arrived where nothing else takes care of it; what was opened is closed on the way out."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


def run_command(command: Callable[[], Any]) -> None:
    """Call the command line and leave the program: a user's mistake is one sentence and exit code 2."""
    _prepare_streams()
    warnings.showwarning = _show_warning
    try:
        with _sigterm_as_exit():
            try:
                command()
            finally:
                sys.stdout.flush()  # so that a full disk is reported here, and not by the interpreter at its end
    except BrokenPipeError:  # the reader, such as head, closed the pipe
        _discard_output()
        sys.exit(DONE)
    except Terminated:
        print("eyespot: stopped by SIGTERM", file=sys.stderr)
        raise
    except SystemExit as error:
        cause = getattr(error.__context__, "__cause__", None)
        if isinstance(cause, KeyboardInterrupt):  # which typer ends without a message
            print("eyespot: stopped", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        print("eyespot: stopped", file=sys.stderr)
        sys.exit(STOPPED)
    except Exception as error:
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """Write the sentence or, for a bug, the traceback; the exit code."""
    sentence = as_sentence(error, next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _discard_output()
    if sentence is None:
        report_bug(error)
        return BUG
    complain(f"eyespot: {one_line(sentence)}")
    return CANNOT


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one line, without the place in the code."""
    complain(f"eyespot: warning: {message}")


def _prepare_streams() -> None:
    """A file's name may hold what a terminal, Windows' encoding or UTF-8 does not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            shown = stream.isatty()
            stream.reconfigure(
                encoding=None if shown else "utf-8", errors="backslashreplace" if shown else "surrogateescape"
            )
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


def _discard_output() -> None:
    """What is still buffered cannot be written: the interpreter is not to try again when it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Inside, SIGTERM leaves the program as Ctrl-C does, so that temporary files are removed and the rest is closed."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # which alone hears signals
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
