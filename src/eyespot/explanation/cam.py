"""Grad-CAM (Selvaraju et al. 2016) and Grad-CAM++ (Chattopadhay et al. 2017): which places of a layer speak for a class."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from eyespot.anatomy.taps import taps

Score = Callable[[Tensor], Tensor]


def activations_and_gradients(
    score: Score, x: Tensor, network: nn.Module, layer: str
) -> list[tuple[Tensor, Tensor]]:
    """Of each call of the layer while the score is computed, one per view: its output (C, *S'), and the score's gradient"""
    with torch.enable_grad(), taps(network, [layer], gradients=True) as record:
        value = score(x.detach().requires_grad_()).sum()
        outputs = record.calls[layer]
        slopes = torch.autograd.grad(value, outputs, allow_unused=True)
    pairs = zip(outputs, slopes, strict=True)
    return [(a[0].detach(), (torch.zeros_like(a) if g is None else g)[0].detach()) for a, g in pairs]


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """(C, *S') -> (*S'): the channels, each weighted with its mean gradient; what speaks against has a negative sign"""
    weights = gradients.flatten(1).mean(1)
    return torch.tensordot(weights, activations, 1)


def grad_cam_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """(C, *S') -> (*S'): as Grad-CAM, with the weights of Grad-CAM++: positive gradients, few places counting more"""
    squares = gradients.square()
    sums = activations.flatten(1).sum(1).view(-1, *[1] * (activations.dim() - 1))
    share = squares / (2 * squares + sums * gradients**3 + 1e-6)
    share = torch.where(gradients != 0, share, 0.0)
    weights = (gradients.clamp(min=0) * share).flatten(1).sum(1)
    return torch.tensordot(weights, activations, 1)


def spread_over(
    values: NDArray[Any], centres: list[NDArray[np.float64]] | None, size: tuple[int, ...]
) -> NDArray[np.float64]:
    """(*S') -> (*size), linear between units and constant beyond the outermost.

    centres   of the fields that the units see, along each axis; None to take units as equal shares of the image
    """
    if centres is None:
        modes = {1: "linear", 2: "bilinear", 3: "trilinear"}
        tensor = torch.from_numpy(np.asarray(values, np.float64))[None, None]
        return F.interpolate(tensor, size, mode=modes[len(size)], align_corners=False)[0, 0].numpy()
    result = np.asarray(values, np.float64)
    for axis, (places, n) in enumerate(zip(centres, size, strict=True)):
        result = np.moveaxis(_along(np.moveaxis(result, axis, 0), places, n), 0, axis)
    return result


def _along(values: NDArray[Any], places: NDArray[Any], n: int) -> NDArray[Any]:
    """(n', ...) at places -> (n, ...), linear between them"""
    x = np.arange(n)
    if len(places) == 1:
        return np.repeat(values[:1], n, 0)
    right = np.clip(np.searchsorted(places, x), 1, len(places) - 1)
    share = (x - places[right - 1]) / (places[right] - places[right - 1])
    share = share.clip(0, 1).reshape(-1, *[1] * (values.ndim - 1))
    return values[right - 1] * (1 - share) + values[right] * share
