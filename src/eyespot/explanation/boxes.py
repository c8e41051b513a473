"""Boxes in images of a batch: where they are, cut out and pasted in."""

from collections.abc import Sequence

import torch
from torch import Tensor

Corner = tuple[int, ...]


def changed_boxes(x: Tensor, base: Tensor) -> tuple[list[Corner], Corner]:
    """Where each image (B, C, *S) differs from the base: corners, and one size for all."""
    different = (x != base).any(1)
    starts = []
    ends = []
    for axis in range(different.dim() - 1):
        others = [a + 1 for a in range(different.dim() - 1) if a != axis]
        along = different.amax(others) if others else different
        n = along.shape[1]
        has_any = along.any(1)
        starts.append(torch.where(has_any, along.int().argmax(1), 0).tolist())
        ends.append(torch.where(has_any, n - along.flip(1).int().argmax(1), 1).tolist())
    return common(list(zip(*starts, strict=True)), list(zip(*ends, strict=True)), tuple(x.shape[2:]))


def common(starts: Sequence[Corner], ends: Sequence[Corner], size: Corner) -> tuple[list[Corner], Corner]:
    """Boxes of one size around boxes of several: corners inside the image, and the size"""
    longest = tuple(
        max(max(1, e[k] - s[k]) for s, e in zip(starts, ends, strict=True)) for k in range(len(size))
    )
    corners = [
        tuple(max(0, min(a, n - m)) for a, n, m in zip(start, size, longest, strict=True)) for start in starts
    ]
    return corners, longest


def boxes_of(x: Tensor, corners: list[Corner], size: Corner) -> Tensor:
    """(B, C, *S) -> (B, C, *size)"""
    return torch.stack([image[inside(corner, size)] for image, corner in zip(x, corners, strict=True)])


def inside(corner: Corner, size: Corner) -> tuple[slice, ...]:
    return (slice(None), *[slice(a, a + n) for a, n in zip(corner, size, strict=True)])


def paste(whole: Tensor, boxes: Tensor, corners: list[Corner]) -> None:
    size = tuple(boxes.shape[2:])
    for image, box, corner in zip(whole, boxes, corners, strict=True):
        image[inside(corner, size)] = box


def crops(
    base: Tensor,
    boxes: Tensor,
    at: list[Corner],
    corners: list[Corner],
    size: Corner,
    before: Corner | None = None,
) -> Tensor:
    """(B, C, *size) of the base with the boxes pasted, cut at the corners

    at      the boxes' positions, which `before` moves: so much was added to the base before each axis
    """
    moved = before or (0,) * len(size)
    layout = memory_format(base)
    result = base.new_empty((len(boxes), base.shape[1], *size)).contiguous(memory_format=layout)
    n = tuple(boxes.shape[2:])
    for i, corner in enumerate(corners):
        result[i] = base[0][inside(corner, size)]
        offsets = [a + b - c for a, b, c in zip(at[i], moved, corner, strict=True)]
        to = [slice(max(0, o), min(s, o + k)) for o, s, k in zip(offsets, size, n, strict=True)]
        of = [slice(t.start - o, t.stop - o) for t, o in zip(to, offsets, strict=True)]
        if all(t.stop > t.start for t in to):
            result[(i, slice(None), *to)] = boxes[(i, slice(None), *of)]
    return result


def memory_format(x: Tensor) -> torch.memory_format:
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    chosen = formats.get(x.dim())
    return chosen if chosen and x.is_contiguous(memory_format=chosen) else torch.contiguous_format
