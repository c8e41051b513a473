"""Whether the last channel of a TIFF is transparency or one more measurement."""

import numpy as np

from eyespot.data.formats.tiff_axes import UNNAMED, Stack
from eyespot.data.guesses import Guess

RGB = 2
MINIMAL = (0, 1)
"""Photometric interpretations: colours, and grey."""
SEPARATE = 2
"""The planar configuration in which channels are stored one after the other."""
OPAQUE = 0.01
"""Share of the pixels of a channel called transparency that are opaque at least; a measurement seldom has its type's
largest value."""
CLEAR = 0.9
"""Share of the pixels that are either opaque or clear in transparency that the file does not name."""
NAME = "last channel of TIFF"


def alpha_of(stack: Stack) -> tuple[bool, tuple[Guess, ...]]:
    """Whether the last channel is transparency, and the guess that this is where the file leaves it open.

    The user's axes decide where they name channels (C) or samples of a colour (S); then the file; then its content, since
    programs that write arrays of three or four planes call them colours and transparency by themselves.
    """
    named = stack.named if "C" not in stack.axes else ""
    if not _could_be(stack) or ("C" in named and "S" not in named):
        return False, ()
    if "S" in named:
        return True, ()
    stated = _is_stated(stack)
    alpha = _looks_transparent(stack, stated)
    if stated and alpha:
        return True, ()
    return alpha, (_guess(stack, alpha),)


def _guess(stack: Stack, alpha: bool) -> Guess:
    stated = "the file calls it transparency" if _says_alpha(stack) else "the file does not say what it is"
    as_channel = stack.axes.replace("S", "C")
    if alpha:
        reason = f"{stated} and nearly all of its values are opaque or clear"
        return Guess(NAME, "transparency", reason, f"--axes {as_channel} to keep it as a channel")
    reason = f"{stated} but hardly any of its values are opaque or clear"
    return Guess(NAME, "a channel like the others", reason, f"--axes {stack.axes} for transparency")


def _could_be(stack: Stack) -> bool:
    """Whether there is one channel more than grey or colours have, of a type that transparency has."""
    page = stack.page
    if page.dtype is None or page.dtype.kind != "u" or "S" not in stack.axes:
        return False
    samples = stack.length("S")
    if page.photometric in MINIMAL:
        return samples == 2 and _says_alpha(stack)
    return _says_alpha(stack) or (page.photometric == RGB and samples == 4)


def _says_alpha(stack: Stack) -> bool:
    """TIFF's ExtraSamples 1 or 2"""
    extra = stack.page.extrasamples
    return bool(extra) and int(extra[-1]) in (1, 2)


def _is_stated(stack: Stack) -> bool:
    """Whether the file says so; of planes one after the other, tifffile does so unasked."""
    return _says_alpha(stack) and stack.page.planarconfig != SEPARATE


def _looks_transparent(stack: Stack, stated: bool) -> bool:
    """Whether the values of the first page are those of transparency."""
    values, axes = stack.take("TZ" + UNNAMED)
    last = np.take(values, -1, axes.index("S"))
    opaque = float((last == np.iinfo(last.dtype).max).mean())
    clear = float((last == 0).mean())
    return opaque >= OPAQUE and (stated or opaque + clear >= CLEAR)
