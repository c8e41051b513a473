"""Transforms of signals: gain, and masks of time and of frequency."""

from dataclasses import dataclass

import torch
from torch import Tensor

from eyespot.augment.colour import Linear, uniform
from eyespot.augment.numbers import check_probability, check_up_to
from eyespot.augment.transform import Shape, Transform, register, sometimes


@dataclass(frozen=True)
class Gain(Linear):
    """Make a signal louder or softer by up to `decibels`."""

    decibels: float = 6.0
    p: float = 1.0
    most_axes = 1
    of_file_values = True
    view = "samples"

    def __post_init__(self):
        check_up_to("gain", self.decibels, 60, "the most decibels")
        check_probability("gain", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B,) decibels"""
        return sometimes(uniform(self.decibels, shape[0], generator), 0, self.p, generator)

    def linear(self, parameters: Tensor, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        return 10 ** (parameters[:, None] / 20), torch.zeros_like(mean)

    def inverse(self, parameters: Tensor) -> Tensor:
        return -parameters


def spans(share: float, batch: int, length: int, generator: torch.Generator) -> Tensor:
    """(B, 2) beginnings and lengths of spans anywhere in so many places, up to a share of them long"""
    lengths = (torch.rand(batch, generator=generator) * (share * length + 1)).long()
    starts = (torch.rand(batch, generator=generator) * (length - lengths + 1)).long()
    return torch.stack([starts, lengths], 1)


def in_span(spans: Tensor, length: int, device: torch.device) -> Tensor:
    """(B, length) whether each place is in the span of its signal"""
    start, span = spans.to(device)[:, :, None].unbind(1)  # (B, 1)
    places = torch.arange(length, device=device)
    return (places >= start) & (places < start + span)


@dataclass(frozen=True)
class TimeMask(Transform):
    """Replace a span of up to `share` of the time by the mean of each channel (Park et al. 2019)."""

    share: float = 0.1
    p: float = 1.0
    most_axes = 1

    def __post_init__(self):
        check_up_to("time_mask", self.share, 0.9, "a share of the time")
        check_probability("time_mask", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, 2) the beginning and the length of the span"""
        return sometimes(spans(self.share, shape[0], shape[2], generator), 0, self.p, generator)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, L) -> the same shape"""
        masked = in_span(parameters, x.shape[2], x.device)[:, None]
        return torch.where(masked, x.mean(2, keepdim=True), x)


@dataclass(frozen=True)
class FrequencyMask(Transform):
    """Replace up to `share` of the bands of a spectrum, next to each other, by its mean (Park et al. 2019)."""

    share: float = 0.15
    p: float = 1.0
    most_axes = 1
    view = "spectrum"

    def __post_init__(self):
        check_up_to("frequency_mask", self.share, 0.9, "a share of the bands")
        check_probability("frequency_mask", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, 2) the first band and their number"""
        return sometimes(spans(self.share, shape[0], shape[1], generator), 0, self.p, generator)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, bands, L) -> the same shape"""
        masked = in_span(parameters, x.shape[1], x.device)[:, :, None]
        return torch.where(masked, x.mean((1, 2), keepdim=True), x)


@dataclass(frozen=True)
class BandStop(Transform):
    """Remove up to `share` of the frequencies of a signal, next to each other: a mask of frequency for samples."""

    share: float = 0.1
    p: float = 1.0
    most_axes = 1
    view = "samples"

    def __post_init__(self):
        check_up_to("band_stop", self.share, 0.9, "a share of the frequencies")
        check_probability("band_stop", self.p)

    def sample(self, generator: torch.Generator, shape: Shape) -> Tensor:
        """(B, 2) the first frequency after the mean, and their number"""
        return sometimes(spans(self.share, shape[0], shape[2] // 2, generator), 0, self.p, generator)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, L) -> the same shape"""
        frequencies = torch.fft.rfft(x)
        masked = in_span(parameters + torch.tensor([1, 0]), frequencies.shape[2], x.device)[:, None]
        filtered = torch.fft.irfft(torch.where(masked, 0, frequencies), x.shape[2]).to(x.dtype)
        changed = (parameters[:, 1] > 0).to(x.device).view(-1, 1, 1)
        return torch.where(changed, filtered, x)


for _name, _transform in {
    "gain": Gain,
    "time_mask": TimeMask,
    "frequency_mask": FrequencyMask,
    "band_stop": BandStop,
}.items():
    register(_name, _transform)
