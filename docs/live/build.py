"""Builds the live pages: python docs/live/build.py [FOLDER], by default docs/_build/html/live.

They need no server: open index.html from disk, or put the folder on any static site.
"""

import argparse
import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from bundle import bundle  # noqa: E402
from examples import model_script, samples_module  # noqa: E402
from runtime import RuntimeMissing, runtime_script  # noqa: E402

import eyespot  # noqa: E402
from eyespot.files import write_file  # noqa: E402

OUT = HERE.parent / "_build" / "html" / "live"
SERVED = Path(eyespot.__file__).parent / "serving" / "page_files"
"""The page of `eyespot serve`, whose look and parts these pages share."""
PAGES = {"index": None, "convolution": None, "predict": "digits", "invariance": "digits", "mask": "cells"}
"""The pages, and the network that each of them needs."""


def build_live(out: Path = OUT) -> str:
    """Write the pages to a folder, and return why pages with a network cannot run; "" if they can."""
    out.mkdir(parents=True, exist_ok=True)
    missing = write_runtime(out)
    templates = Environment(
        loader=FileSystemLoader(HERE / "pages"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folders = [HERE / "scripts", SERVED]
    made = {"samples": samples_module()}
    for page, model in PAGES.items():
        html = templates.get_template(f"{page}.html").render(page=page, model=model, missing=missing)
        write_file(out / f"{page}.html", html)
        if page != "index" and not (model and missing):
            write_file(out / f"{page}.js", bundle(f"{page}-page", folders, made))
    for name in ("style.css", "icon.svg"):
        write_file(out / name, (SERVED / name).read_bytes())
    write_file(out / "live.css", (HERE / "pages" / "live.css").read_bytes())
    return missing


def write_runtime(out: Path) -> str:
    """The runtime and the networks; or why there is none, and no file of them."""
    models = sorted({model for model in PAGES.values() if model})
    try:
        write_file(out / "runtime.js", runtime_script())
    except RuntimeMissing as error:
        return str(error)
    for model in models:
        write_file(out / f"model-{model}.js", model_script(model))
    return ""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Build the live pages, which need no server.")
    parser.add_argument("folder", nargs="?", type=Path, default=OUT, help="where they go: %(default)s")
    folder = parser.parse_args().folder
    reason = build_live(folder)
    print(folder / "index.html")
    if reason:
        print(f"the pages that need a network say that they cannot run: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
