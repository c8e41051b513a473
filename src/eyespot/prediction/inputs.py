"""The files and images that are to be predicted."""

import os
from collections.abc import Iterable, Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyespot.data.formats.image import upright
from eyespot.data.formats.read import load_bytes
from eyespot.data.header import Array, Decoded, Unreadable, as_depth, channels_last
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.sources.builtin import BUILTIN, unpack
from eyespot.data.sources.samples import list_files


def expand(paths: Sequence[str], lines: Iterable[str], dim: int) -> Iterator[Path]:
    """The files that arguments name: files, folders (all files in them that may have `dim` axes), globs, built-in sets, or - for
    one path per line."""
    for name in paths:
        path = Path(name)
        if name == "-":
            yield from (Path(line.strip()) for line in lines if line.strip())
        elif path.is_dir():
            yield from list_files(path, dim)
        elif path.exists() or not has_magic(name):
            yield from list_files(unpack(name), dim) if name in BUILTIN and not path.exists() else [path]
        else:
            yield from map(Path, sorted(glob(name, recursive=True)))


def read_input(image: Any, preprocessing: Preprocessing) -> tuple[str, Array | str]:
    """The name of a path, Pillow image or array, and what the network gets; or the reason why it cannot be read."""
    is_path = isinstance(image, str | os.PathLike)
    name = str(image) if is_path else "(image)"
    try:
        if is_path:
            return name, preprocessing(load_bytes(Path(image)))
        return name, preprocessing.of_decoded(Decoded(as_array(image, preprocessing.dim)))
    except Unreadable as reason:
        return name, str(reason)


def as_array(image: Any, dim: int) -> Array:
    """(*S, C); channels of an array are the shorter of its first and last axis"""
    return (
        upright(image) if isinstance(image, Image.Image) else as_depth(channels_last(np.asarray(image), dim))
    )
