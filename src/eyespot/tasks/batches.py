"""Batches of decoded images, signals or volumes on the training device, normalised."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyespot.data.header import Array
from eyespot.data.preprocess.resize import filters
from eyespot.data.store import Store
from eyespot.kit import MEMORY, sent

CHANNELS = 4
"""Few, for which a matrix that keeps them apart, mostly zeros, is faster than a product for each row of an image."""


@dataclass(frozen=True)
class Normal:
    """The mean and standard deviation per channel of the training images, in the files' own values."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Array | Tensor, device: str | torch.device = "cpu") -> Tensor:
        """(B, *S, C) of any depth -> (B, C, *S) of mean 0 and standard deviation 1, channels last in memory"""
        stored = images if isinstance(images, Tensor) else as_tensor(images)
        x = sent(stored, device).to(torch.float32, copy=True)
        # Of a whole row at once: an axis as short as the channels' is many times slower.
        mean, std = (_row(value, x.shape[-2], x.device) for value in (self.mean, self.std))
        x.flatten(-2).sub_(mean).div_(std)
        return x.movedim(-1, 1)

    def undo(self, x: Tensor) -> Tensor:
        """(B, C, *S) normalised -> the files' own values"""
        return x * self._channels(self.std, x) + self._channels(self.mean, x)

    def of_channels(self, x: Tensor) -> Tensor:
        """(B, C, *S) of the files' own values -> normalised"""
        return (x - self._channels(self.mean, x)) / self._channels(self.std, x)

    def _channels(self, values: tuple[float, ...], x: Tensor) -> Tensor:
        return torch.tensor(values, dtype=x.dtype, device=x.device).view(-1, *[1] * (x.dim() - 2))


def as_tensor(images: Array) -> Tensor:
    """The array's own memory where torch can use it."""
    if images.dtype == np.uint16:  # torch has few operations for it
        images = images.astype(np.float32)
    return torch.from_numpy(np.require(images, requirements=["C", "W"]))


@lru_cache(maxsize=32)
def _row(values: tuple[float, ...], n: int, device: torch.device) -> Tensor:
    """(n * C,) the values of each channel for a whole row of n pixels"""
    return torch.tensor(values).repeat(n).to(device)


class Images:
    """Decoded images, of which rows are wanted on the device: all kept in a GPU's memory, if it is large enough."""

    SHARE = 0.25
    """Of the GPU's free memory, at the most."""

    def __init__(self, pixels: Store, device: str):
        self.pixels = pixels
        self.device = device
        self.gpu = device.startswith("cuda")
        budget = self.SHARE * torch.cuda.mem_get_info(device)[0] if self.gpu else 0
        needed = pixels.nbytes * as_tensor(pixels[:1]).element_size() // pixels.dtype.itemsize
        self.there = self._copied() if 0 < needed < budget else None

    def _copied(self) -> Tensor:
        """All of them on the device, a chunk at a time, since each is copied on the way"""
        first = as_tensor(self.pixels[:1])
        shape = (len(self.pixels), *first.shape[1:])
        there = torch.empty(shape, dtype=first.dtype, device=self.device)
        parts = 1 + self.pixels.nbytes // 2**28
        rows = np.array_split(np.arange(len(self.pixels)), parts)
        for to, chosen in zip(there.tensor_split(parts), rows, strict=True):
            to.copy_(as_tensor(self.pixels[chosen]))
        return there

    def __getitem__(self, rows: NDArray[np.int64]) -> Array | Tensor:
        """(B, *S, C), as they are stored"""
        if self.there is not None:
            return self.there[sent(torch.from_numpy(rows), self.device)]
        return as_tensor(self.pixels[rows]).pin_memory() if self.gpu else self.pixels[rows]


def measure(pixels: Store, rows: NDArray[np.int64], most: int = 5000, positions: int = 2**24) -> Normal:
    """Mean and standard deviation per channel over the given rows, or evenly spaced ones where these are many or large."""
    each = pixels[rows[0]].size // pixels[rows[0]].shape[-1]
    chosen = rows[:: max(1, len(rows) // max(1, min(most, positions // each)))]
    count = 0
    total = 0.0
    squares = 0.0
    for row in chosen:
        # Channels first: sums along an axis as short as the channels' are many times slower.
        values = np.ascontiguousarray(np.moveaxis(pixels[row], -1, 0), np.float64).reshape(
            pixels[row].shape[-1], -1
        )
        count += values.shape[1]
        total += values.sum(1)
        squares += (values**2).sum(1)
    mean = np.asarray(total / count)
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return Normal(tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist()))


def resized(x: Tensor, side: int) -> Tensor:
    """(B, C, *S) -> (B, C, side, ...), without aliasing, channels last in memory"""
    y = x.movedim(1, -1)
    for axis, n in enumerate(x.shape[2:], start=1):
        if n != side:
            before = y.shape[:axis]
            after = y.shape[axis + 1 :]
            each = after.numel()
            if each <= CHANNELS:  # so small products are slow one by one: one for all of them
                y = y.reshape(-1, n * each) @ _filters(n, side, each, x.device).T
            else:
                y = _filters(n, side, 1, x.device) @ y.reshape(-1, n, each)
            y = y.view(*before, side, *after)
    return y.movedim(-1, 1).contiguous(memory_format=MEMORY[x.dim() - 2])


@lru_cache(maxsize=32)
def _filters(n: int, side: int, each: int, device: torch.device) -> Tensor:
    """(side * each, n * each), of each of so many interleaved values by itself"""
    with torch.inference_mode(False):  # the result is kept, and a later call may need gradients through it
        return torch.from_numpy(np.kron(filters(n, side).toarray(), np.eye(each))).float().to(device)


def views(mirror: bool, moved: bool) -> list[tuple[bool, int]]:
    """Of each view that a prediction is the mean over: whether it is mirrored, and the samples that it is moved by."""
    return [
        (m, by) for m in ((False, True) if mirror else (False,)) for by in ((0, -1, 1) if moved else (0,))
    ]
