"""Warnings that name the line of the user's code that led to them."""

import sys
import warnings
from pathlib import Path

PACKAGE = str(Path(__file__).parent) + "/"


def warn_user(text: str) -> None:
    """Warn at the line outside this package that called it, however deep the call is."""
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
        level += 1
    warnings.warn(text, UserWarning, stacklevel=level)
