"""What the numbers in files mean, where files do not state it: one scale for 8 and 16 bits, one background."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from eyespot.config import Config
from eyespot.data.formats.read import decode, load_bytes
from eyespot.data.formats.tables.table import settled_decimal
from eyespot.data.guesses import Guess
from eyespot.data.header import BACKGROUNDS, Array, ReadOptions, Unreadable
from eyespot.data.scan import Scan
from eyespot.data.sources.samples import Source
from eyespot.errors import UserError

LOOKED_AT = 32
"""Most files of a kind whose values are looked at."""
PHOTOGRAPH = {"uint8": 63, "uint16": 32767}
"""The brightest value of images that use the range of their type exceeds this (median)."""
FAINT = 0.1
"""A picture whose values differ by less than this, of a range of 1, shows nothing."""


def choose_values(source: Source, scan: Scan, options: Config) -> tuple[dict[str, Any], list[Guess]]:
    """Fields of `Preprocessing` that say what values mean, and which of them are guesses.

    Raises UserError where 8 and 16 bits are mixed and the values do not tell what is white.
    """
    headers = list(scan.headers.values())
    stored = tuple(sorted({h.depth for h in headers}))
    scaling, scaling_guesses = _scaling(source, scan, stored, options.scaling)
    background, background_guesses = _background(source, scan, options.background)
    fields = {"axes": options.axes or "", "stored": stored, "scaling": scaling, "background": background}
    decimal = options.decimal or settled_decimal(headers)
    fields |= {"columns": options.columns or "", "decimal": decimal, "rate": options.rate or 0.0}
    oriented = all(h.kind == "NIfTI" for h in headers)
    fields |= {"oriented": oriented, "nan": options.nan, "align": options.align}
    return fields, [*scaling_guesses, *background_guesses]


def _scaling(
    source: Source, scan: Scan, stored: tuple[str, ...], asked: str | None
) -> tuple[str, list[Guess]]:
    """Whether white is the largest value of a type, so that images of 8 and 16 bits can be brought to one range."""
    headers = scan.headers
    if asked or "float32" in stored or next(iter(headers.values())).dim != 2:
        return asked or "none", []
    if stored == ("uint8",):
        return "full", []
    peaks = {depth: _peaks(source, [i for i, h in headers.items() if h.depth == depth]) for depth in stored}
    if len(stored) == 1 or not all(peaks.values()):
        photographs = bool(peaks["uint16"]) and np.median(peaks["uint16"]) > PHOTOGRAPH["uint16"]
        return "full" if photographs else "none", []
    low = peaks["uint8"]
    high = peaks["uint16"]
    if max(high) <= 255:
        reason = f"the values of the 16-bit images reach only {max(high):.0f}"
        return "none", [Guess("scale of 8 and 16 bits", "the same", reason, "--scaling full")]
    if all(np.median(peaks[depth]) > PHOTOGRAPH[depth] for depth in stored):
        reason = f"the brightest values are {max(low):.0f} of 255 and {max(high):.0f} of 65535"
        value = "both from black to white, so values of 8 bits are multiplied by 257"
        return "full", [Guess("scale of 8 and 16 bits", value, reason, "--scaling none")]
    raise UserError(
        f"{source.name} mixes images of 8 bits (values up to {max(low):.0f}) and of 16 bits (up to {max(high):.0f}), "
        "and their values do not tell whether they have one scale: use --scaling none if they have, or --scaling full "
        "if 255 and 65535 both mean white"
    )


def _peaks(source: Source, rows: list[int]) -> list[float]:
    """The largest value of some files."""
    return [float(array.max()) for array in _arrays(source, rows, ReadOptions())]


def _arrays(source: Source, rows: list[int], options: ReadOptions) -> Iterator[Array]:
    """Some of the files, decoded as images; those that cannot be read are reported elsewhere."""
    for k in np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).astype(int):
        try:
            yield decode(load_bytes(source.samples[rows[k]].path), 2, None, options).array
        except Unreadable:
            continue


def _background(source: Source, scan: Scan, asked: str | None) -> tuple[str, list[Guess]]:
    """The background on which the fewest transparent images vanish; of equals, white."""
    rows = [i for i, h in scan.headers.items() if h.dim == 2 and "alpha" in h.notes]
    if asked or not rows:
        return asked or "white", []
    vanish = {name: _vanishing(source, rows, name) for name in BACKGROUNDS}
    best = min(vanish, key=lambda name: vanish[name])
    if best == "white":
        return best, []
    n = min(len(rows), LOOKED_AT)
    reason = f"{vanish['white']} of {n} transparent images would vanish on white"
    return best, [Guess("background of transparent pixels", best, reason, "--background white")]


def _vanishing(source: Source, rows: list[int], background: str) -> int:
    """How many images show nothing on a background."""
    arrays = _arrays(source, rows, ReadOptions(background=background))
    return sum(bool(_contrast(array) < FAINT) for array in arrays)


def _contrast(array: Array) -> float:
    """The range of the values, of a range of 1."""
    top = float(np.iinfo(array.dtype).max) if array.dtype.kind == "u" else 1.0
    return (float(array.max()) - float(array.min())) / top
