"""The page: files of our own in this package, and nothing from elsewhere."""

from importlib.resources import files

from fastapi import FastAPI
from starlette.responses import Response

TYPES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    **dict.fromkeys(
        ("api.js", "batch.js", "changes.js", "page.js", "result.js"), "text/javascript; charset=utf-8"
    ),
    "icon.svg": "image/svg+xml",
}
"""The files and their types; no other path is opened."""


def page_file(name: str) -> bytes:
    """The content of a file of the page."""
    return (files("eyespot.serving") / "page_files" / name).read_bytes()


def add_page(app: FastAPI) -> None:
    """The page at /, and its other files under /page/."""
    for name, kind in TYPES.items():
        path = "/" if name == "index.html" else f"/page/{name}"
        app.add_api_route(path, _sender(page_file(name), kind), include_in_schema=False)


def _sender(content: bytes, kind: str):
    async def send() -> Response:
        return Response(content, media_type=kind)

    return send
