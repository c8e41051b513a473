"""Adaptive average pooling of volumes as matrix products: ONNX has no operator for it, and torch exports no other."""

import torch
from torch import Tensor, nn


class MatrixPool(nn.Module):
    """What `nn.AdaptiveAvgPool3d` computes: (B, C, D, H, W) -> (B, C, *size), for sizes that are known."""

    def __init__(self, size: tuple[int | None, ...]):
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        for axis, out in enumerate(self.size, start=2):
            n = int(x.shape[axis])
            if out is not None and out != n:
                weights = window_means(n, out).to(x)
                x = (x.movedim(axis, -1) @ weights.T).movedim(-1, axis)
        return x


def window_means(n: int, out: int) -> Tensor:
    """(out, n): row i has the mean over the samples floor(i n / out) to ceil((i + 1) n / out)."""
    weights = torch.zeros(out, n)
    for i in range(out):
        start = i * n // out
        end = -(-(i + 1) * n // out)
        weights[i, start:end] = 1 / (end - start)
    return weights


def replace_adaptive_pools(network: nn.Module) -> None:
    """Put a `MatrixPool` in the place of each adaptive average pooling of volumes."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.AdaptiveAvgPool3d):
                size = child.output_size
                setattr(parent, name, MatrixPool(size if isinstance(size, tuple) else (size,) * 3))
