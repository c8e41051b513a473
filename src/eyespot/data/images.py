"""Every image decoded once, into one array on disk that later runs map into memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

import numpy as np

from eyespot.console import track
from eyespot.data.cache import Index, Key, cached, load_index
from eyespot.data.duplicates.pairs import thumbnails
from eyespot.data.header import Array
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.scan import SMALL, Scan, chunk_length, value_or_reason
from eyespot.data.sources.samples import Source
from eyespot.data.store import ArrayStore, Store
from eyespot.files import NewFolder
from eyespot.parallel import batched, in_order


@dataclass(frozen=True)
class Images(Index):
    """The decoded samples of a source: `pixels[i]` (size, ..., C), or (*S, C) where each keeps its size."""

    pixels: Store


def load_images(source: Source, scan: Scan, preprocessing: Preprocessing) -> Images:
    """The decoded images, from the cache or written to it now."""
    size = len(scan.headers) * _row_bytes(preprocessing)
    key = _key(scan, preprocessing)
    folder = cached("arrays", key, size, lambda working: _write(working, source, scan, preprocessing))
    index, _ = load_index(folder, scan.errors)
    shape = (len(index.rows), *preprocessing.shape)
    return Images(**vars(index), pixels=ArrayStore.open(folder / "pixels", preprocessing.depth, shape))


def _key(scan: Scan, preprocessing: Preprocessing) -> Key:
    key = Key(sorted(preprocessing.decoding().items()))
    for i, header in sorted(scan.headers.items()):
        key.add(i.to_bytes(8, "little") + header.digest)
    return key


def _row_bytes(preprocessing: Preprocessing) -> int:
    return math.prod(preprocessing.shape) * np.dtype(preprocessing.depth).itemsize + 1024


@dataclass(frozen=True)
class _Chunk(Index):
    """Some samples decoded: images (n, size, ..., C)."""

    images: Array


def _write(folder: NewFolder, source: Source, scan: Scan, preprocessing: Preprocessing) -> None:
    rows = sorted(scan.headers)
    chunks = [_decode_chunk(source, preprocessing, [])]
    # Plain writes, not a writable map: a full disk is then an error that can be reported, not a crash.
    with folder.open("pixels") as file:
        for chunk in _written(file, rows, source, preprocessing):
            chunks.append(replace(chunk, images=chunk.images[:0].copy()))
    arrays = {
        name: np.concatenate([getattr(chunk, name) for chunk in chunks])
        for name in ("rows", "thumbs", "low", "high")
    }
    errors = {i: reason for chunk in chunks for i, reason in chunk.errors.items()}
    Index(**arrays, errors=errors).save(folder, preprocessing=preprocessing.decoding())


def _written(
    file: IO[bytes], rows: list[int], source: Source, preprocessing: Preprocessing
) -> Iterator[_Chunk]:
    """Decode in threads, write in order, and show how many are done."""
    n = chunk_length(len(rows), _row_bytes(preprocessing))
    decode = partial(_decode_chunk, source, preprocessing)
    chunks = in_order(decode, batched(rows, n), alone=SMALL * n)
    for chunk in _counted(chunks, len(rows)):
        file.write(chunk.images.data)
        yield chunk


def _counted(chunks: Iterator[_Chunk], total: int) -> Iterator[_Chunk]:
    """The chunks, with progress by sample."""

    def one_by_one() -> Iterator[_Chunk | None]:
        for chunk in chunks:
            yield chunk
            yield from [None] * (len(chunk.rows) + len(chunk.errors) - 1)

    return (chunk for chunk in track(one_by_one(), total, "decoding, files") if chunk is not None)


def _decode_chunk(source: Source, preprocessing: Preprocessing, rows: list[int]) -> _Chunk:
    outcomes = {i: value_or_reason(preprocessing, source.samples[i].path) for i in rows}
    errors = {i: outcome for i, outcome in outcomes.items() if isinstance(outcome, str)}
    decoded = {i: outcome for i, outcome in outcomes.items() if not isinstance(outcome, str)}
    images = np.zeros((0, *preprocessing.shape), preprocessing.depth)
    if decoded:
        images = np.ascontiguousarray(
            np.stack([*decoded.values()])
        )  # stack keeps the order of transposed ones
    values = images.reshape(len(decoded), math.prod(preprocessing.shape))
    return _Chunk(
        rows=np.array([*decoded], np.int64),
        thumbs=thumbnails(images),
        low=values.min(1).astype(float),
        high=values.max(1).astype(float),
        errors=errors,
        images=images,
    )
