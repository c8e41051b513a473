"""Text in the width of a terminal, broken between words only, and paths as a shell takes them."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from typing import IO

UNLIMITED = 10_000
"""Columns where there is no terminal: nothing is wrapped in a file or a pipe, so that a row stays a line."""
LEAST = 20
"""Columns that the text of a wrapped line has at least."""
INDENT = 4
"""Columns by which the lines below the first of a sentence begin further right."""
NAMED = re.compile(r" *\S+(?: \S+)* {2,}(?=\S)")
"""A name before its value: `sizes     24x24`."""


def width_of(file: IO[str]) -> int:
    """Columns of a terminal; of a file or a pipe no limit, whatever COLUMNS is."""
    return shutil.get_terminal_size().columns if file.isatty() else UNLIMITED


def output_width() -> int:
    """Columns of standard output."""
    return width_of(sys.stdout)


def fitted(text: str, width: int) -> str:
    """The text with lines of at most this width; a word that is longer, such as a path, keeps a line of its own.

    A value continues below its beginning, and a sentence a little further right than it begins.

    >>> print(fitted("formats   PNG (1,200), JPEG (17), TIFF (2)", 30))
    formats   PNG (1,200), JPEG
              (17), TIFF (2)
    """
    if width >= UNLIMITED:
        return text
    return "\n".join(_fitted_line(line, width) for line in text.split("\n"))


def _fitted_line(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    name = NAMED.match(line)
    indent = len(name[0]) if name else len(line) - len(line.lstrip()) + INDENT
    if indent > width - LEAST:
        indent = min(INDENT, max(width - LEAST, 0))
    return wrap_words(line, width, " " * indent)


def wrap_words(text: str, width: int, indent: str) -> str:
    """The text in lines of this width, broken at spaces alone; the lines below the first are indented."""
    return textwrap.fill(
        text,
        max(width, len(indent) + LEAST),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def show(result: object) -> None:
    """Write a result to standard output, in the width of the terminal."""
    print(fitted(str(result), output_width()))


def complain(text: str) -> None:
    """Write a line to standard error, in the width of the terminal."""
    print(fitted(text, width_of(sys.stderr)), file=sys.stderr)


def quoted(path: str | os.PathLike) -> str:
    """A path as a word of the shell, so that a command that is printed can be pasted.

    >>> quoted("runs/cells"), quoted("my runs/cells")
    ('runs/cells', "'my runs/cells'")
    """
    text = os.fspath(path)
    text = os.path.join(".", text) if text.startswith("-") else text  # which would be an option
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)
