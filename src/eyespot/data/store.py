"""Every image decoded once, into one array on disk that later runs map into memory."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import PIL
from numpy.typing import NDArray

from eyespot.console import track
from eyespot.data.duplicates import thumbnails
from eyespot.data.formats.read import facts, load_bytes
from eyespot.data.header import Array, Header, Unreadable
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.sources.samples import Sample, Source
from eyespot.environment import cache_folder, positive_number
from eyespot.files import NewFolder, is_temporary, new_folder, remove_folder
from eyespot.parallel import batched, in_order

R = TypeVar("R")
FORMAT = 3
CHUNK = 128
"""Files per task at the most, of many: a small file is less work than handing it to a thread."""
SMALL = 150e-6
"""Seconds for a file below which threads spend more time on waiting for the interpreter than they save."""
CHUNK_BYTES = 1 << 21
"""Of the decoded images of a task, so that they stay in a core's cache."""
DAY = 86_400.0
CACHE_GB = positive_number("EYESPOT_CACHE_GB", 50)


@dataclass(frozen=True)
class Headers:
    """What the headers say: facts by sample, and the reason for each file that has none."""

    facts: dict[int, Header]
    errors: dict[int, str]


@dataclass(frozen=True)
class Images:
    """The decoded samples of a source.

    pixels  (N, size, ..., C), mapped from disk
    rows    (N,) the position in the source of each
    thumbs  (N, T) small copies for finding duplicates
    low, high   (N,) each one's own value range
    errors  the reason for each sample that could not be decoded
    """

    pixels: Array
    rows: NDArray[np.int64]
    thumbs: NDArray[np.float32]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    errors: dict[int, str]


def scan(source: Source) -> Headers:
    """Read every file's header, and fingerprint its content."""
    found, errors = {}, {}
    n = _chunk(len(source.samples))
    parts = in_order(_scan_some, batched(source.samples, n), alone=SMALL * n)
    for i, outcome in enumerate(track(_flat(parts), len(source.samples), "reading headers")):
        (found if isinstance(outcome, Header) else errors)[i] = outcome
    return Headers(found, errors)


