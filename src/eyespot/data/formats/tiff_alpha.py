"""Whether the last channel of a TIFF is transparency or one more measurement."""

import numpy as np

from eyespot.data.formats.tiff_axes import UNNAMED, Stack
from eyespot.data.guesses import Guess

RGB = 2
GREY = (0, 1)
"""Photometric interpretations: colours, and grey."""
SEPARATE_PLANES = 2
"""The planar configuration in which channels are stored one after the other."""
LEAST_OPAQUE = 0.01
"""The least share of opaque pixels of transparency: a measurement seldom has the largest value of its type."""
LEAST_BINARY = 0.9
"""The least share of pixels that are either opaque or clear, where the file does not name transparency."""
NAME = "last channel of TIFF"


def alpha_of(stack: Stack) -> tuple[bool, tuple[Guess, ...]]:
    """Whether the last channel is transparency, and the guess that this is where the file leaves it open.

    The user's axes decide where they name channels (C) or samples of a colour (S); then the file; then its content,
    since programs that write arrays of four planes may call the last one transparency without being told to.
    """
    named = stack.named if "C" not in stack.axes else ""
    if not _may_have_alpha(stack) or ("C" in named and "S" not in named):
        return False, ()
    if "S" in named:
        return True, ()
    stated = _says_so_itself(stack)
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


def _may_have_alpha(stack: Stack) -> bool:
    """Whether there is one channel more than grey or colours have, of a type that transparency has."""
    page = stack.page
    if page.dtype is None or page.dtype.kind != "u" or "S" not in stack.axes:
        return False
    samples = stack.length("S")
    if page.photometric in GREY:
        return samples == 2 and _says_alpha(stack)
    return _says_alpha(stack) or (page.photometric == RGB and samples == 4)


def _says_alpha(stack: Stack) -> bool:
    """TIFF's ExtraSamples 1 or 2"""
    extra = stack.page.extrasamples
    return bool(extra) and int(extra[-1]) in (1, 2)


def _says_so_itself(stack: Stack) -> bool:
    """Whether whoever wrote the file named it; for planes one after the other, tifffile names the last on its own."""
    return _says_alpha(stack) and stack.page.planarconfig != SEPARATE_PLANES


def _looks_transparent(stack: Stack, stated: bool) -> bool:
    """Whether the values of the first page are those of transparency."""
    values, axes = stack.take("TZ" + UNNAMED)
    last = np.take(values, -1, axes.index("S"))
    opaque = float((last == np.iinfo(last.dtype).max).mean())
    clear = float((last == 0).mean())
    return opaque >= LEAST_OPAQUE and (stated or opaque + clear >= LEAST_BINARY)
