"""Which images of a data set a network has seen: the same files, or copies of them that were saved again, mirrored or turned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.duplicates.detail import LARGE, confirmed, upright
from eyespot.data.duplicates.pairs import ALIKE, clusters, near
from eyespot.data.duplicates.seen import SeenImages, Thumbs, short
from eyespot.data.formats.read import content_digest, load_bytes
from eyespot.data.header import Array, Header, Unreadable
from eyespot.data.sources.samples import Sample
from eyespot.data.store import Store

NOT_SEEN = -1
ROUNDED = 0.0003
"""How much less alike a thumbnail may be to a copy for being kept in 8 bits."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Looked:
    """What is looked up: the headers of images, their decoded values and thumbnails, and how a file is decoded.

    samples   the images as the data set lists them, of which some may be changed copies
    """

    headers: list[Header]
    pixels: Store
    thumbs: Thumbs
    read: Callable[[bytes], Array]
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Recognised:
    """What a network has seen of the images that were looked up.

    position   (N,) of the same image, or of its original, among those seen; NOT_SEEN for none
    trained    (N,) whether it, or a copy of it, has been trained on
    copies     (N,) which of these are known as copies only: copied, saved again, mirrored, turned, or changed
    changed    (N,) which of these are copies that `eyespot augment` changed
    unsure     images that look like ones that were trained on, of which the files are not there any more
    """

    position: Rows
    trained: NDArray[np.bool_]
    copies: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    unsure: int = 0


def recognise(looked: Looked, seen: SeenImages, with_copies: bool = True) -> Recognised:
    """Look images up among those that were seen.

    with_copies   also those that were saved again, mirrored or turned, as far as thumbnails are known, and changed copies
    """
    place: dict[bytes, int] = {}
    trained = seen.trained
    for i in np.argsort(trained, kind="stable").tolist():  # those trained on come last and stay
        place[seen.digests[i]] = i
    position = np.array([place.get(short(h.digest), NOT_SEEN) for h in looked.headers], np.int64)
    known = position != NOT_SEEN
    copies = np.zeros(len(position), bool)
    copies[known] = seen.copies[position[known]]
    unsure = 0
    if with_copies and looked.thumbs.shape[1:] == seen.thumbs.shape[1:] and not known.all():
        pairs, unsure = _copies(looked, seen, np.flatnonzero(~known))
        for row, i in sorted(pairs, key=lambda pair: bool(trained[pair[1]])):
            position[row] = i
            copies[row] = trained[i]
        known = position != NOT_SEEN
    was_trained = np.zeros(len(position), bool)
    was_trained[known] = trained[position[known]]
    if with_copies:
        for row, i in _derived(looked, seen, position, was_trained):
            position[row] = i
            was_trained[row] = copies[row] = True
    changed = copies & np.array([sample.is_changed_copy for sample in looked.samples], bool)
    return Recognised(position, was_trained, copies, changed, unsure)


def _derived(
    looked: Looked, seen: SeenImages, position: Rows, was_trained: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Pairs (row, position among those seen) of other rows whose original was trained on, by the table of copies."""
    originals = [sample.original for sample in looked.samples]
    place = {originals[row]: int(position[row]) for row in np.flatnonzero(was_trained) if originals[row]}
    rows = [row for row in np.flatnonzero(~was_trained).tolist() if originals[row]]
    trained_paths = {seen.paths[i]: i for i in np.flatnonzero(seen.trained).tolist()}
    for name in {originals[row] for row in rows} - set(place):
        i = trained_paths.get(name)
        if i is not None and _is_still(Path(name), seen.digests[i]):
            place[name] = i
    return [(row, place[originals[row]]) for row in rows if originals[row] in place]


def _is_still(path: Path, digest: bytes) -> bool:
    """Whether a file has this digest, or is gone, so that its full path has to do."""
    try:
        return short(content_digest(load_bytes(path))) == digest
    except Unreadable:
        return path.is_absolute()


def _copies(looked: Looked, seen: SeenImages, rows: Rows) -> tuple[list[tuple[int, int]], int]:
    """Pairs (row, position among those seen) of copies; and how many other rows look alike but cannot be compared."""
    known = np.flatnonzero(np.abs(seen.thumbs).any(1))
    if not len(known):
        return [], 0
    both = np.concatenate([seen.thumbs[known], looked.thumbs[rows]])
    detail = min(int(np.median([min(h.shape) for h in looked.headers])), *looked.pixels.shapes[0][:-1])
    upright_both = upright(both) if len(looked.pixels.shapes[0]) == 3 else both[:0]
    straight = near(both, detail)
    turned = near(upright_both, detail)
    groups = clusters(len(both), [*straight.tolist(), *turned.tolist()])
    files = _Files([seen.paths[i] for i in known], looked, rows)
    pairs = []
    missing = set()
    for thumbs, look_alikes, is_turned in ((both, straight, False), (upright_both, turned, True)):
        across = _across(look_alikes, len(known), thumbs)
        comparable = files.comparable(across, groups)
        missing |= set(across[~comparable, 1].tolist())
        across = across[comparable]
        pairs += across[confirmed(across, groups, files, is_turned)].tolist()
    unsure = missing - {b for _, b in pairs}
    return [(int(rows[b - len(known)]), int(known[a])) for a, b in pairs], len(unsure)


def _across(pairs: Rows, n: int, thumbs: Thumbs) -> Rows:
    """The pairs of one image that was seen and one that is looked up."""
    pairs = pairs[(pairs[:, 0] < n) & (pairs[:, 1] >= n)]
    alike = np.einsum("ij,ij->i", thumbs[pairs[:, 0]], thumbs[pairs[:, 1]])
    return pairs[alike > ALIKE + ROUNDED]


class _Files:
    """The images that were seen, read from their files as they are needed, and after them those that are looked up."""

    def __init__(self, paths: list[str], looked: Looked, rows: Rows):
        self.paths = paths
        self.looked = looked
        self.rows = rows
        self.arrays: dict[int, Array | None] = {}

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [self[i].shape for i in range(len(self))]

    @property
    def dtype(self) -> np.dtype:
        return self.looked.pixels.dtype

    @property
    def nbytes(self) -> int:
        return self.looked.pixels.nbytes

    def __len__(self) -> int:
        return len(self.paths) + len(self.rows)

    def __getitem__(self, rows: Any, /) -> Any:
        row = int(rows)
        if row >= len(self.paths):
            return self.looked.pixels[int(self.rows[row - len(self.paths)])]
        array = self.file(row)
        return np.zeros_like(self.looked.pixels[0][:3, :3]) if array is None else array

    def file(self, row: int) -> Array | None:
        """The values of a file that was seen; None where it is not there any more."""
        if row not in self.arrays:
            try:
                self.arrays[row] = self.looked.read(load_bytes(Path(self.paths[row])))
            except Unreadable:
                self.arrays[row] = None
        return self.arrays[row]

    def comparable(self, pairs: Rows, groups: Rows) -> NDArray[np.bool_]:
        """Whether the files of each pair can be read, as far as they have to be: where many look alike."""
        sizes = np.bincount(groups, minlength=len(groups))[groups]
        return np.array([sizes[a] < LARGE or self.file(a) is not None for a, _ in pairs.tolist()], bool)
