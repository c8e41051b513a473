"""The images that a network has seen in training, validation or testing: by the digests of their files, and by thumbnails."""

import io
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILE = "seen.npz"
SHORT = 8
"""Bytes of a digest that are kept: among a million images two different ones are equal once in ten million cases."""
MOST = 100_000
"""Images up to which the card of a model file has their digests, and a run folder their thumbnails."""
SPLITS = ("train", "val", "test")
NEW = 0
SAME_FILE = 1
COPY = 2

Thumbs = NDArray[np.float32]


def short(digest: bytes | str) -> bytes:
    """The bytes of a file's digest that are kept; text is hexadecimal."""
    return (bytes.fromhex(digest) if isinstance(digest, str) else digest)[:SHORT]


@dataclass(frozen=True)
class SeenImages:
    """Images that a network, and the weights that it started from, have seen.

    digests   of each file, shortened
    splits    "train", "val" or "test": "train" where any of the networks has trained on it
    paths     of each file, "" where it is not known
    thumbs    (N, T) see `duplicates.thumbnails`; rows of zeros where they are not known
    own       so many, the first ones, are the images of the network's own data set, in the order of its rows
    before    (own,) NEW, or for images that are validated or tested though they are trained on, by the weights to start from
              or as duplicates across the user's split: SAME_FILE or COPY
    unknown   weights that it started from, and of which it is not known what they have seen
    """

    digests: tuple[bytes, ...]
    splits: tuple[str, ...]
    paths: tuple[str, ...]
    thumbs: Thumbs
    own: int
    before: NDArray[np.uint8]
    unknown: tuple[str, ...] = ()

    @property
    def trained(self) -> NDArray[np.bool_]:
        """(N,) whether an image, or a copy of it, has been trained on."""
        trained = np.array([split == "train" for split in self.splits], bool)
        trained[: self.own] |= self.before != NEW
        return trained

    @property
    def copies(self) -> NDArray[np.bool_]:
        """(N,) whether an image that is trained on is known as a copy only: saved again, mirrored or turned."""
        copies = np.zeros(len(self.splits), bool)
        copies[: self.own] = self.before == COPY
        return copies

    @property
    def knows_copies(self) -> bool:
        """Whether copies that were saved again can be recognised: not by digests alone, which is all that a card has."""
        return self.thumbs.shape[1] > 0 and all(self.paths)

    def trained_digests(self) -> set[bytes]:
        """Of the files that have been trained on."""
        return {digest for digest, trained in zip(self.digests, self.trained, strict=True) if trained}

    def fingerprint(self) -> dict[str, dict[str, Any]]:
        """How many images are in each split of the own data set, and a hash of their sorted digests."""
        own = list(zip(self.digests[: self.own], self.splits[: self.own], strict=True))
        sides = {name: sorted(digest for digest, split in own if split == name) for name in SPLITS}
        return {name: {"n": len(side), "hash": hash_of(side)} for name, side in sides.items()}

    def with_earlier(self, earlier: "SeenImages") -> "SeenImages":
        """These, and after them the others that the weights to start from had seen."""
        known = set(self.digests)
        rest = [i for i, digest in enumerate(earlier.digests) if digest not in known]
        trained = earlier.trained
        return replace(
            self,
            digests=(*self.digests, *(earlier.digests[i] for i in rest)),
            splits=(*self.splits, *("train" if trained[i] else earlier.splits[i] for i in rest)),
            paths=(*self.paths, *(earlier.paths[i] for i in rest)),
            thumbs=_stacked(self.thumbs, earlier.thumbs[rest]),
            unknown=tuple(dict.fromkeys([*self.unknown, *earlier.unknown])),
        )

    def as_bytes(self) -> bytes:
        """The content of seen.npz; without thumbnails where there are very many."""
        file = io.BytesIO()
        thumbs = self.thumbs if len(self.digests) <= MOST else self.thumbs[:, :0]
        largest = np.abs(thumbs).max(1, initial=0, keepdims=True)
        np.savez_compressed(
            file,
            digests=np.frombuffer(b"".join(self.digests), np.uint8),
            splits=np.array([SPLITS.index(split) for split in self.splits], np.uint8),
            paths=np.frombuffer("\0".join(self.paths).encode(errors="surrogateescape"), np.uint8),
            thumbs=np.rint(127 * thumbs / np.where(largest > 0, largest, 1)).astype(np.int8),
            before=self.before,
            unknown=np.array(self.unknown, np.str_),
        )
        return file.getvalue()

    def as_card(self) -> dict[str, Any]:
        """The digests for the card of the model file; empty where there are very many."""
        if len(self.digests) > MOST:
            return {}
        trained = self.trained_digests()
        others = set(self.digests) - trained
        return {"trained": _as_text(trained), "untrained": _as_text(others), "unknown": list(self.unknown)}


def hash_of(digests: Sequence[bytes]) -> str:
    """A short hash of digests that are sorted; the same for the same images, whatever their names and order."""
    return blake2b(b"".join(digests), digest_size=8).hexdigest()


def read_seen(path: Path) -> SeenImages:
    """What a run folder's seen.npz holds. Raises OSError, ValueError or KeyError where it is damaged."""
    with np.load(path, allow_pickle=False) as arrays:
        digests = arrays["digests"].tobytes()
        thumbs = arrays["thumbs"].astype(np.float32)
        before = arrays["before"]
        unknown = tuple(arrays["unknown"].tolist())
        splits = tuple(SPLITS[k] for k in arrays["splits"])
        paths = arrays["paths"].tobytes().decode(errors="surrogateescape")
    length = np.linalg.norm(thumbs, axis=1, keepdims=True)
    return SeenImages(
        tuple(digests[i : i + SHORT] for i in range(0, len(digests), SHORT)),
        splits,
        tuple(paths.split("\0")),
        thumbs / np.where(length > 0, length, 1),
        len(before),
        before,
        unknown,
    )


def seen_of_card(content: dict[str, Any]) -> SeenImages | None:
    """What the card of a model file says; None where it does not."""
    if "trained" not in content:
        return None
    trained = _from_text(content["trained"])
    others = _from_text(content["untrained"])
    images = [(digest, "train", "") for digest in trained] + [(digest, "val", "") for digest in others]
    return replace(of_digests(images), unknown=tuple(content["unknown"]))


def of_digests(images: Sequence[tuple[bytes, str, str]]) -> SeenImages:
    """Images of which no thumbnail is known: (digest, split, path)."""
    digests, splits, paths = zip(*images, strict=True) if images else ((), (), ())
    none = np.zeros((len(digests), 0), np.float32)
    return SeenImages(digests, splits, paths, none, len(digests), np.zeros(len(digests), np.uint8))


def _as_text(digests: set[bytes]) -> str:
    return b64encode(b"".join(sorted(digests))).decode()


def _from_text(text: str) -> list[bytes]:
    content = b64decode(text)
    return [content[i : i + SHORT] for i in range(0, len(content), SHORT)]


def _stacked(thumbs: Thumbs, others: Thumbs) -> Thumbs:
    """(N + M, T) those of another length are not compared, and become zeros"""
    if others.shape[1] != thumbs.shape[1]:
        others = np.zeros((len(others), thumbs.shape[1]), np.float32)
    return np.concatenate([thumbs, others])
