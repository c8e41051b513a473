"""Whether the fast code is used: not with EYESPOT_FAST=0 in the environment, and not inside `plain()`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "EYESPOT_FAST"
_plain_depth = 0


def enabled() -> bool:
    """Whether functions of `eyespot.fast` may take their fast path."""
    return _plain_depth == 0 and os.environ.get(VARIABLE, "1") != "0"


@contextmanager
def plain() -> Iterator[None]:
    """Inside, PyTorch's own code is used."""
    global _plain_depth
    _plain_depth += 1
    try:
        yield
    finally:
        _plain_depth -= 1
