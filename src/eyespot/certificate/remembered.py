"""Which exported files were checked on this machine: a small file for each, named by file, software and processor."""

import json
import platform
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy
import PIL

from eyespot import __version__
from eyespot.environment import cache_folder
from eyespot.errors import UserError
from eyespot.files import make_folder, write_file

FOLDER = "verified"
PROCESSOR = ("model name", "flags", "Features")
"""Lines of /proc/cpuinfo on which results may depend."""


@cache
def processor() -> str:
    """A name of the processor and what it can do."""
    try:
        lines = (
            Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
        )
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    values = [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() in PROCESSOR]
    return " ".join(values) or platform.machine()


def processor_name() -> str:
    """For people."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        return next(
            line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def software() -> str:
    """The versions of what brings images to size, on which results may depend beside the engine."""
    return f"eyespot {__version__}, numpy {numpy.__version__}, pillow {PIL.__version__}"


def _place(file: str, engine: str) -> Path:
    name = sha256("\n".join((file, engine, software(), processor())).encode()).hexdigest()[:32]
    return cache_folder() / FOLDER / f"{name}.json"


def is_remembered(file: str, engine: str) -> bool:
    """Whether a file, named by its digest, was checked with an engine and its version."""
    try:
        content = json.loads(_place(file, engine).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("file") == file and content.get("engine") == engine


def remember(file: str, engine: str, share: float) -> None:
    """Keep that a check held. Where nothing can be written, it is made again the next time."""
    path = _place(file, engine)
    try:
        make_folder(path.parent)
        write_file(path, json.dumps({"file": file, "engine": engine, "difference": share}) + "\n")
    except UserError:
        return
