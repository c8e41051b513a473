"""Images and their label maps at their own sizes, decoded once into the cache: what crops are cut from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyespot.console import track
from eyespot.data.cache import Index, Key, cached, load_index
from eyespot.data.duplicates.pairs import thumbnail
from eyespot.data.formats.read import load_bytes
from eyespot.data.header import Array, Unreadable
from eyespot.data.images import Images
from eyespot.data.masks.alignment import aligned
from eyespot.data.masks.mapping import Mapping
from eyespot.data.masks.multilabel import check_fit, read_bits
from eyespot.data.masks.source import load_mask, mask_digest
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.scan import Scan
from eyespot.data.sources.samples import Sample, Source
from eyespot.data.store import RaggedStore, Store
from eyespot.files import NewFolder
from eyespot.parallel import in_order


@dataclass(frozen=True)
class Pairs(Images):
    """Images as read, `pixels[i]` (*S, C), and `labels[i]` (*S) with VOID where a pixel is not counted.

    Labels are class positions, or bit fields where masks are multi-label.
    """

    labels: Store


def load_pairs(source: Source, scan: Scan, preprocessing: Preprocessing, mapping: Mapping) -> Pairs:
    """The decoded images and label maps, from the cache or written to it now."""
    key = _key(source, scan, preprocessing, mapping)
    size = _bytes(scan, preprocessing)
    folder = cached("pairs", key, size, lambda working: _write(working, source, scan, preprocessing, mapping))
    index, meta = load_index(folder, scan.errors)
    shapes = [tuple(shape) for shape in meta["shapes"]]
    return Pairs(
        **vars(index),
        pixels=RaggedStore(folder / "pixels", preprocessing.depth, shapes),
        labels=RaggedStore(folder / "labels", "uint8", [shape[:-1] for shape in shapes]),
    )


def _key(source: Source, scan: Scan, preprocessing: Preprocessing, mapping: Mapping) -> Key:
    key = Key(sorted(preprocessing.decoding().items()), mapping)
    for i, header in sorted(scan.headers.items()):
        sample = source.samples[i]
        names = repr([name for name, _ in sample.masks])
        key.add(i.to_bytes(8, "little") + header.digest + names.encode())
        for mask in sample.mask_files:
            try:
                key.add(mask_digest(sample, mask))
            except Unreadable as reason:  # decoding it reports that too
                key.add(str(reason).encode())
    return key


def _bytes(scan: Scan, preprocessing: Preprocessing) -> int:
    """Of all images and their label maps"""
    pixel = preprocessing.channels * np.dtype(preprocessing.depth).itemsize + 1
    return sum(math.prod(header.shape) * pixel for header in scan.headers.values())


def _write(
    folder: NewFolder, source: Source, scan: Scan, preprocessing: Preprocessing, mapping: Mapping
) -> None:
    rows = []
    shapes = []
    ranges = []
    thumbs = []
    errors = {}
    with folder.open("pixels") as pixels, folder.open("labels") as labels:
        for i, outcome in _decoded(source, sorted(scan.headers), preprocessing, mapping):
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
    low, high = np.array(ranges, float).reshape(-1, 2).T
    Index(np.array(rows, np.int64), _stacked(thumbs), low, high, errors).save(folder, shapes=shapes)


def _decoded(
    source: Source, rows: list[int], preprocessing: Preprocessing, mapping: Mapping
) -> Iterator[tuple[int, tuple[Array, NDArray[np.uint8]] | str]]:
    """Each sample's image and labels, or the reason why they cannot be used."""
    outcomes = in_order(lambda i: _decode_pair(source.samples[i], preprocessing, mapping), rows)
    return zip(rows, track(outcomes, len(rows), "decoding, files"), strict=True)


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
            return image, read_bits(
                sample, mapping, image.shape[:-1], preprocessing.align, preprocessing.axes
            )
        assert sample.mask is not None
        values, _ = load_mask(sample, sample.mask, preprocessing.dim, mapping, preprocessing.axes)
        values = aligned(values, sample.mask, sample.path, preprocessing.align)
        check_fit(values.shape, image.shape[:-1], sample.mask.name)
        return image, mapping.labels(values)
    except Unreadable as reason:
        return str(reason)
