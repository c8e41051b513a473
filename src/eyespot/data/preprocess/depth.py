"""From the type in which a file stores its values to that of the network's input. A type is no scale.

Values keep their numbers, whatever stores them. Only images of 8 and 16 bits that both reach from black to white are
brought to one range.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from eyespot.data.header import WORD, Array, Unreadable

TOP = {"uint8": 255, "uint16": 65535, "float32": 1.0}
"""The value that stands for white; floating-point values keep their own scale."""
BITS = {"uint8": "8 bits", "uint16": "16 bits", "float32": "signed or floating-point numbers"}
USES_16_BITS = 16383
"""Images of 16 bits whose largest value is not above this may hold 10, 12 or 14 bits."""


def to_depth(array: Array, how: Any, peak: float | None = None) -> Array:
    """Values (*S, C) in the type `how.depth`. Raises Unreadable where they cannot be, or where that changes their meaning.

    how    a `Preprocessing`
    peak   the largest value of the whole file, where the array is a window of it
    """
    have = str(array.dtype)
    if have == how.depth:
        return array
    if how.scaling == "full" and have != "float32":
        return _scaled(array, how, peak)
    if (
        have == "uint8"
        and how.depth == "uint16"
        and how.dim == 2
        and "uint8" not in (how.stored or ("uint8",))
    ):
        raise Unreadable(
            "it stores 8 bits, and the images trained on 16 bits: which of their values is white is not known; "
            "convert it first"
        )
    return _kept(array, how)


def _scaled(array: Array, how: Any, peak: float | None) -> Array:
    """White stays white: 255 becomes 65535 or 1.0, and the reverse."""
    have, depth = str(array.dtype), how.depth
    if depth == "float32":
        return (array / np.float32(TOP[have])).astype(np.float32)
    if depth == "uint16":
        return array.astype(np.uint16) * 257
    peak = float(array.max(initial=0)) if peak is None else peak
    if peak <= USES_16_BITS:
        raise Unreadable(
            f"it stores 16 bits with values up to {peak:.0f}, and the {WORD[how.dim]}s trained on 8 bits: which of its "
            "values is white is not known; convert it to 8 bits"
        )
    return (array // 257).astype(np.uint8)


def _kept(array: Array, how: Any) -> Array:
    """The same numbers in another type."""
    if how.depth != "float32":
        low, high = float(array.min(initial=0)), float(array.max(initial=0))
        whole = array.dtype.kind == "u" or bool((array == np.rint(array)).all())
        if not whole or low < 0 or high > TOP[how.depth]:
            held = "values" if whole else "floating-point values"
            raise Unreadable(
                f"it holds {held} from {low:g} to {high:g}, and the {WORD[how.dim]}s trained on store {BITS[how.depth]}; "
                "convert it first"
            )
    return array.astype(how.depth)


def type_remark(dtype: Any, how: Any) -> str | None:
    """A sentence about a file of another type than those trained on; None where that is nothing new."""
    have = str(dtype)
    if have == how.depth or have in how.stored:
        return None
    trained = _listed(how.stored or (how.depth,))
    if how.scaling == "full" and have != "float32":
        done = f"scaled, so that {TOP[have]} becomes {TOP[how.depth]:g}"
    else:
        done = "kept"
    return f"it stores {BITS[have]}, and the {WORD[how.dim]}s trained on {trained}: its values are {done}"


def _listed(types: Sequence[str]) -> str:
    return " or ".join(BITS[name] for name in types)
