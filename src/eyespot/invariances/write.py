"""The result as files: the numbers as JSON, the curves as PNG, and a page."""

from json import dumps
from pathlib import Path

from eyespot.errors import UserError
from eyespot.files import make_folder, write_file
from eyespot.invariances.charts import curves_png
from eyespot.invariances.page import page
from eyespot.invariances.result import Invariance

PAGE = "index.html"
NUMBERS = "invariance.json"
CURVES = "curves.png"


def refuse_taken(folder: Path, force: bool) -> None:
    """Raises UserError where a file to write exists, before anything is computed."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder with --out")
    taken = next((folder / name for name in (PAGE, NUMBERS, CURVES) if (folder / name).exists()), None)
    if taken and not force:
        raise UserError(f"{taken} exists: name another folder with --out, or overwrite it with --force")


def write_result(result: Invariance, folder: Path) -> Path:
    """Write the page last, so that a page that is there is complete; returns its path."""
    make_folder(folder)
    write_file(folder / NUMBERS, dumps(result.as_dict(), indent=2) + "\n")
    start = result.accuracy["value"] if result.accuracy else None
    write_file(folder / CURVES, curves_png(result.changes, result.metric, start))
    write_file(folder / PAGE, page(result))
    return folder / PAGE
