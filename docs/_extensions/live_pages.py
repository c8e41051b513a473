"""Builds the live pages, where docs/live has them, into the site as live/. They are no documents of Sphinx."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

import eyespot

logger = logging.getLogger(__name__)


def is_new(out: Path, docs: Path) -> bool:
    """Whether the pages were built, with their runtime, after all files that they are made from."""
    built = out / "index.html"
    if not (built.is_file() and (out / "runtime.js").is_file()):
        return False
    folders = (docs / "live", docs / "course" / "models", Path(eyespot.__file__).parent)
    files = [
        f for folder in folders for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts
    ]
    return all(f.stat().st_mtime < built.stat().st_mtime for f in files)


def build(app: Sphinx, error: Exception | None) -> None:
    """Run docs/live/build.py after the site was built."""
    script = Path(app.srcdir) / "live" / "build.py"
    if error is not None or app.builder.name != "html" or not script.is_file():
        return
    out = Path(app.outdir) / "live"
    if is_new(out, Path(app.srcdir)):
        return
    done = subprocess.run([sys.executable, str(script), str(out)], capture_output=True, text=True)
    logger.info((done.stdout + done.stderr).strip())
    if done.returncode:
        (out / "index.html").unlink(missing_ok=True)  # so that the next build tries again
        raise ExtensionError(f"docs/live/build.py failed: {done.stderr[-2000:]}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Build them when the site is there."""
    app.connect("build-finished", build)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
