"""From the type in which a file stores its values (8 bits, 16 bits, floating point) to that of the network's input.

The type of a file does not say on which scale its values are: values keep their numbers. Only images of 8 and 16 bits that both reach from black to white are
brought to one range.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from eyespot.data.header import WORD, Array, Unreadable

WHITE = {"uint8": 255, "uint16": 65535, "float32": 1.0}
"""The value that stands for white, where images of several types are brought to one range."""
BITS = {"uint8": "8 bits", "uint16": "16 bits", "float32": "signed or floating-point numbers"}
MOST_OF_14_BITS = 16383
"""Images of 16 bits whose largest value is not above this may hold 10, 12 or 14 bits."""


def convert_type(array: Array, preprocessing: Any, peak: float | None = None) -> Array:
    """Values (*S, C) in the type `preprocessing.depth`. Raises Unreadable where they cannot be, or where that changes their meaning.

    preprocessing    a `Preprocessing`
    peak   the largest value of the whole file, where the array is a window of it
    """
    stored = str(array.dtype)
    if stored == preprocessing.depth:
        return array
    if preprocessing.scaling == "full" and stored != "float32":
        return _scaled(array, preprocessing, peak)
    if (
        stored == "uint8"
        and preprocessing.depth == "uint16"
        and preprocessing.dim == 2
        and "uint8" not in (preprocessing.stored or ("uint8",))
    ):
        raise Unreadable(
            "it stores 8 bits, and the images trained on 16 bits: which of their values is white is not known; "
            "convert it first"
        )
    return _same_values(array, preprocessing)


def _scaled(array: Array, preprocessing: Any, peak: float | None) -> Array:
    """White stays white: 255 becomes 65535 or 1.0, and the reverse."""
    stored = str(array.dtype)
    depth = preprocessing.depth
    if depth == "float32":
        return (array / np.float32(WHITE[stored])).astype(np.float32)
    if depth == "uint16":
        return array.astype(np.uint16) * 257
    peak = float(array.max(initial=0)) if peak is None else peak
    if peak <= MOST_OF_14_BITS:
        raise Unreadable(
            f"it stores 16 bits with values up to {peak:.0f}, and the {WORD[preprocessing.dim]}s trained on 8 bits: which of its "
            "values is white is not known; convert it to 8 bits"
        )
    return (array // 257).astype(np.uint8)


def _same_values(array: Array, preprocessing: Any) -> Array:
    """The same numbers in another type."""
    if preprocessing.depth != "float32":
        low = float(array.min(initial=0))
        high = float(array.max(initial=0))
        whole = array.dtype.kind == "u" or bool((array == np.rint(array)).all())
        if not whole or low < 0 or high > WHITE[preprocessing.depth]:
            kind = "values" if whole else "floating-point values"
            raise Unreadable(
                f"it holds {kind} from {low:g} to {high:g}, and the {WORD[preprocessing.dim]}s trained on store {BITS[preprocessing.depth]}; "
                "convert it first"
            )
    return array.astype(preprocessing.depth)


def type_remark(dtype: Any, preprocessing: Any) -> str | None:
    """A sentence about a file of another type than those trained on; None where that is nothing new."""
    stored = str(dtype)
    if stored == preprocessing.depth or stored in preprocessing.stored:
        return None
    trained = _listed(preprocessing.stored or (preprocessing.depth,))
    if preprocessing.scaling == "full" and stored != "float32":
        done = f"scaled, so that {WHITE[stored]} becomes {WHITE[preprocessing.depth]:g}"
    else:
        done = "kept"
    return f"it stores {BITS[stored]}, and the {WORD[preprocessing.dim]}s trained on {trained}: its values are {done}"


def _listed(types: Sequence[str]) -> str:
    return " or ".join(BITS[name] for name in types)
