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
from examples import ModelMissing, model_script, samples_module  # noqa: E402
from runtime import RuntimeMissing, runtime_script  # noqa: E402

import eyespot  # noqa: E402
from eyespot.files import write_file  # noqa: E402

OUT = HERE.parent / "_build" / "html" / "live"
SERVED = Path(eyespot.__file__).parent / "serving" / "page_files"
"""The page of `eyespot serve`, whose look and parts these pages share."""
PAGES = {
    "index": None,
    "convolution": None,
    "predict": "digits",
    "invariance": "digits",
    "birds": "birds",
    "mask": "cells",
}
"""The pages, and the network that each of them needs."""
SCRIPTS = {"birds": "invariance"}
"""The script of a page, where it is that of another one."""


def build_live(out: Path = OUT) -> dict[str, str]:
    """Write the pages to a folder, and return why those that cannot run their network cannot, by page."""
    out.mkdir(parents=True, exist_ok=True)
    reasons = write_networks(out)
    templates = Environment(
        loader=FileSystemLoader(HERE / "pages"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for page, model in PAGES.items():
        missing = reasons.get(model, "")
        html = templates.get_template(f"{page}.html").render(page=page, model=model, missing=missing)
        write_file(out / f"{page}.html", html)
        if page != "index" and not missing:
            write_file(out / f"{page}.js", script_of_page(page))
    for name in ("style.css", "icon.svg"):
        write_file(out / name, (SERVED / name).read_bytes())
    write_file(out / "live.css", (HERE / "pages" / "live.css").read_bytes())
    return {page: reasons[model] for page, model in PAGES.items() if model in reasons}


def script_of_page(page: str) -> str:
    """All modules of a page as one script."""
    made = {"samples": samples_module()} if page == "convolution" else {}
    return bundle(f"{SCRIPTS.get(page, page)}-page", [HERE / "scripts", SERVED], made)


def write_networks(out: Path) -> dict[str | None, str]:
    """Write the runtime and the networks, and return why there is none, by network."""
    models = sorted({model for model in PAGES.values() if model})
    try:
        write_file(out / "runtime.js", runtime_script())
    except RuntimeMissing as error:
        return dict.fromkeys(models, str(error))
    reasons = {}
    for model in models:
        try:
            write_file(out / f"model-{model}.js", model_script(model))
        except ModelMissing as error:
            reasons[model] = str(error)
    return reasons


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Build the live pages, which need no server.")
    parser.add_argument("folder", nargs="?", type=Path, default=OUT, help="where they go: %(default)s")
    folder = parser.parse_args().folder
    reasons = build_live(folder)
    print(folder / "index.html")
    for page, reason in reasons.items():
        print(f"{page}.html says that it cannot run: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
