"""The files and images that are to be predicted."""

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eyespot.config import Config
from eyespot.console import say
from eyespot.data.formats.image import upright
from eyespot.data.formats.nifti import of_nibabel
from eyespot.data.formats.read import load_bytes
from eyespot.data.header import Array, Decoded, NeedsPackage, Unreadable, as_depth, channels_last
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.sources.builtin import BUILTIN, unpack
from eyespot.data.sources.find import find_samples
from eyespot.data.sources.samples import list_files
from eyespot.data.sources.words import names_mask
from eyespot.errors import UserError
from eyespot.plurals import count
from eyespot.prediction.channel_groups import grouped
from eyespot.warned import warn_user

UNORIENTED = (
    "an array does not state where its axes point, and they are taken as superior, anterior and right, in this order; give "
    "the file, or the image that nibabel loads"
)


def expand(
    paths: Iterable[str],
    lines: Iterable[str],
    dim: int,
    leave_out_masks: bool = False,
    channel_files: tuple[str, ...] = (),
) -> Iterator[Path]:
    """The files that arguments name: files, folders (all files in them that may have `dim` axes), globs, built-in sets, or - for
    one path per line.

    leave_out_masks   of folders, whether masks beside images are no images to predict
    channel_files     what tells the files of an image apart that has several: see `data.formats.channel_files`
    """
    files = _files(paths, lines, dim, leave_out_masks)
    yield from grouped(files, channel_files) if channel_files else files


def _files(paths: Iterable[str], lines: Iterable[str], dim: int, leave_out_masks: bool) -> Iterator[Path]:
    for name in paths:
        path = Path(name)
        if name == "-":
            yield from _paths(lines)
        elif path.is_dir():
            yield from _of_folder(path, dim, leave_out_masks)
        elif path.exists() or not has_magic(name):
            is_set = name in BUILTIN and not path.exists()
            yield from _of_folder(unpack(name), dim, leave_out_masks) if is_set else [path]
        else:
            yield from map(Path, sorted(glob(name, recursive=True)))


def _of_folder(folder: Path, dim: int, leave_out_masks: bool) -> Iterator[Path]:
    return _images(folder, dim) if leave_out_masks else list_files(folder, dim)


def _images(folder: Path, dim: int) -> Iterator[Path]:
    """The files of a folder without the masks of its images, where it has any."""
    try:
        source = find_samples(folder, Config(task="segmentation"))
        masks = {file.absolute() for sample in source.samples for file in sample.mask_files}
        masks |= {file.absolute() for file in source.without.get("image", ())}
        stems = {sample.path.stem for sample in source.samples}
    except NeedsPackage as reason:
        raise UserError(
            f"which files of {folder} are masks beside images cannot be seen here: {reason}; or name the images, as in '{folder}/*.png'"
        ) from reason
    except UserError:  # no pairs
        masks = set()
        stems = set()
    files = list(list_files(folder, dim))
    # A second folder of masks, such as instances, has the names of the images too.
    masks |= {file.absolute() for file in files if file.stem in stems and names_mask(file.parent.name)}
    images = [file for file in files if not {file.absolute(), *file.absolute().parents} & masks]
    if len(images) < len(files):
        say(f"{count(len(files) - len(images), 'mask')} beside the images of {folder} left out")
    yield from images


class Remarks:
    """Warnings about the files of one call: what is left out of them or changed. Each kind is given once.

    later   whether they wait for `give`, as files are read in threads, which know nothing of the line that asked for them
    """

    def __init__(self, later: bool = False):
        self._given: set[str] = set()
        self._later = later
        self._waiting: deque[str] = deque()

    def give(self) -> None:
        """Warn of what waits."""
        while self._waiting:
            warn_user(self._waiting.popleft())

    def of(self, name: str, remarks: Iterable[str | None]) -> None:
        """Warn of each remark about a file, unless the same was said of another, whatever its numbers."""
        for remark in filter(None, remarks):
            kind = kind_of(remark)
            if kind not in self._given:
                self._given.add(kind)
                self._waiting.append(f"{name}: {remark} (not repeated for other files)")
        if not self._later:
            self.give()


def kind_of(remark: str) -> str:
    """A remark without its numbers: what two files are given the same warning for."""
    return re.sub(r"\d[\d.,e+-]*", "#", remark)


def _paths(lines: Iterable[str]) -> Iterator[Path]:
    """A path from each line. Raises UserError for what cannot be lines of text, until one has named a file that exists."""
    named = False
    for line in lines:
        name = line.rstrip("\r\n").replace("\0", "\\0")  # which no name has
        if not name.strip():
            continue
        exists = os.path.exists(name)  # a name may begin or end with spaces
        path = Path(name if exists else name.strip())
        named = named or exists or os.path.exists(path)
        if not named and not line.strip().replace("\t", " ").isprintable():
            raise UserError(
                "standard input holds bytes and not text, and - takes a path per line: name the file itself, or save it first"
            )
        yield path


def read_input(image: Any, preprocessing: Preprocessing, remarks: Remarks) -> tuple[str, Array | str]:
    """The name of a path, Pillow or nibabel image or array, and what the network gets; or the reason why it cannot be read."""
    is_path = isinstance(image, str | os.PathLike)
    name = str(image) if is_path else "(image)"
    try:
        if is_path:
            array, notes = read_content(load_bytes(Path(image)), preprocessing)
        else:
            array, notes = _read(as_decoded(image, preprocessing), preprocessing)
    except Unreadable as reason:
        return name, str(reason)
    remarks.of(name, notes)
    return name, array


def read_content(content: bytes, preprocessing: Preprocessing) -> tuple[Array, list[str]]:
    """What the network gets of a file's content (*S, C), and what the user should know of it. Raises Unreadable."""
    return _read(preprocessing.decode(content), preprocessing)


def _read(decoded: Decoded, preprocessing: Preprocessing) -> tuple[Array, list[str]]:
    array = preprocessing.of_decoded(decoded)
    notes = [*preprocessing.remarks(decoded), preprocessing.value_remark(array)]
    return array, [note for note in notes if note]


def as_decoded(image: Any, preprocessing: Preprocessing) -> Decoded:
    """An image that is in memory. Channels of an array are the shorter of its first and last axis."""
    if isinstance(image, Image.Image):
        return Decoded(upright(image, preprocessing.background))
    if hasattr(image, "dataobj") and hasattr(image, "affine"):
        return of_nibabel(image)
    array = as_depth(channels_last(_as_array(image), preprocessing.dim))
    return Decoded(array, remarks=(UNORIENTED,) * preprocessing.oriented)


def is_in_memory(image: Any) -> bool:
    """Whether something is a Pillow or nibabel image, an array or a tensor."""
    return isinstance(image, Image.Image) or any(hasattr(image, name) for name in ("__array__", "dataobj"))


def _as_array(image: Any) -> Array:
    """An array of a tensor on any device, or of what NumPy takes."""
    if hasattr(image, "detach"):
        image = image.detach().cpu()
        image = image.float() if image.dtype.is_floating_point else image
    return np.asarray(image)
