"""The door to the files of a data set: class folders, images beside masks, a CSV, or a built-in set."""

import os
from pathlib import Path

from eyespot.config import Config
from eyespot.data.sources.builtin import BUILTIN, unpack
from eyespot.data.sources.csv_file import source_of_csv
from eyespot.data.sources.folders import source_of_folders
from eyespot.data.sources.pairs import source_of_pairs
from eyespot.data.sources.samples import Source
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
        return source_of_csv(path)
    if path.is_dir():
        return _source_of(path, path.resolve().name)
    if str(data) in BUILTIN:
        return _source_of(unpack(str(data)), str(data))
    offer = nearest(str(data), sorted(BUILTIN))
    raise UserError(f"{data} is not a folder, a CSV file or a built-in set; {offer}")


def _source_of(root: Path, name: str) -> Source:
    return source_of_pairs(root, name) or source_of_folders(root, name)
