"""What a decoder raised: a damaged file, a feature that is not read, or a bug of ours."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from eyespot.data.header import NeedsPackage, Unreadable, reason
from eyespot.missing import install, missing_package

R = TypeVar("R")
LIBRARIES = frozenset("PIL tifffile imagecodecs nibabel numpy scipy soundfile pillow_heif".split())
"""Packages that decode; on damaged content they raise whatever they meet."""
MISTAKES = (
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
    ZeroDivisionError,
)
"""What a mistake in a program raises. Where a library raises it on a file's content, the file is damaged."""


def or_unreadable(read: Callable[..., R], *about: Any) -> R:
    """read(*about), with Unreadable for what decoders raise on a damaged file, and NeedsPackage for one that is not installed.

    A mistake of our own is raised as it is.
    """
    try:
        return read(*about)
    except (Unreadable, MemoryError):
        raise
    except Exception as error:
        if package := missing_package(error):
            raise NeedsPackage(f"reading it needs {install(package)}") from error
        if is_ours(error):
            raise
        raise Unreadable(reason(error)) from error


def is_ours(error: Exception) -> bool:
    """Whether an exception is a mistake in this program, not what a library made of a damaged file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    package = module.split(".")[0]
    return isinstance(error, MISTAKES) and package not in LIBRARIES | sys.stdlib_module_names
