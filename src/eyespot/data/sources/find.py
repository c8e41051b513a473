"""The door to the files of a data set: class folders, images beside masks, a CSV, or a built-in set."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from eyespot.config import Config
from eyespot.data.sources.annotated import source_of_annotation_file, source_of_annotations
from eyespot.data.sources.builtin import BUILTIN, unpack
from eyespot.data.sources.copies import with_originals
from eyespot.data.sources.csv_file import source_of_csv
from eyespot.data.sources.folders import source_of_folders
from eyespot.data.sources.object_files import source_of_object_files
from eyespot.data.sources.pairs import source_of_pairs
from eyespot.data.sources.samples import Source, skipped_entries
from eyespot.errors import UserError, nearest


def find_samples(data: str | os.PathLike, options: Config = Config()) -> Source:
    """List a data set's files without opening one.

    data      a folder with a folder per class, or with images/ and masks/, perhaps below train/, val/ and test/; a CSV
              with the columns path and label or mask (or mask:CLASS for each), and perhaps split; or the name of a
              built-in set
    options   how the layout is to be read, where that is not to be guessed

    Raises UserError where it is none of them, or no sample is in it.
    """
    path = Path(data)
    if path.is_file():
        source = source_of_annotation_file(path, options) or source_of_csv(path, options)
        return with_originals(path.parent, source)
    if path.is_dir():
        return source_of_folder(path, path.resolve().name, options)
    if str(data) in BUILTIN:
        source = source_of_folder(unpack(str(data)), str(data), options)
        return replace(source, guesses=())  # they are ours, and need no guess
    offer = nearest(str(data), sorted(BUILTIN))
    raise UserError(f"{data} is not a folder, a CSV file or a built-in set; {offer}")


Detector = Callable[[Path, str, Config], Source | None]
"""(folder, name of the data set, options): its samples, or None where the folder has another layout. Raises UserError."""
DETECTORS: tuple[Detector, ...] = (
    source_of_object_files,
    source_of_annotations,
    source_of_pairs,
    source_of_folders,
)
"""The layouts of a folder, asked in this order; the last one takes whatever is left, or refuses."""


def source_of_folder(root: Path, name: str, options: Config) -> Source:
    """The samples of a folder, by the first layout that fits. Raises UserError where none does."""
    asked = options.images or options.masks or options.label_from
    for detect in (source_of_pairs, source_of_folders) if asked else DETECTORS:
        source = detect(root, name, options)
        if source is not None:
            masks = {
                mask for sample in source.samples for mask in sample.mask_files
            }  # a folder without objects
            source = replace(source, skipped=tuple(p for p in skipped_entries(root) if p not in masks))
            return with_originals(root, source)
    raise UserError(f"{root} has no layout that is known: give a CSV with the columns path and label or mask")
