"""What single units see: the crop of their receptive field, their gradient in it, and the image that excites them most."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eyespot.anatomy.effective import profile, side_of
from eyespot.anatomy.taps import taps
from eyespot.errors import UserError
from eyespot.explanation.gradients import changed_relus
from eyespot.explanation.places import Place

STEPS = 96
LARGEST = 2.5
"""Standard deviations of the training images beyond which no value of a made image goes."""
SHARE = 0.95


def has_relu(network: nn.Module) -> bool:
    return any(isinstance(module, nn.ReLU) for module in network.modules())


def unit_gradient(network: nn.Module, x: Tensor, layer: str, channel: int, unit: tuple[int, ...]) -> Tensor:
    """(C, *S) of one unit's activation: by deconvnet's rule where the network has ReLUs, else the gradient"""

    def slope() -> Tensor:
        image = x.detach().requires_grad_()
        with torch.enable_grad(), taps(network, [layer]) as record:
            network(image)
            return torch.autograd.grad(record[layer][(0, channel, *unit)], image)[0][0].detach()

    if not has_relu(network):
        return slope()
    try:
        with changed_relus(False, "deconvnet"):
            return slope()
    except UserError:
        return slope()


def window_of(place: Place, unit: tuple[int, ...], size: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """From where to where a unit sees the network's input; the whole axis where that is not known."""
    window = place.window(unit)
    return window or tuple((0, n) for n in size)


def crop(array: NDArray[Any], window: Sequence[tuple[int, int]], outside: float) -> NDArray[Any]:
    """(*S, C) -> the window, with a value for what lies outside of the image"""
    size = array.shape[:-1]
    inside = tuple(slice(max(0, low), min(n, high)) for (low, high), n in zip(window, size, strict=True))
    edges = [(s.start - low, max(0, high - s.stop)) for s, (low, high) in zip(inside, window, strict=True)]
    return np.pad(array[inside], [*edges, (0, 0)], constant_values=outside)


def maximise(
    network: nn.Module,
    place: Place,
    channels: Sequence[int],
    size: tuple[int, ...],
    seed: int = 0,
    steps: int = STEPS,
) -> tuple[Tensor, list[bool]]:
    """Images (K, C, *S) that excite the middle unit of each channel (Olah et al. 2017): in Fourier space, under jitter.

    Amplitudes fall with the frequency as in photos, and the image is moved at each step, so that it is no noise. Also
    returns whether each channel is excited more than by the noise at the start: a ReLU that is zero there has no gradient.
    """
    generator = torch.Generator().manual_seed(seed)
    parameter = next(network.parameters())
    colours: int = network.channels  # type: ignore[assignment]
    axes = tuple(range(2, 2 + len(size)))
    falling = frequency_scale(size).to(parameter)
    shape = (len(channels), colours, *falling.shape, 2)
    spectrum = (0.01 * torch.randn(shape, generator=generator)).to(parameter).requires_grad_()
    optimizer = torch.optim.Adam([spectrum], lr=0.05)
    middle = tuple(n // 2 for n in place.grid)
    rows = torch.arange(len(channels))

    def image() -> Tensor:
        values = torch.fft.irfftn(torch.view_as_complex(spectrum) * falling, s=size, dim=axes, norm="ortho")
        return LARGEST * torch.tanh(values)

    def excited(x: Tensor) -> Tensor:
        with taps(network, [place.name]) as record:
            network(x)
            return record[place.name][(rows, torch.tensor(list(channels)), *middle)]

    with torch.no_grad():
        before = excited(image())
    with torch.enable_grad():
        for _ in range(steps):
            moves = [int(torch.randint(-(n // 16), n // 16 + 1, (1,), generator=generator)) for n in size]
            optimizer.zero_grad()
            (spectrum.grad,) = torch.autograd.grad(-excited(image().roll(moves, axes)).sum(), spectrum)
            optimizer.step()
    with torch.no_grad():
        made = image()
        return made, (excited(made) > before).tolist()


def frequency_scale(size: tuple[int, ...]) -> Tensor:
    """The amplitude of each frequency of `rfftn`: one over its distance from zero, relative to the mean."""
    along = [torch.fft.fftfreq(n) for n in size[:-1]] + [torch.fft.rfftfreq(size[-1])]
    distance = torch.stack(torch.meshgrid(*along, indexing="ij")).square().sum(0).sqrt()
    scale = 1 / distance.clamp(min=1 / max(size))
    return scale / scale.mean()


def effective_side(network: nn.Module, place: Place, images: Sequence[Tensor]) -> float | None:
    """The side, in samples, of the centred cube that holds 95% of the squared gradient of a layer's middle unit, over images.

    See `anatomy.effective`, which measures it on noise; None where the layer's place in the image is not known.
    """
    shares = []
    generator = torch.Generator().manual_seed(0)
    sides: NDArray[np.float64] | None = None
    shape = images[0].shape if images else ()
    for x in (x for x in images if x.shape == shape):
        image = x.detach().requires_grad_()
        with torch.enable_grad(), taps(network, [place.name]) as record:
            network(image)
            output = record[place.name]
            unit = tuple(n // 2 for n in output.shape[2:])
            signs = torch.randint(0, 2, output.shape[1:2], generator=generator).to(output) * 2 - 1
            values = (output[(0, slice(None), *unit)] * signs).sum()
            (slope,) = torch.autograd.grad(values, image)
        window = place.window(unit)
        if window is None:
            return None
        try:
            middle = [(low + high - 1) / 2 for low, high in window]
            sides, share = profile(slope[0].double().square().sum(0).cpu().numpy(), middle)
        except UserError:  # no gradient
            continue
        shares.append(share)
    return None if sides is None else side_of(np.sum(shares, 0), sides, SHARE)
