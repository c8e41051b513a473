"""The order in which samples are drawn: a function of (seed, epoch, index), so that resuming needs only a position."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Draw:
    """The samples of one batch, and where they stand in the order.

    rows     (B,) row numbers of the store
    epochs   (B,) the epoch that each belongs to: a batch may span two
    seed, epoch, index   the run's seed, and the place of the first sample: all randomness of the batch derives from them
    """

    rows: Rows
    epochs: Rows
    seed: int = 0
    epoch: int = 0
    index: int = 0

    def numpy_generator(self) -> np.random.Generator:
        """A new generator for this batch; the same one each time."""
        return np.random.default_rng([self.seed, self.epoch, self.index])

    def torch_generator(self) -> torch.Generator:
        """A new generator for this batch, independent of the NumPy one."""
        key = np.random.SeedSequence([self.seed, self.epoch, self.index, 1])
        return torch.Generator().manual_seed(int(key.generate_state(1, np.uint64)[0] >> 1))


class Order:
    """Every sample once in each epoch, in a new random order, cut into batches that may span two epochs."""

    def __init__(self, rows: Rows, batch: int, seed: int):
        self.rows = rows
        self.batch = batch
        self.seed = seed
        self._permutation = lru_cache(maxsize=2)(self._permuted)

    def _permuted(self, epoch: int) -> Rows:
        return np.random.default_rng([self.seed, epoch]).permutation(self.rows)

    def at(self, position: int) -> Draw:
        """The batch that starts after `position` samples of the run."""
        places = np.arange(position, position + self.batch)
        epochs, indices = np.divmod(places, len(self.rows))
        rows = np.empty(self.batch, np.int64)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            in_epoch = epochs == epoch
            rows[in_epoch] = self._permutation(epoch)[indices[in_epoch]]
        return Draw(rows, epochs, self.seed, int(epochs[0]), int(indices[0]))

    def batches(self, position: int = 0) -> Iterator[Draw]:
        """Batches without end, from a position on."""
        while True:
            yield self.at(position)
            position += self.batch


def first_draw(rows: Rows, seed: int) -> Draw:
    """These rows as the first batch of a run."""
    return Draw(rows, np.zeros(len(rows), np.int64), seed)
