"""Builds the live pages, where docs/live has them, into the site as live/. They are no documents of Sphinx."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

logger = logging.getLogger(__name__)


def build(app: Sphinx, error: Exception | None) -> None:
    """Run docs/live/build.py after the site was built."""
    script = Path(app.srcdir) / "live" / "build.py"
    if error is not None or app.builder.name != "html" or not script.is_file():
        return
    out = Path(app.outdir) / "live"
    done = subprocess.run([sys.executable, str(script), str(out)], capture_output=True, text=True)
    logger.info((done.stdout + done.stderr).strip())
    if done.returncode:
        raise ExtensionError(f"docs/live/build.py failed: {done.stderr[-2000:]}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Build them when the site is there."""
    app.connect("build-finished", build)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
