"""What was read, for a training loop of your own: torch data sets with the split, duplicates and groups of `eyespot.train`.

>>> data = read("digits")                                               # doctest: +SKIP
>>> loader = torch.utils.data.DataLoader(data.train, 64, shuffle=True)  # doctest: +SKIP
"""

import os
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyespot.config import Config, Settings, given_settings, reading_settings
from eyespot.data.masks.mapping import VOID
from eyespot.data.preprocess.dtype import WHITE
from eyespot.data.surveys.survey import Survey
from eyespot.data.surveys.survey_data import survey_data
from eyespot.looking import Look
from eyespot.notebook import html
from eyespot.plurals import count
from eyespot.signature import with_settings
from eyespot.tasks.batches import as_tensor, measure
from eyespot.training.division import class_problems, split_rows

IGNORE = VOID
"""The label of pixels that are not counted: `cross_entropy(..., ignore_index=eyespot.datasets.IGNORE)`."""


READ = (*reading_settings(), "group", "val_fraction", "seed", "folds", "fold")
"""The settings that say how a data set is read and divided."""


class Samples(torch.utils.data.Dataset):
    """Samples of one split. `samples[i]` is (image, target).

    image    (C, *S) float32: 0 to 1 for files of 8 and 16 bits, other values as in the files
    target   of classes the position of the class, an int; of masks (*S) int64 positions of classes, `IGNORE` where a pixel
             is not counted; of multi-label masks (classes, *S) float32 of 0 and 1, and `IGNORE`
    """

    def __init__(self, survey: Survey, rows: NDArray[np.int64]):
        self.survey = survey
        self.rows = rows
        self.white = WHITE.get(str(survey.images.pixels.dtype), 1.0)

    @property
    def paths(self) -> list[str]:
        """The file of each sample."""
        return [self.survey.path(int(row)) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Tensor, Any]:
        row = int(self.rows[i])
        image = as_tensor(np.array(self.survey.images.pixels[row])).float().div_(self.white).movedim(-1, 0)
        return image.contiguous(), self._target(row)

    def _target(self, row: int) -> Any:
        survey = self.survey
        if survey.mapping is None:
            return int(survey.labels[row])
        labels = np.array(survey.images.labels[row])  # type: ignore[attr-defined]
        if not survey.mapping.multilabel:
            return torch.from_numpy(labels.astype(np.int64))
        planes = np.where(labels == VOID, np.float32(IGNORE), survey.mask(row).astype(np.float32))
        return torch.from_numpy(planes)

    def __repr__(self) -> str:
        return f"Samples({count(len(self), self.survey.word)} of {self.survey.source.name})"


@dataclass(frozen=True)
class Read:
    """A data set that was read once: torch data sets, and what they have in common. Shows itself as `eyespot.look` does.

    train, validation, test   `Samples`; `test` is empty where the data set has no test set of its own
    classes                   their names, in the order of the labels
    mean, std                 per channel of the training images, on the scale of the samples
    split                     how the samples were divided, in words
    survey                    what is known of the files
    """

    train: Samples
    validation: Samples
    test: Samples
    classes: list[str]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    split: str
    survey: Survey

    def _sizes(self) -> str:
        sizes = f"{len(self.train):,} for training, {len(self.validation):,} for validation, {len(self.test):,} for testing"
        return f"{sizes}; split: {self.split}"

    def __str__(self) -> str:
        return f"{Look(self.survey)}\n\n{self._sizes()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return Look(self.survey)._repr_html_() + html.result(html.line(self._sizes()))


@with_settings(*READ)
def read(data: str | os.PathLike, **settings: Unpack[Settings]) -> Read:
    """Read a data set for a training loop of your own, as `eyespot.train` does: with the same files, split and values.

    data       a folder, a CSV or a built-in set: see `eyespot.look`
    settings   how it is read and divided, as for `eyespot.train`; `size` is the number of samples along each axis

    Every image is decoded once, into the cache, and mapped into memory. Images with masks keep their own sizes: use
    batches of one, or cut crops of one size in a `collate_fn`.

    Raises UserError for data that cannot be trained on.
    """
    config = Config(**given_settings({"data": data, **settings}))
    for name in set(given_settings({**settings})) - set(READ):
        raise TypeError(f"{name} is for training, and here the training loop is yours: leave it out")
    survey = survey_data(data, config)
    survey.refuse_errors()
    division = split_rows(survey, config)
    survey.add_problems(class_problems(survey, division))
    train = Samples(survey, division.train)
    normal = measure(survey.images.pixels, division.train)
    return Read(
        train,
        Samples(survey, division.val),
        Samples(survey, division.test),
        list(survey.classes),
        tuple(value / train.white for value in normal.mean),
        tuple(value / train.white for value in normal.std),
        division.reason,
        survey,
    )
