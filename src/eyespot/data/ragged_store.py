"""Images and their label maps at their own sizes, decoded once into the cache: what crops are cut from."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyespot.console import track
from eyespot.data.duplicates import thumbnail
from eyespot.data.formats.read import load_bytes
from eyespot.data.header import Array, Unreadable
from eyespot.data.masks import Mapping, read_mask
from eyespot.data.multilabel import check_fit, read_bits
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.sources.samples import Sample, Source
from eyespot.data.store import FORMAT, Headers, Images, decode_into, make_room
from eyespot.environment import cache_folder
from eyespot.files import NewFolder
from eyespot.parallel import in_order


class Ragged(Sequence[Array]):
    """Arrays of different sizes, one behind the other in one file that is mapped into memory."""

    def __init__(self, path: Path, dtype: str, shapes: list[tuple[int, ...]]):
        sizes = [int(np.prod(shape)) for shape in shapes]
        self.shapes, self.starts = shapes, np.cumsum([0, *sizes])
        self.values = np.memmap(path, dtype, "r") if sizes else np.zeros(0, dtype)

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, i) -> Array:
        i = int(i)
        return self.values[self.starts[i] : self.starts[i + 1]].reshape(self.shapes[i])


@dataclass(frozen=True)
class Pairs(Images):
    """Images as read, `pixels[i]` (*S, C), and `labels[i]` (*S) with VOID where nothing counts.

    Labels are class positions, or bit fields where masks are multi-label.
    """

    labels: Ragged


def load_pairs(source: Source, headers: Headers, preprocessing: Preprocessing, mapping: Mapping) -> Pairs:
    """The decoded images and label maps, from the cache or put there now."""
    folder = cache_folder() / "pairs" / _key(source, headers, preprocessing, mapping)
    if not (folder / "meta.json").exists():
        make_room(folder.parent, _bytes(headers, preprocessing), folder)
        decode_into(folder, lambda working: _write(working, source, headers, preprocessing, mapping))
    os.utime(folder)  # the least recently used is the first to go
    meta = json.loads((folder / "meta.json").read_text())
    shapes = [tuple(shape) for shape in meta["shapes"]]
    thumbs = np.load(folder / "thumbs.npy")
    low, high = np.array(meta["ranges"], float).reshape(-1, 2).T
    errors = headers.errors | {int(i): why for i, why in meta["errors"].items()}
    return Pairs(
        Ragged(folder / "pixels", preprocessing.depth, shapes),  # type: ignore[arg-type]
        np.array(meta["rows"], np.int64),
        thumbs,
        low,
        high,
        errors,
        Ragged(folder / "labels", "uint8", [shape[:-1] for shape in shapes]),
    )


def _key(source: Source, headers: Headers, preprocessing: Preprocessing, mapping: Mapping) -> str:
    key = blake2b(repr((FORMAT, sorted(preprocessing.decoding().items()), mapping)).encode(), digest_size=16)
    for i, found in sorted(headers.facts.items()):
        sample = source.samples[i]
        key.update(i.to_bytes(8, "little") + found.digest + repr([name for name, _ in sample.masks]).encode())
        for mask in sample.mask_files:
            try:
                key.update(sha256(load_bytes(mask)).digest())
            except Unreadable as why:  # decoding it tells that too
                key.update(str(why).encode())
    return key.hexdigest()


def _bytes(headers: Headers, preprocessing: Preprocessing) -> int:
    """Of all images and their label maps"""
    each = preprocessing.channels * np.dtype(preprocessing.depth).itemsize + 1
    return sum(math.prod(f.shape) * each for f in headers.facts.values())


def _write(
    folder: NewFolder, source: Source, headers: Headers, preprocessing: Preprocessing, mapping: Mapping
) -> None:
    wanted = sorted(headers.facts)
    rows, shapes, ranges, thumbs, errors = [], [], [], [], {}
    outcomes = in_order(lambda i: _decode_pair(source.samples[i], preprocessing, mapping), wanted)
    with folder.open("pixels") as pixels, folder.open("labels") as labels:
        for i, outcome in zip(wanted, track(outcomes, len(wanted), "decoding"), strict=True):
            if isinstance(outcome, str):
                errors[i] = outcome
                continue
            image, label = outcome
            pixels.write(np.ascontiguousarray(image).data)
            labels.write(np.ascontiguousarray(label).data)
            rows.append(i)
            shapes.append(image.shape)
            ranges.append((float(image.min()), float(image.max())))
            thumbs.append(thumbnail(image))
    with folder.open("thumbs.npy") as file:
        np.save(file, _stacked(thumbs))
    meta = {"rows": rows, "shapes": shapes, "ranges": ranges, "errors": errors}
    folder.write("meta.json", json.dumps(meta))


def _stacked(thumbs: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Images smaller than a thumbnail have shorter ones, and are not compared."""
    longest = max((len(t) for t in thumbs), default=0)
    return np.array([t if len(t) == longest else np.zeros(longest) for t in thumbs], np.float32)


def _decode_pair(
    sample: Sample, preprocessing: Preprocessing, mapping: Mapping
) -> tuple[Array, NDArray[np.uint8]] | str:
    try:
        image = preprocessing(load_bytes(sample.path))
        if mapping.multilabel:
            return image, read_bits(sample, mapping, image.shape[:-1])
        assert sample.mask is not None
        values, _ = read_mask(load_bytes(sample.mask), preprocessing.dim)
        check_fit(values.shape, image.shape[:-1], sample.mask.name)
        return image, mapping.labels(values)
    except Unreadable as reason:
        return str(reason)
