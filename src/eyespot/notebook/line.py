"""A line of progress in a notebook: one output of a cell, which is replaced. It needs no package but IPython's own."""

import sys
from typing import Any

_shown: dict[str, Any] = {}
"""The cell that the line is in, and the handle by which its output is replaced."""


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = _shell()
    return shell is not None and getattr(shell, "kernel", None) is not None


def show_line(text: str) -> None:
    """Replace the line in the cell that runs, or make one; an empty text clears it."""
    from IPython.display import display

    shell = _shell()
    cell = shell.execution_count if shell else None
    if _shown.get("cell") == cell:
        _shown["handle"].update({"text/plain": text}, raw=True)
    elif text:
        handle = display({"text/plain": text}, raw=True, display_id=True)
        _shown.update(cell=cell, handle=handle)


def _shell() -> Any:
    """IPython's shell, if this process has one; IPython is not imported for that."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None
