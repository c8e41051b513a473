"""Warnings about files that an evaluation reads otherwise than those trained on."""

from collections import Counter
from collections.abc import Iterable, Iterator

from eyespot.data.header import WORD, Header
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.plurals import count


def notes_about_files(preprocessing: Preprocessing, headers: Iterable[Header]) -> tuple[str, ...]:
    """A line for each way in which files differ from those trained on, with how many there are."""
    taken = [header.taken_as(preprocessing.dim) or header for header in headers]
    kinds = Counter(remark for header in taken for remark in _remarks(preprocessing, header))
    word = WORD[preprocessing.dim]
    return tuple(f"warning: {count(n, word)} of {len(taken):,}: {remark}" for remark, n in kinds.items())


def _remarks(preprocessing: Preprocessing, header: Header) -> Iterator[str]:
    yield from preprocessing.header_remarks(header.depth, header.channels, header.spacing)
    if header.frames > 1:
        yield f"it has {header.frames} pages, frames or time points, of which only the first is read"
