"""The header of every file of a source, and a fingerprint of their content."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from eyespot.console import track
from eyespot.data.formats.read import load_bytes, read_header
from eyespot.data.header import AS_STATED, Header, ReadOptions, Unreadable
from eyespot.data.sources.samples import Sample, Source
from eyespot.parallel import batched, in_order

R = TypeVar("R")
CHUNK = 128
"""Most files per task: handing a small file to a thread costs more than reading it."""
CHUNK_BYTES = 1 << 21
"""Most bytes of decoded images per task, so that they stay in a core's cache."""
SMALL = 150e-6
"""Seconds per file below which threads wait for the interpreter longer than they save."""


@dataclass(frozen=True)
class Scan:
    """The header of each sample, and the reason for each that has none."""

    headers: dict[int, Header]
    errors: dict[int, str]


def scan(source: Source, options: ReadOptions = AS_STATED) -> Scan:
    """Read every file's header, and fingerprint its content."""
    headers = {}
    errors = {}
    n = chunk_length(len(source.samples))
    chunks = in_order(partial(_scan_chunk, options), batched(source.samples, n), alone=SMALL * n)
    for i, outcome in enumerate(track(_flat(chunks), len(source.samples), "reading headers, files")):
        if isinstance(outcome, Header):
            headers[i] = outcome
        else:
            errors[i] = outcome
    return Scan(headers, errors)


def chunk_length(files: int, file_bytes: int = 1) -> int:
    """Files per task; fewer where there are few, which may be large, so that all threads are busy.

    file_bytes   of a file's result
    """
    return max(1, min(CHUNK, CHUNK_BYTES // file_bytes, files // 32))


def _scan_chunk(options: ReadOptions, samples: Sequence[Sample]) -> list[Header | str]:
    read = partial(read_header, options=options)
    return [value_or_reason(read, sample.path) for sample in samples]


def value_or_reason(read: Callable[[bytes], R], path: Path) -> R | str:
    """What a file's content becomes, or why it cannot be read."""
    try:
        return read(load_bytes(path))
    except Unreadable as reason:
        return str(reason)
    except Exception as error:
        error.add_note(
            f"while reading {path}. This is a bug in eyespot and no fault of the file: please report it"
        )
        raise


def _flat(lists: Iterator[list]) -> Iterator:
    for items in lists:
        yield from items


def fingerprint(scan: Scan) -> str:
    """One number for the content of all the files, whatever their names."""
    total = blake2b(digest_size=16)
    for digest in sorted(header.digest for header in scan.headers.values()):
        total.update(digest)
    return total.hexdigest()
