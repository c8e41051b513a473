"""An image to explain: what the file shows, what the network gets of it, and the way back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.read import decode_any, load_bytes
from eyespot.data.header import WORD, Array, Decoded
from eyespot.data.preprocess.placement import Placement
from eyespot.data.preprocess.preprocessing import OWN, Preprocessing
from eyespot.prediction.inputs import as_decoded


@dataclass(frozen=True)
class Subject:
    """name of the file; shown (*S, C) its own samples; array (*S, C) what the network gets; placement from one to the other,
    None where what the network gets is shown."""

    name: str
    shown: Array
    array: Array
    placement: Placement | None
    notes: tuple[str, ...] = ()

    def back(self, values: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.float32]:
        """A map (*S) of the network's input -> at the file's own samples; 0 where the network saw nothing"""
        if self.placement is None:
            return values.astype(np.float32)
        return preprocessing.undo(np.ascontiguousarray(values, np.float32), self.placement)


def read_subject(image: Any, preprocessing: Preprocessing) -> Subject:
    """A path, a Pillow or nibabel image or an array. Raises Unreadable."""
    if isinstance(image, str | Path):
        return subject_of_content(str(image), load_bytes(Path(image)), preprocessing)
    decoded = as_decoded(image, preprocessing)
    return _subject("(image)", decoded, decoded, preprocessing)


def subject_of_content(name: str, content: bytes, preprocessing: Preprocessing) -> Subject:
    """The content of a file. Raises Unreadable."""
    decoded = preprocessing.decode(content)
    whole = decoded
    if preprocessing.fit != OWN:
        whole = decode_any(content, preprocessing.dim, None, preprocessing.read_options)
    return _subject(name, decoded, whole, preprocessing)


def _subject(name: str, decoded: Decoded, whole: Decoded, preprocessing: Preprocessing) -> Subject:
    array = preprocessing.of_decoded(decoded)
    lengths = whole.array.shape[:-1]
    placement = preprocessing.placement(lengths, whole.spacing)
    notes = [*preprocessing.remarks(decoded), *filter(None, [preprocessing.value_remark(array)])]
    return Subject(name, whole.array, array, placement, (*notes, *size_notes(placement, preprocessing)))


def size_notes(placement: Placement, preprocessing: Preprocessing) -> list[str]:
    """What becomes of a file of another size, so that a reader knows what the map's places are."""
    if placement.unchanged:
        return []
    own, given = (" x ".join(map(str, sizes)) for sizes in (placement.lengths, placement.covered))
    what = "pixels" if preprocessing.dim == 2 else "samples"
    changed = placement.covered != placement.lengths
    notes = [
        f"the network sees these {own} {what} as {given}; the map is brought back to the file's own"
    ] * changed
    if any(low > 0.5 for low, _ in placement.windows):
        notes.append(
            f"what lies outside of the middle is cut off, as the {WORD[preprocessing.dim]}s trained on were: the map is 0 there"
        )
    return notes
