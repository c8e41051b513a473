"""Copies docs/live, pages that are no documents of Sphinx, into the site as live/."""

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

OURS_ONLY = shutil.ignore_patterns("*.py", "*.md", "__pycache__", "node_modules")
"""Files that make the pages and are not part of them."""


def copy(app: Sphinx, error: Exception | None) -> None:
    """Copy the pages after the site was built."""
    pages = Path(app.srcdir) / "live"
    if error is None and app.builder.format == "html" and pages.is_dir():
        shutil.copytree(pages, Path(app.outdir) / "live", ignore=OURS_ONLY, dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the copy."""
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
