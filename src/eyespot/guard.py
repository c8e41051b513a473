"""Errors that are no mistake in the request: too little memory, a full disk, a folder without permission; and bugs.

One place tells them apart. What the machine refused becomes one sentence, for every command. What is left is a bug in
eyespot: it keeps its traceback and has an exit code of its own.
"""

import errno
import re
import sys
from pathlib import Path
from traceback import print_exception

from eyespot.environment import cache_folder
from eyespot.errors import UserError
from eyespot.missing import install, missing_package

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a disk that is full, a quota that is used up, and a file beyond the limit."""
MISUSED = (None, errno.EBADF, errno.EINVAL, errno.EFAULT)
"""Error numbers of a system call that was given something wrong: a bug."""
NO_MEMORY = re.compile(r"not enough memory|out of memory|DefaultCPUAllocator|can't allocate memory|bad_alloc")
"""In messages of torch and the C++ library."""
SLIM = ("predict", "verify", "serve")
"""Commands that need not all that eyespot comes with."""
REMEDIES = {
    "train": "give a smaller --batch, --size or --model",
    "look": "give a smaller --size",
    "evaluate": "evaluate fewer or smaller images",
    "predict": "give smaller images, or for masks set EYESPOT_MEMORY_MB to a smaller number",
    "serve": "give smaller --megapixels and --requests",
    "inspect": "give a smaller --size",
    "convolve": "give a smaller image",
}
"""Of too little memory, by command."""


def as_sentence(error: BaseException, command: str = "") -> str | None:
    """The one sentence about a user's mistake or the machine's limits; None for anything else, which is a bug.

    command   what was typed, such as "train", for the remedy
    """
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return memory_sentence(error, command)
    if package := missing_package(error):
        line = "" if command in SLIM else "eyespot"
        return f"{f'eyespot {command}' if command else 'this'} needs {install(package, line)}"
    if isinstance(error, OSError) and error.errno not in MISUSED:
        place = error.filename2 or error.filename
        return system_sentence("use" if place else "write", Path(str(place or "the output")), error)
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "the machine starts no more threads: end other programs, or raise the limit of processes (ulimit -u)"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the machine or of its GPU was too small."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None
    )


def memory_sentence(error: BaseException, command: str = "") -> str:
    """What was too large for which memory, and the remedy of a command."""
    text = str(error)
    on_gpu = re.search(r"CUDA|MPS|HIP", text) is not None
    size = re.search(r"(\d{4,}) bytes", text)
    line = (text.splitlines() or [""])[0]
    asked = f"{int(size[1]) / 1e9:,.1f} GB at once" if size else " ".join(line.split())[:80]
    remedy = REMEDIES.get(command, "give smaller data")
    return (
        f"the memory of this {'GPU' if on_gpu else 'machine'} is too small"
        + (f" ({asked})" if asked else "")
        + f": {remedy}, or {'--device cpu' if on_gpu else 'end other programs'}"
    )


def system_sentence(action: str, path: Path, error: OSError) -> str:
    """What the operating system refused, and the remedy.

    action   a verb such as "write"
    """
    in_cache = path.is_relative_to(cache_folder())
    if error.errno in FULL:
        remedy = "set EYESPOT_CACHE to another folder" if in_cache else "name another place"
        return f"cannot {action} {path}: the disk is full; free some space, or {remedy}"
    remedy = "set EYESPOT_CACHE to a folder where you may write"
    if not in_cache:
        remedy = (
            "name a place where you may write" if action != "use" else "check the path and its permissions"
        )
    return f"cannot {action} {path}: {error.strerror or error}; {remedy}"


def report_bug(error: BaseException) -> None:
    """The traceback on standard error, and that it is not the user's fault."""
    print_exception(error, file=sys.stderr)
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    print(
        f"eyespot: this is a bug in eyespot, and not in your data ({what}): please report it with the lines above",
        file=sys.stderr,
    )
