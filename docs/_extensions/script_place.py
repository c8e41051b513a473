"""Gives the scripts of the course their `__file__`, as Python does; sphinx-gallery does not."""

import builtins
from pathlib import Path
from typing import Any

COURSE = Path(__file__).parents[1] / "course"


def set_file(gallery_conf: dict[str, Any], name: str) -> None:
    """Called before each script, with its name."""
    builtins.__file__ = str(COURSE / name)  # type: ignore[attr-defined]
