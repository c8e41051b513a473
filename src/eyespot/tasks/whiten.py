"""A first convolution that decorrelates patches of the images."""

import torch
from torch import Tensor, nn

NOISE = 5e-4
"""Directions whose variance is below this share of the largest are noise, or nothing, and are amplified no further."""


@torch.no_grad()
def whiten(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, images: Tensor) -> None:
    """Set the first convolution to decorrelate patches of the images (B, C, *S), and freeze it.

    Filters are the patches' principal directions over their standard deviation, each once with either sign. As the
    biases are frozen too, no gradient goes to that layer: the next one, on the largest maps, has none to compute.
    """
    weight = layer.weight
    size = weight.shape[2]
    patches = images
    for axis in range(2, images.dim()):
        patches = patches.unfold(axis, size, 1)
    patches = patches.movedim(1, images.dim() - 1).reshape(-1, weight[0].numel())  # (patches, C * size^dim)
    covariance = patches.T @ patches / len(patches)
    values, directions = torch.linalg.eigh(covariance.cpu().double())  # MPS has no float64
    n = min(weight.shape[0] // 2, len(values))
    values = values.flip(0)[:n]
    directions = directions.flip(1)[:, :n]
    scales = (values + NOISE * values[0].clamp_min(1e-6)).sqrt()
    filters = (directions / scales).T.reshape(n, *weight.shape[1:])
    weight.zero_()
    weight[: 2 * n] = torch.cat([filters, -filters]).to(weight)
    layer.requires_grad_(False)
