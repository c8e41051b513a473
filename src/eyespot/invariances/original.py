"""An image as it is changed: its own samples, before they are brought to the network's size and normalised."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eyespot.data.formats.read import load_bytes
from eyespot.data.header import Array, Decoded
from eyespot.data.preprocess.preprocessing import Preprocessing

LARGER = 4
"""How many times the samples of the network's input a file may have; larger ones are changed at the network's size, which is
faster."""


@dataclass(frozen=True)
class Original:
    """array (*S, C) that is changed; index in the data set, by which all that is random is chosen; spacing along each axis, if
    known; prepared: whether the array already is what the network gets"""

    array: Array
    index: int
    spacing: tuple[float, ...] = ()
    prepared: bool = False

    def generator(self, name: str, trial: int = 0) -> np.random.Generator:
        """The same for the same image, change and trial, whatever else is measured."""
        return np.random.default_rng([self.index, trial, *name.encode()])


def read_original(path: str | Path, index: int, preprocessing: Preprocessing) -> Original:
    """The file's own samples; of a file that is much larger than the network's input, that input. Raises Unreadable."""
    return original_of(load_bytes(Path(path)), index, preprocessing)


def original_of(content: bytes, index: int, preprocessing: Preprocessing) -> Original:
    """`read_original` of a file's content. Raises Unreadable."""
    decoded = preprocessing.decode(content)
    array = preprocessing.finite(decoded.array)
    seen = int(np.prod(preprocessing.shape[:-1])) * preprocessing.frame**preprocessing.dim
    if int(np.prod(array.shape[:-1])) > LARGER * seen and preprocessing.view == "samples":
        return Original(preprocessing.of_decoded(decoded), index, prepared=True)
    return Original(array, index, decoded.spacing)


def prepare(original: Original, array: Array, preprocessing: Preprocessing) -> Array:
    """What the network gets of a changed array."""
    if original.prepared:
        return array
    return preprocessing.of_decoded(Decoded(array, original.spacing[: array.ndim - 1]))
