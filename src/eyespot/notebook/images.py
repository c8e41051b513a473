"""Pictures and their legends as HTML."""

from collections.abc import Sequence
from html import escape

from PIL import Image

from eyespot.notebook.html import ROWS, not_shown
from eyespot.pictures import LARGE_FILE, MAP_COLOURS, embedded

SHEET_FILE = 250_000
"""Bytes of a picture with many small ones."""


def sheet(image: Image.Image, alt: str) -> str:
    """A contact sheet, with words for those who do not see it."""
    return picture(image, alt, SHEET_FILE)


def picture(image: Image.Image, alt: str, most: int = LARGE_FILE) -> str:
    """A picture, with words for those who do not see it. most   bytes of its file"""
    return f'<img src="{embedded(image, most)}" width="{image.width}" alt="{escape(alt)}">'


def legend(names: Sequence[str], first: int, has_void: bool = False) -> str:
    """The colours of classes in an overlay, as `overlays.painted` paints them.

    first      the class with the first colour
    has_void   whether something is hatched
    """
    spans = [
        f'<span><i class="swatch" style="background: {MAP_COLOURS[k % len(MAP_COLOURS)]}"></i>{escape(name)}</span>'
        for k, name in enumerate(names[first:][:ROWS])
    ]
    spans += ["<span>hatched: void, not counted</span>"] * has_void
    return f'<p class="legend">{"".join(spans)}</p>' + not_shown(len(names) - first - ROWS, "class")
