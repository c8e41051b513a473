"""A sound as its spectrum over time: what a network hears in far fewer samples than the sound has."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array

HOP = 0.010
"""Seconds from one frame to the next."""
WINDOW = 0.032
"""Seconds that one frame lasts."""
BANDS = 24
"""Mel bands."""
LOWEST_HZ = 20.0
"""The lowest frequency of the bands."""
FLOOR_DB = 80.0
"""Decibels: values further below the loudest one of the file are raised to this."""


def hop(spacing: float) -> int:
    """Samples from one frame to the next."""
    return max(1, round(HOP / spacing))


def spectrum(sound: Array, spacing: float) -> NDArray[np.float32]:
    """(L, C) -> (L // hop, C * bands) decibels: power in mel bands of frames under a Hann window

    spacing   seconds from sample to sample
    """
    step = hop(spacing)
    size = max(2, round(WINDOW / spacing))
    frames = len(sound) // step
    padded = np.pad(sound, ((size // 2, size), (0, 0)))
    cut = np.lib.stride_tricks.sliding_window_view(padded, size, axis=0)[step // 2 :: step][:frames]
    power = np.abs(np.fft.rfft(cut * np.hanning(size), axis=-1)) ** 2  # (frames, C, bins)
    decibels = 10 * np.log10(power @ mel_filters(size, spacing).T + 1e-10)
    decibels = np.maximum(decibels, decibels.max() - FLOOR_DB)
    return decibels.reshape(frames, -1).astype(np.float32)


@lru_cache
def mel_filters(size: int, spacing: float) -> NDArray[np.float64]:
    """(bands, bins) triangles, evenly spaced on the mel scale (O'Shaughnessy 1987) up to half the rate."""
    top = 2595 * np.log10(1 + 0.5 / spacing / 700)
    mels = np.linspace(2595 * np.log10(1 + LOWEST_HZ / 700), top, BANDS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = np.fft.rfftfreq(size, spacing)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))