def _chunk(files: int, each: int = 1) -> int:
    """Files per task: of few files, which may be large, few enough to keep the threads equally busy.

    each   bytes of a file's result
    """
    return max(1, min(CHUNK, CHUNK_BYTES // each, files // 32))


def _scan_some(samples: Sequence[Sample]) -> list[Header | str]:
    return [_or_reason(facts, s.path) for s in samples]


def _or_reason(work: Callable[[bytes], R], path: Path) -> R | str:
    try:
        return work(load_bytes(path))
    except Unreadable as reason:
        return str(reason)


def _flat(parts: Iterator[list]) -> Iterator:
    for part in parts:
        yield from part


def fingerprint(headers: Headers) -> str:
    """One number for the content of all the files, whatever their names."""
    total = blake2b(digest_size=16)
    for digest in sorted(f.digest for f in headers.facts.values()):
        total.update(digest)
    return total.hexdigest()


def load(source: Source, headers: Headers, preprocessing: Preprocessing) -> Images:
    """The decoded images, from the cache or put there now."""
    folder = cache_folder() / "arrays" / _key(headers, preprocessing)
    if not (folder / "meta.json").exists():
        make_room(folder.parent, len(headers.facts) * _row_bytes(preprocessing), folder)
        decode_into(folder, lambda working: _write(working, source, headers, preprocessing))
    os.utime(folder)  # the least recently used is the first to go
    meta = json.loads((folder / "meta.json").read_text())
    small = np.load(folder / "small.npz", allow_pickle=False)
    shape = (len(small["rows"]), *preprocessing.shape)
    pixels = (
        np.memmap(folder / "pixels", preprocessing.depth, "r", shape=shape)
        if shape[0]
        else np.zeros(shape, preprocessing.depth)
    )
    errors = headers.errors | {int(i): reason for i, reason in meta["errors"].items()}
    return Images(pixels, small["rows"], small["thumbs"], small["low"], small["high"], errors)


def _key(headers: Headers, preprocessing: Preprocessing) -> str:
    """By content and settings, so that a renamed file is the same and an edited one is not."""
    key = blake2b(
        repr((FORMAT, PIL.__version__, sorted(preprocessing.decoding().items()))).encode(), digest_size=16
    )
    for i, found in sorted(headers.facts.items()):
        key.update(i.to_bytes(8, "little") + found.digest)
    return key.hexdigest()


def _row_bytes(preprocessing: Preprocessing) -> int:
    return math.prod(preprocessing.shape) * np.dtype(preprocessing.depth).itemsize + 1024


def decode_into(folder: Path, write: Callable[[NewFolder], None]) -> None:
    """Write arrays to a folder of the cache, which takes its name when it is complete."""
    if folder.exists() and not (folder / "meta.json").exists():
        remove_folder(folder)  # half deleted, or not ours
    with new_folder(folder) as working:
        write(working)


@dataclass(frozen=True)
class _Part:
    """Some samples decoded: images (n, size, ..., C), and of each its row, thumbnail and value range; or why not."""

    images: Array
    rows: list[int]
    thumbs: NDArray[np.float32]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    errors: dict[int, str]


def _write(folder: NewFolder, source: Source, headers: Headers, preprocessing: Preprocessing) -> None:
    wanted = sorted(headers.facts)
    parts = [_decode_some(source, preprocessing, [])]

    def written(file: BinaryIO) -> Iterator[int]:
        n = _chunk(len(wanted), _row_bytes(preprocessing))
        work = partial(_decode_some, source, preprocessing)
        for part in in_order(work, batched(wanted, n), alone=SMALL * n):
            file.write(part.images.data)
            parts.append(replace(part, images=part.images[:0].copy()))
            yield from (*part.rows, *part.errors)

    # Plain writes, not a writable map: a full disk is then an error that can be reported, not a crash.
    with folder.open("pixels") as file:
        for _ in track(written(file), len(wanted), "decoding"):
            pass
    rows = np.array([i for part in parts for i in part.rows], np.int64)
    thumbs, low, high = (
        np.concatenate([getattr(part, k) for part in parts]) for k in ("thumbs", "low", "high")
    )
    with folder.open("small.npz") as file:
        np.savez(file, rows=rows, thumbs=thumbs, low=low, high=high)
    errors = {i: reason for part in parts for i, reason in part.errors.items()}
    folder.write("meta.json", json.dumps({"errors": errors, "reading": preprocessing.as_dict()}))


def _decode_some(source: Source, preprocessing: Preprocessing, rows: list[int]) -> _Part:
    outcomes = {i: _or_reason(preprocessing, source.samples[i].path) for i in rows}
    errors = {i: outcome for i, outcome in outcomes.items() if isinstance(outcome, str)}
    good = {i: outcome for i, outcome in outcomes.items() if not isinstance(outcome, str)}
    images = np.zeros((0, *preprocessing.shape), preprocessing.depth)
    if good:
        images = np.ascontiguousarray(np.stack([*good.values()]))  # stack keeps the order of transposed ones
    values = images.reshape(len(good), math.prod(preprocessing.shape))
    low, high = values.min(1).astype(float), values.max(1).astype(float)
    return _Part(images, [*good], thumbnails(images), low, high, errors)


def make_room(cache: Path, wanted: int, keep: Path) -> None:
    """Drop the least recently used arrays beyond the cache's limit, and what killed runs left a day ago."""
    if not cache.exists():
        return
    found: list[tuple[float, Path, int]] = []
    for folder in (f for f in cache.iterdir() if f != keep):
        with suppress(OSError):  # another process may drop it meanwhile
            found.append((folder.stat().st_mtime, folder, sum(f.stat().st_size for f in folder.glob("*"))))
    total = float(wanted)
    for used, folder, size in sorted(found, reverse=True):
        total += size
        if time.time() - used > DAY if is_temporary(folder) else total > CACHE_GB * 1e9:
            remove_folder(folder)
