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
"""With at most this many channels, resizing by one large sparse matrix is faster than by a product for each row."""


@dataclass(frozen=True)
class Normal:
    """The mean and standard deviation of each channel over the training images, before the normalisation."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Array | Tensor, device: str | torch.device = "cpu") -> Tensor:
        """(B, *S, C) of any depth -> (B, C, *S) of mean 0 and standard deviation 1, channels last in memory"""
        stored = images if isinstance(images, Tensor) else as_tensor(images)
        x = sent(stored, device).to(torch.float32, copy=True)
        # A whole row at a time: arithmetic along an axis as short as the channels is many times slower.
        mean, std = (_row(value, x.shape[-2], x.device) for value in (self.mean, self.std))
        x.flatten(-2).sub_(mean).div_(std)
        return x.movedim(-1, 1)

    def undo(self, x: Tensor) -> Tensor:
        """(B, C, *S) normalised -> as stored in the files"""
        return x * self._channels(self.std, x) + self._channels(self.mean, x)

    def of_channels(self, x: Tensor) -> Tensor:
        """(B, C, *S) as stored in the files -> normalised"""
        return (x - self._channels(self.mean, x)) / self._channels(self.std, x)

    def _channels(self, values: tuple[float, ...], x: Tensor) -> Tensor:
        return torch.tensor(values, dtype=x.dtype, device=x.device).view(-1, *[1] * (x.dim() - 2))


def as_tensor(images: Array) -> Tensor:
    """Convert an array to a tensor, without a copy where torch can use its memory."""
    if images.dtype == np.uint16:  # torch has few operations for it
        images = images.astype(np.float32)
    return torch.from_numpy(np.require(images, requirements=["C", "W"]))


@lru_cache(maxsize=32)
def _row(values: tuple[float, ...], n: int, device: torch.device) -> Tensor:
    """(n * C,) the values of the channels, repeated for a row of n pixels"""
    return torch.tensor(values).repeat(n).to(device)


class Images:
    """Decoded images by row, for batches on a device. All are kept in the memory of a GPU that has enough of it."""

    SHARE = 0.25
    """The share of the GPU's free memory that they may take."""

    def __init__(self, pixels: Store, device: str):
        self.pixels = pixels
        self.device = device
        self.gpu = device.startswith("cuda")
        budget = self.SHARE * torch.cuda.mem_get_info(device)[0] if self.gpu else 0
        needed = pixels.nbytes * as_tensor(pixels[:1]).element_size() // pixels.dtype.itemsize
        self.on_device = self._copied() if 0 < needed < budget else None

    def _copied(self) -> Tensor:
        """All images on the device, copied in chunks: this limits the memory for the conversion"""
        first = as_tensor(self.pixels[:1])
        shape = (len(self.pixels), *first.shape[1:])
        copied = torch.empty(shape, dtype=first.dtype, device=self.device)
        chunks = 1 + self.pixels.nbytes // 2**28
        rows = np.array_split(np.arange(len(self.pixels)), chunks)
        for target, chosen in zip(copied.tensor_split(chunks), rows, strict=True):
            target.copy_(as_tensor(self.pixels[chosen]))
        return copied

    def __getitem__(self, rows: NDArray[np.int64]) -> Array | Tensor:
        """(B, *S, C) as stored"""
        if self.on_device is not None:
            return self.on_device[sent(torch.from_numpy(rows), self.device)]
        return as_tensor(self.pixels[rows]).pin_memory() if self.gpu else self.pixels[rows]


def measure(pixels: Store, rows: NDArray[np.int64], most: int = 5000, positions: int = 2**24) -> Normal:
    """Mean and standard deviation of each channel over rows: about `most` evenly spaced ones, fewer of large images.

    positions   the number of pixels of all these rows, about
    """
    first = pixels[rows[0]]
    number = max(1, min(most, positions // (first.size // first.shape[-1])))
    chosen = rows[:: max(1, len(rows) // number)]
    count = 0
    total = 0.0
    squares = 0.0
    for row in chosen:
        # Channels first: sums along an axis as short as the channels are many times slower.
        image = np.ascontiguousarray(np.moveaxis(pixels[row], -1, 0), np.float64)
        values = image.reshape(len(image), -1)
        count += values.shape[1]
        total += values.sum(1)
        squares += (values**2).sum(1)
    mean = np.asarray(total / count)
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return Normal(tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist()))


def resized(x: Tensor, side: int) -> Tensor:
    """Resize (B, C, *S) to (B, C, side, ...) without aliasing, channels last in memory."""
    y = x.movedim(1, -1)
    for axis, n in enumerate(x.shape[2:], start=1):
        if n != side:
            before = y.shape[:axis]
            after = y.shape[axis + 1 :]
            inner = after.numel()
            if inner <= CHANNELS:  # one product, since many small ones are slow
                y = y.reshape(-1, n * inner) @ _filters(n, side, inner, x.device).T
            else:
                y = _filters(n, side, 1, x.device) @ y.reshape(-1, n, inner)
            y = y.view(*before, side, *after)
    return y.movedim(-1, 1).contiguous(memory_format=MEMORY[x.dim() - 2])


@lru_cache(maxsize=32)
def _filters(n: int, side: int, channels: int, device: torch.device) -> Tensor:
    """The matrix (side * channels, n * channels) that resizes n pixels with interleaved channels to `side` pixels"""
    with torch.inference_mode(False):  # the result is kept, and a later call may need gradients through it
        return torch.from_numpy(np.kron(filters(n, side).toarray(), np.eye(channels))).float().to(device)


def views(mirror: bool, moved: bool) -> list[tuple[bool, int]]:
    """The views for test-time augmentation: for each, whether it is mirrored, and the samples that it is shifted by."""
    mirrored = (False, True) if mirror else (False,)
    shifts = (0, -1, 1) if moved else (0,)
    return [(flip, shift) for flip in mirrored for shift in shifts]
