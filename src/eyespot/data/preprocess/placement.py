"""Where the samples of a file lie in an array of the network's size, and the way back for label maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.data.preprocess.resize import Window, scaled


@dataclass(frozen=True)
class Placement:
    """A window of the file, scaled to `covered` samples in the middle of `sizes`; the margin is filled with zeros.

    Each field has one entry per spatial axis, in the order of the array's axes.

    lengths  samples of the decoded file
    sizes    samples of the result
    windows  from where to where the file is used, in samples of the file
    covered  samples of the result that the window becomes
    """

    lengths: tuple[int, ...]
    sizes: tuple[int, ...]
    windows: tuple[Window, ...]
    covered: tuple[int, ...]

    @property
    def starts(self) -> tuple[int, ...]:
        """The first covered sample of the result along each axis."""
        return tuple((size - n) // 2 for size, n in zip(self.sizes, self.covered, strict=True))

    @property
    def unchanged(self) -> bool:
        """Whether the result is the file's own array."""
        return self.lengths == self.sizes == self.covered and self.windows == whole(self.lengths)

    def apply(self, array: Array) -> Array:
        """(*lengths, C) -> (*sizes, C), linear between samples and without aliasing."""
        if self.unchanged:
            return array
        content = scaled(array, self.covered, self.windows)
        if self.covered == self.sizes:
            return content
        result = np.zeros((*self.sizes, array.shape[-1]), array.dtype)
        spans = zip(self.starts, self.covered, strict=True)
        result[tuple(slice(start, start + n) for start, n in spans)] = content
        return result

    def undo(self, labels: NDArray[Any], outside: int = 0) -> NDArray[Any]:
        """(*sizes) labels -> (*lengths), the label of the nearest sample.

        outside  the label of samples that a crop left out
        """
        if labels.shape != self.sizes:
            raise ValueError(f"labels are {labels.shape}, and the placement is of {self.sizes}")
        if self.unchanged:
            return labels
        axes = [self._nearest(axis) for axis in range(len(self.sizes))]
        result = labels[np.ix_(*(nearest for nearest, _ in axes))]
        for axis, (_, used) in enumerate(axes):
            np.moveaxis(result, axis, 0)[~used] = outside
        return result

    def _nearest(self, axis: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(n,) for each sample of the file: the sample of the result that shows it, and whether one does."""
        low, high = self.windows[axis]
        covered = self.covered[axis]
        centres = np.arange(self.lengths[axis]) + 0.5
        nearest = np.floor((centres - low) / (high - low) * covered).astype(np.int64)
        used = (nearest >= 0) & (nearest < covered)
        return self.starts[axis] + nearest.clip(0, covered - 1), used


def whole(lengths: Sequence[int]) -> tuple[Window, ...]:
    """Windows that leave nothing out."""
    return tuple((0, n) for n in lengths)


def place(lengths: Sequence[int], scales: Sequence[float], size: int) -> Placement:
    """The placement of a file in `size` samples along each axis: its middle where it is too long, else all of it.

    scales  samples of the result per sample of the file, along each axis
    """
    sizes = (size,) * len(lengths)
    if tuple(lengths) == sizes and all(abs(scale - 1) < 1e-6 for scale in scales):
        return Placement(sizes, sizes, whole(sizes), sizes)
    axes = list(zip(lengths, scales, strict=True))
    covered = tuple(min(size, max(1, round(n * scale))) for n, scale in axes)
    windows = tuple(_middle(n, min(n, size / scale)) for n, scale in axes)
    return Placement(tuple(lengths), sizes, windows, covered)


def _middle(n: int, wanted: float) -> Window:
    return (n - wanted) / 2, (n + wanted) / 2
