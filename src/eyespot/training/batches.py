"""Batches of decoded images on the training device, normalised."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from eyespot.data.read import Array


@dataclass(frozen=True)
class Normal:
    """The mean and standard deviation per channel of the training images, in the files' own values."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Array, device: str | torch.device = "cpu") -> Tensor:
        """(B, H, W, C) of any depth -> (B, C, H, W) of mean 0 and standard deviation 1, channels last in memory"""
        if images.dtype == np.uint16:  # torch has few operations for it
            images = images.astype(np.float32)
        x = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float()
        mean = torch.tensor(self.mean, device=device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=device).view(-1, 1, 1)
        return (x - mean) / std


def measure(pixels: Array, rows: NDArray[np.int64], most: int = 5000) -> Normal:
    """Mean and standard deviation per channel over the given rows, or evenly spaced ones where there are many."""
    chosen = rows[:: max(1, len(rows) // most)]
    count, total, squares = 0, 0.0, 0.0
    for part in np.array_split(chosen, max(1, len(chosen) // 256)):
        values = pixels[part].astype(np.float64).reshape(-1, pixels.shape[-1])
        count, total, squares = count + len(values), total + values.sum(0), squares + (values**2).sum(0)
    mean = np.asarray(total / count)
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return Normal(tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist()))


def forever(rows: NDArray[np.int64], batch: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Batches of row numbers, every row once before any comes again; a batch may span two passes."""
    rng, left = np.random.default_rng(seed), np.empty(0, np.int64)
    while True:
        while len(left) < batch:
            left = np.concatenate([left, rng.permutation(rows)])
        yield left[:batch]
        left = left[batch:]


def resized(x: Tensor, side: int) -> Tensor:
    """(B, C, H, W) -> (B, C, side, side), channels last in memory"""
    if x.shape[-1] != side:
        x = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    return x.contiguous(memory_format=torch.channels_last)
