"""The cache of decoded data: folders written whole, named by content and settings, the least recently used dropped."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from eyespot.environment import cache_folder, positive_number
from eyespot.files import NewFolder, is_temporary, new_folder, remove_folder

FORMAT = 7
"""Of the files in a folder; another number makes older folders unused."""
DAY = 86_400.0
CACHE_GB = positive_number("EYESPOT_CACHE_GB", 50)


@dataclass(frozen=True)
class Index:
    """The decoded samples of a source but for their values.

    rows    (N,) the position in the source of each
    thumbs  (N, T) small copies for finding duplicates
    low, high   (N,) the range of its values
    errors  the reason for each sample that could not be decoded
    """

    rows: NDArray[np.int64]
    thumbs: NDArray[np.float32]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    errors: dict[int, str]

    def save(self, folder: NewFolder, **more: Any) -> None:
        """more   entries of meta.json, which `load_index` gives back"""
        with folder.open("small.npz") as file:
            np.savez(file, rows=self.rows, thumbs=self.thumbs, low=self.low, high=self.high)
        folder.write("meta.json", json.dumps({"errors": self.errors} | more))


def load_index(folder: Path, errors: dict[int, str]) -> tuple[Index, dict[str, Any]]:
    """The index of a folder and its meta.json. errors   of samples whose header could not be read"""
    meta = json.loads((folder / "meta.json").read_text())
    own_errors = {int(i): reason for i, reason in meta["errors"].items()}
    with np.load(folder / "small.npz", allow_pickle=False) as arrays:
        index = Index(**{name: arrays[name] for name in arrays.files}, errors=errors | own_errors)
    return index, meta


class Key:
    """The name of a folder: by content and settings, so that a renamed file is the same and an edited one is not."""

    def __init__(self, *settings: Any):
        self.hash = blake2b(repr((FORMAT, PIL.__version__, *settings)).encode(), digest_size=16)

    def add(self, content: bytes) -> None:
        self.hash.update(content)

    def __str__(self) -> str:
        return self.hash.hexdigest()


def cached(kind: str, key: Key, size: int, write: Callable[[NewFolder], None]) -> Path:
    """The folder of a key, written now if it does not exist.

    kind   "arrays" or "pairs"
    size   bytes that it will take
    write  fills a folder; the last of its files is meta.json
    """
    folder = cache_folder() / kind / str(key)
    if not (folder / "meta.json").exists():
        drop_oldest(folder.parent, size, folder)
        decode_into(folder, write)
    with suppress(OSError):  # in a cache that may only be read
        os.utime(folder)  # the least recently used is dropped first
    return folder


def decode_into(folder: Path, write: Callable[[NewFolder], None]) -> None:
    """Write arrays to a folder of the cache, which takes its name when it is complete."""
    if folder.exists() and not (folder / "meta.json").exists():
        remove_folder(folder)  # incomplete, or not ours
    with new_folder(folder) as working:
        write(working)


def drop_oldest(cache: Path, wanted: int, keep: Path) -> None:
    """Drop the least recently used arrays beyond the cache's limit, and what killed runs left a day ago.

    wanted   bytes that will be written next
    """
    if not cache.exists():
        return
    folders: list[tuple[float, Path, int]] = []
    for folder in (f for f in cache.iterdir() if f != keep):
        with suppress(OSError):  # another process may drop it meanwhile
            size = sum(f.stat().st_size for f in folder.glob("*"))
            folders.append((folder.stat().st_mtime, folder, size))
    total = float(wanted)
    for used, folder, size in sorted(folders, reverse=True):
        total += size
        if time.time() - used > DAY if is_temporary(folder) else total > CACHE_GB * 1e9:
            remove_folder(folder)
